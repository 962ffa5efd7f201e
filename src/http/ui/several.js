// Several approvals at once: what each would run, one decision on all of them, a result for each.

import { html, useEffect, useRef, useState } from './dom.js';
import { post } from './api.js';
import { Text, plain } from './text.js';
import { Problem, Status, shortId } from './parts.js';
import { Tree } from './tree.js';
import { readApproval } from './approval.js';

/** How many approvals one call decides on at most. */
export const MOST = 100;

/**
 * Reads each approval once: what is on the screen stays as it is, and the decision is on exactly
 * that. Returns the data by id, and the error that ended the reading.
 */
function useFrozen(ids) {
  const [seen, setSeen] = useState({});
  const [error, setError] = useState(null);
  useEffect(() => {
    let isShown = true;
    const readAll = async () => {
      for (const id of ids) {
        const data = await readApproval(`/approvals/${id}`);
        if (!isShown) {
          return;
        }
        setSeen((last) => ({ ...last, [id]: data }));
      }
    };
    readAll().catch(setError);
    return () => {
      isShown = false;
    };
  }, []);
  return { seen, error };
}

export function Several({ ids: chosen, close, reload }) {
  // Those that were chosen when this was opened.
  const [ids] = useState(chosen);
  const { seen, error } = useFrozen(ids);
  const [comment, setComment] = useState('');
  const [needsReason, setNeedsReason] = useState(false);
  const [results, setResults] = useState(null);
  const [refused, setRefused] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const text = useRef(null);
  const isRead = ids.every((id) => seen[id]);
  const decide = async (decision) => {
    const said = comment.trim();
    if (decision === 'reject' && !said) {
      setNeedsReason(true);
      text.current.focus();
      return;
    }
    setBusy(true);
    setRefused(null);
    try {
      const words = said ? { comment: said } : {};
      const decisions = ids.map((id) =>
        ({ approval_id: id, decision, digest: seen[id].approval.digest, ...words }));
      setResults((await post('/approvals/decide', { decisions })).results);
    } catch (failed) {
      setRefused(failed);
    }
    setBusy(false);
    reload();
  };
  return html`<article class="approval">
    <header><h2>${ids.length} ${ids.length === 1 ? 'approval' : 'approvals'}</h2></header>
    <${Problem} error=${error} />
    <ul class="several">${ids.map((id, nth) => html`<${One} key=${id} data=${seen[id]}
      result=${results?.[nth]} />`)}</ul>
    <section class="decide" aria-label="Decide">
      <${Problem} error=${refused} />
      ${results ? html`<p role="status">${summary(results)}</p>` : html`
        <label for="comment">Comment on each <span class="muted">(required to reject)</span></label>
        <textarea id="comment" rows="1" maxlength="1000" ref=${text} value=${comment}
          aria-invalid=${needsReason} aria-describedby="reason-needed"
          onInput=${(event) => {
            setComment(event.target.value);
            setNeedsReason(false);
          }}></textarea>
        <p class="needed" id="reason-needed" role="alert">
          ${needsReason && 'Say why you reject them.'}</p>`}
      <div class="buttons">
        ${!results && html`
          <button type="button" class="main" disabled=${isBusy || !isRead}
            onClick=${() => decide('approve')}>Approve ${ids.length}</button>
          <button type="button" class="danger" disabled=${isBusy || !isRead}
            onClick=${() => decide('reject')}>Reject ${ids.length}</button>`}
        <button type="button" class="quiet" onClick=${close}>${results ? 'Done' : 'Close'}</button>
        ${!results && html`<span class="muted">each exactly as it is shown here</span>`}
      </div>
    </section>
  </article>`;
}

/**
 * How many of the decisions counted.
 *
 * @param {import('./types').DecisionResult[]} results
 */
function summary(results) {
  const refused = results.filter(({ problem }) => problem).length;
  const counted = results.length - refused;
  return refused === 0 ? `${counted} decided` : `${counted} decided, ${refused} refused`;
}

/**
 * One of the approvals, and what came of the decision on it.
 *
 * @param {{data?: import('./approval.js').Read, result?: import('./types').DecisionResult}} props
 */
function One({ data, result }) {
  if (!data) {
    return html`<li class="muted">Reading…</li>`;
  }
  const { approval, payload, action } = data;
  const name = `${plain(approval.title ?? approval.type)} …${shortId(approval.approval_id)}`;
  return html`<li>
    <p class="over"><span class="tag">${approval.type}</span>
      <a href=${`/ui/approvals/${approval.approval_id}`}>${approval.title
        ? html`<${Text} of=${approval.title} />` : `${approval.type} without a title`}</a>
      <code class="muted">${approval.digest.slice(0, 8)}</code></p>
    ${approval.reason && html`<p><b>${approval.agent}</b> asks:${' '}
      <${Text} of=${approval.reason} /></p>`}
    ${result && html`<${Result} of=${result} />`}
    ${action?.kind && action.source !== 'null'
      && html`<${Tree} of=${action} title="The step that the agent would take"
        label=${`Step of ${name}`} />`}
    <${Tree} of=${payload} title="Payload that would run" label=${`Payload of ${name}`} />
  </li>`;
}

/** @param {{of: import('./types').DecisionResult}} props */
function Result({ of: { approval, problem } }) {
  if (!problem) {
    const { votes, terms, status } = approval;
    return html`<p role="status">${status === 'pending'
      ? `your approval counts, ${votes.length} of ${terms.quorum}`
      : html`<${Status} of=${status} />`}</p>`;
  }
  return html`<div class="problem" role="alert"><strong><${Text} of=${problem.title} /></strong>
    <p><${Text} of=${problem.detail} /></p></div>`;
}
