// One approval: exactly what would run, what was changed, who has voted, and the decision.

import { html, useEffect, useRef, useState } from './dom.js';
import { Refusal, call, get, now } from './api.js';
import { useKeys } from './route.js';
import { Text, duration } from './text.js';
import { differences, member, parse, pretty } from './json.js';
import {
  Copy, Countdown, Facts, Priority, Problem, Status, TaskLink, When, useLive, useTitle,
} from './parts.js';
import { Changes, Tree } from './tree.js';
import { Timeline } from './timeline.js';
import { Editor } from './editor.js';

/**
 * An approval with its task, and the values that run as they were sent.
 *
 * @typedef {{
 *   approval: import('./types').ApprovalDetail, payload: import('./json.js').Node,
 *   metadata?: import('./json.js').Node, action?: import('./json.js').Node,
 *   original?: import('./json.js').Node,
 * }} Read
 */

/**
 * Reads an approval.
 *
 * @param {string} path
 * @returns {Promise<Read>}
 */
export async function readApproval(path) {
  const text = await call('GET', path);
  const tree = parse(text);
  const task = member(tree, 'task');
  const edit = member(tree, 'edit');
  return {
    approval: JSON.parse(text),
    payload: member(task, 'payload'),
    metadata: member(task, 'metadata'),
    action: member(tree, 'action'),
    original: member(edit, 'original_payload'),
  };
}

/** Reads an approval with the timeline of its task. */
async function read(path) {
  const data = await readApproval(path);
  const { items } = await get(`/tasks/${data.approval.task_id}/events`);
  return { ...data, timeline: items };
}

/** Who may decide, in words. */
function approvers({ terms, level }) {
  const { roles, groups } = terms.levels[level] ?? terms.levels.at(-1);
  const names = [
    ...roles.map((role) => `role ${role}`), ...groups.map((group) => `group ${group}`),
  ];
  return names.length > 0 ? names.join(' or ') : 'any approver';
}

const ON_EXPIRY = {
  reject: 'then the task is cancelled',
  hold: 'then it still waits',
  escalate: 'then others are asked',
};

export function ApprovalPage({ id, me, back }) {
  const live = useLive(`/approvals/${id}`, ({ event }) =>
    event?.payload?.approval_id === id || event?.task_id === live.data?.approval.task_id, read);
  // What the reader saw when the approval changed; null if nothing did.
  const [before, setBefore] = useState(null);
  const shown = useRef(null);
  const data = live.data;
  useTitle(data ? data.approval.title ?? data.approval.type : null);
  useEffect(() => {
    const last = shown.current;
    if (data && last && last.approval.digest !== data.approval.digest) {
      setBefore(last);
    }
    shown.current = data ?? last;
  }, [data]);
  if (!data) {
    return html`<article class="approval">
      <a class="back" href=${back}>← Inbox</a><${Problem} error=${live.error} /></article>`;
  }
  const { approval } = data;
  return html`<article class="approval">
    <a class="back" href=${back}>← Inbox</a>
    <header>
      <p class="over"><${Status} of=${approval.status} /><span class="tag">${approval.type}</span>
        <${Priority} of=${approval.task.priority} /></p>
      <h2>${approval.title
        ? html`<${Text} of=${approval.title} />` : `${approval.type} without a title`}</h2>
      ${approval.kind === 'ask' && html`<p class="reason"><b>${approval.agent}</b> asks:${' '}
        <${Text} of=${approval.reason} /></p>`}
    </header>
    <${Facts} of=${facts(approval)} />
    <${Problem} error=${live.error} />
    ${before && html`<${Changed} before=${before} after=${data} forget=${() => setBefore(null)} />`}
    <${Votes} approval=${approval} />
    ${data.action?.kind && data.action.source !== 'null'
      && html`<${Tree} of=${data.action} title="The step that the agent would take" />`}
    ${data.original && html`<${Edit} data=${data} />`}
    <${Tree} of=${data.payload} title=${data.original
      ? 'Payload that would run, after the edit' : 'Payload that would run'} />
    ${data.metadata && data.metadata.source !== 'null'
      && html`<${Tree} of=${data.metadata} title="Metadata" />`}
    <section class="part"><h3>History of the task</h3><${Timeline} of=${data.timeline} /></section>
    ${approval.status === 'pending'
      ? html`<${Decide} data=${data} me=${me} reload=${live.reload} isUnread=${!!before} />`
      : html`<${Decided} approval=${approval} />`}
  </article>`;
}

/** @param {import('./types').ApprovalDetail} approval */
function facts(approval) {
  const { terms, task } = approval;
  const isPending = approval.status === 'pending';
  return [
    ['Task', html`<${TaskLink} id=${approval.task_id} />`],
    ['Agent', approval.agent],
    ['Submitted by', html`<${Text} of=${task.submitted_by} />`],
    ['Source', html`<${Text} of=${task.source} />`],
    ['Rule', html`<${Text} of=${approval.rule} />`],
    ['Decides', approvers(approval)],
    ['Quorum', terms.quorum > 1 ? `${approval.votes.length} of ${terms.quorum}` : null],
    ['Four eyes', terms.four_eyes ? 'who wrote the payload cannot approve it' : null],
    ['Requested', html`<${When} at=${approval.requested_at} />`],
    ['Expires', isPending && html`<span><${Countdown} at=${approval.expires_at} />
      <span class="muted">, ${ON_EXPIRY[terms.on_expiry]}</span></span>`],
    ['Level', terms.levels.length > 1 ? `${approval.level + 1} of ${terms.levels.length}` : null],
    ['Version', task.version > 1 ? String(task.version) : null],
    ['Digest', html`<span class="digest"><code title=${approval.digest}>
      ${approval.digest.slice(0, 16)}…</code> <${Copy} text=${approval.digest} /></span>`],
  ];
}

