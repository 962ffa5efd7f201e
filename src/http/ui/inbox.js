// The inbox of an approver: what waits, the first to expire first, beside the one that is open.

import { html, useEffect, useRef, useState } from './dom.js';
import { get, withQuery } from './api.js';
import { go, here, useKeys } from './route.js';
import { Text, plain } from './text.js';
import {
  Countdown, Nothing, Problem, Status, When, shortId, useLive, useTitle,
} from './parts.js';
import { ApprovalPage } from './approval.js';
import { MOST, Several } from './several.js';
import { NotifyMe } from './notify.js';

/** The lists: name in the address, name for people, path in the API. */
const LISTS = [
  ['me', 'For me', '/approvals'],
  ['pending', 'All waiting', '/approvals/pending'],
  ['history', 'Decided', '/approvals/history'],
];

const PAGE = 50;

/**
 * A row; `choose` is null if it cannot be chosen.
 *
 * @param {{
 *   approval: import('./types').Approval, isOpen: boolean, isChosen: boolean,
 *   choose: (() => void) | null, address: string,
 * }} row
 */
function Row({ approval, isOpen, isChosen, choose, address }) {
  const row = useRef(null);
  useEffect(() => {
    if (isOpen) {
      row.current.scrollIntoView({ block: 'nearest' });
    }
  }, [isOpen]);
  const isPending = approval.status === 'pending';
  const title = approval.title ?? `${approval.type} …${shortId(approval.task_id)}`;
  return html`<li ref=${row}>${choose && isPending && html`<input type="checkbox"
      aria-label=${`Choose ${plain(title)}`} checked=${isChosen} onChange=${choose} />`}
    <a class="row" href=${address}
    aria-current=${isOpen ? 'true' : undefined}>
    <span class="row-head">
      <span class="row-title">${approval.title ? html`<${Text} of=${approval.title} />`
        : html`<span>${approval.type} <code>…${shortId(approval.task_id)}</code></span>`}</span>
      ${isPending ? html`<${Countdown} at=${approval.expires_at} />`
        : html`<${Status} of=${approval.status} />`}
    </span>
    <span class="row-more">
      <span class="tag">${approval.type}</span>
      ${approval.agent && html`<span>${approval.kind === 'ask'
        ? html`<b>${approval.agent}</b> asks` : html`for <b>${approval.agent}</b>`}</span>`}
      <span>rule <b><${Text} of=${approval.rule} /></b></span>
      <span>by <b><${Text} of=${approval.requested_by} /></b></span>
      ${!isPending && html`<span><${When} at=${approval.decided_at} /></span>`}
      ${approval.votes.length > 0 && isPending && html`<span>
        ${approval.votes.length} of ${approval.terms.quorum} approved</span>`}
      ${approval.edit && html`<span class="tag is-edited">edited</span>`}
    </span>
  </a></li>`;
}

/**
 * Reads the pages of a list up to `count` items.
 *
 * @returns {Promise<{items: import('./types').Approval[], hasMore: boolean}>}
 */
async function readPages(name, count) {
  const [, , path] = LISTS.find(([known]) => known === name);
  const whose = name === 'me' ? 'me' : null;
  const items = [];
  let cursor = null;
  do {
    const limit = Math.min(count - items.length, 200);
    const page = await get(withQuery(path, { for: whose, limit, cursor }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < count);
  return { items, hasMore: cursor !== null };
}

export function Inbox({ me, id, query }) {
  const decides = me.scopes.includes('approvals:decide');
  const usual = decides ? 'me' : 'pending';
  const show = LISTS.some(([name]) => name === query.show) ? query.show : usual;
  const [count, setCount] = useState(PAGE);
  const live = useLive(`${show} ${count}`,
    ({ type }) => type.startsWith('approval.') || type.startsWith('task.'),
    () => readPages(show, count));
  const items = live.data?.items ?? [];
  const [chosen, setChosen] = useState([]);
  const [isReview, setReview] = useState(false);
  const clear = () => {
    setChosen([]);
    setReview(false);
  };
  useEffect(clear, [show]);
  const choose = (one) => setChosen((last) => last.includes(one)
    ? last.filter((other) => other !== one) : [...last, one].slice(0, MOST));
  const address = (to) => withQuery(to ? `/ui/approvals/${to}` : '/ui/approvals',
    { show: query.show });
  useTitle(id ? null : 'Inbox');
  const step = (by) => {
    // Keys may come faster than the view is rendered, so the address says where the reader is.
    const at = items.findIndex((one) => here().path.endsWith(`/${one.approval_id}`));
    const next = items[at < 0 ? (by > 0 ? 0 : items.length - 1) : at + by];
    if (next) {
      go(address(next.approval_id), { replace: at >= 0 });
    }
  };
  const canChoose = decides && show !== 'history';
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    x: () => canChoose && items.some((one) => one.approval_id === id) && choose(id),
    Escape: () => isReview ? setReview(false) : id && go(address(null)),
  });
  return html`<main class=${`inbox ${id || isReview ? 'has-open' : ''}`} id="main" tabindex="-1">
    <section class="list" aria-label="Approvals">
      <header>
        <h1>Inbox</h1>
        <nav class="tabs" aria-label="Lists of approvals">
          ${LISTS.filter(([name]) => decides || name !== 'me').map(([name, label]) => html`
            <a href=${withQuery('/ui/approvals', { show: name === 'me' ? null : name })}
              aria-current=${name === show ? 'true' : undefined}>${label}</a>`)}
        </nav>
        ${decides && html`<${NotifyMe} />`}
      </header>
      <${Problem} error=${live.error} />
      ${live.data && items.length === 0 && html`<${Nothing} title=${show === 'me'
        ? 'Nothing waits for you' : 'Nothing is here'}>
        ${show === 'me' && html`<p>New approvals appear here by themselves.</p>`}</${Nothing}>`}
      <ul class="rows">${items.map((approval) => html`<${Row} key=${approval.approval_id}
        approval=${approval} isOpen=${approval.approval_id === id}
        isChosen=${chosen.includes(approval.approval_id)}
        choose=${canChoose ? () => choose(approval.approval_id) : null}
        address=${address(approval.approval_id)} />`)}</ul>
      ${live.data?.hasMore && html`<button type="button" class="quiet wide"
        onClick=${() => setCount(count + PAGE)}>Show more</button>`}
      ${chosen.length > 0 && html`<div class="chosen" role="status">
        <button type="button" class="main" onClick=${() => setReview(true)}>
          Decide on ${chosen.length}…</button>
        <button type="button" class="quiet" onClick=${clear}>Choose none</button></div>`}
      <p class="keys"><kbd>j</kbd><kbd>k</kbd> move <kbd>a</kbd> approve <kbd>r</kbd> reject${' '}
        <kbd>x</kbd> choose <kbd>Esc</kbd> close</p>
    </section>
    <section class="open" aria-label=${isReview ? 'The approvals that are chosen'
      : 'The approval that is open'}>
      ${isReview ? html`<${Several} ids=${chosen} close=${clear} reload=${live.reload} />`
        : id ? html`<${ApprovalPage} key=${id} id=${id} me=${me} back=${address(null)} />`
        : items.length > 0 && html`<${Nothing} title="No approval is open">
          <p>Choose one, or press <kbd>j</kbd>.</p></${Nothing}>`}
    </section>
  </main>`;
}