/** What changed while the reader looked at the approval. */
function Changed({ before, after, forget }) {
  const changes = differences(before.payload, after.payload);
  return html`<section class="problem is-changed" role="alert">
    <strong>The content changed while you were looking at it</strong>
    <p>${after.approval.edit ? html`<${Text} of=${after.approval.edit.by} /> edited the payload. `
      : null}The digest was <code>${before.approval.digest.slice(0, 16)}…</code> and is now${' '}
      <code>${after.approval.digest.slice(0, 16)}…</code>. You decide on what is shown now.</p>
    ${changes.length > 0 && html`<${Changes} of=${changes} />`}
    <button type="button" class="quiet small" onClick=${forget}>I have seen it</button>
  </section>`;
}

function Edit({ data }) {
  const changes = differences(data.original, data.payload);
  return html`<section class="part">
    <h3>Edited by <${Text} of=${data.approval.edit.by} /></h3>
    ${changes.length > 0 ? html`<${Changes} of=${changes} />`
      : html`<p class="muted">The payload is the submitted one again.</p>`}
  </section>`;
}

/** @param {{approval: import('./types').ApprovalDetail}} props */
function Votes({ approval }) {
  if (approval.votes.length === 0) {
    return null;
  }
  return html`<section class="part"><h3>Approvals so far</h3><ul class="votes">
    ${approval.votes.map((vote) => html`<li><b><${Text} of=${vote.by} /></b>${' '}
      <${When} at=${vote.at} />
      ${vote.comment && html`<p><${Text} of=${vote.comment} /></p>`}</li>`)}
  </ul></section>`;
}

/** @param {{approval: import('./types').ApprovalDetail}} props */
function Decided({ approval }) {
  return html`<section class=${`decided is-${approval.status}`} role="status">
    <strong><${Status} of=${approval.status} />
      ${approval.decided_by && html` by <${Text} of=${approval.decided_by} />`}</strong>
    ${approval.decided_at && html` <${When} at=${approval.decided_at} />`}
    ${approval.comment && html`<p><${Text} of=${approval.comment} /></p>`}
  </section>`;
}

/**
 * The decision, always with the digest of what is on the screen. After a change it waits until the
 * reader has confirmed to have seen it: a click must not hit what appeared under the pointer.
 */
function Decide({ data: { approval, payload }, me, reload, isUnread }) {
  const [comment, setComment] = useState('');
  // The payload that is to run instead, as text and as a value; null if the approver edits none.
  const [edit, setEdit] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [needsReason, setNeedsReason] = useState(false);
  const [approve, text] = [useRef(null), useRef(null)];
  const decides = me.scopes.includes('approvals:decide');
  useKeys(decides ? {
    a: () => approve.current.focus(),
    r: () => text.current.focus(),
  } : {});
  if (!decides) {
    return html`<p class="decide muted">
      Your role ${me.role} reads approvals and does not decide.</p>`;
  }
  const decide = async (verb) => {
    const said = comment.trim();
    if (verb === 'reject' && !said) {
      setNeedsReason(true);
      text.current.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const words = verb === 'reject' ? { reason: said } : said ? { comment: said } : {};
      const path = `/approvals/${approval.approval_id}/${verb}`;
      await call('POST', path, { text: bodyOf({ digest: approval.digest, ...words }, edit?.text) });
      setEdit(null);
    } catch (refused) {
      setError(refused);
    }
    setBusy(false);
    reload();
  };
  const isChanged = error instanceof Refusal && error.cause === 'content-changed';
  return html`<section class="decide" aria-label="Decide">
    <${Problem} error=${error}>
      ${isChanged && html`<p>Read what changed above, then decide again.</p>`}</${Problem}>
    ${edit && html`<${Editor} payload=${payload} edit=${edit} change=${setEdit} />`}
    <label for="comment">Comment <span class="muted">(required to reject)</span></label>
    <textarea id="comment" rows="1" maxlength="1000" ref=${text} value=${comment}
      aria-invalid=${needsReason} aria-describedby="reason-needed"
      onInput=${(event) => {
        setComment(event.target.value);
        setNeedsReason(false);
      }}></textarea>
    <p class="needed" id="reason-needed" role="alert">${needsReason && 'Say why you reject it.'}</p>
    <div class="buttons">
      <button type="button" class="main" ref=${approve}
        disabled=${isBusy || isUnread || (edit && !edit.value)}
        onClick=${() => decide('approve')}>${edit ? 'Approve the edit' : 'Approve'}</button>
      ${edit ? html`<button type="button" class="quiet" onClick=${() => setEdit(null)}>
          Discard the edit</button>`
        : html`<button type="button" class="danger" disabled=${isBusy || isUnread}
          onClick=${() => decide('reject')}>Reject</button>
        <button type="button" class="quiet"
          onClick=${() => setEdit({ text: pretty(payload), value: payload })}>
          Edit payload…</button>`}
      <span class="muted">exactly this content, <code>${approval.digest.slice(0, 8)}</code>
        <${Rest} at=${approval.expires_at} /></span>
    </div>
  </section>`;
}

/** The body of a decision; `payload` is JSON that must arrive as it was typed. */
function bodyOf(members, payload) {
  const rest = JSON.stringify(members);
  return payload === undefined ? rest : `${rest.slice(0, -1)},"payload":${payload}}`;
}

/** How long is left to decide, where that is soon. */
function Rest({ at }) {
  const left = at ? Date.parse(at) - now() : Infinity;
  return left < 3_600_000 ? html` · ${duration(left)} left` : null;
}
