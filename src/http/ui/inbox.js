// The inbox of an approver: what waits, the first to expire first, beside the one that is open.

import { html, useEffect, useRef, useState } from './dom.js';
import { get, withQuery } from './api.js';
import { go, here, useKeys } from './route.js';
import { Text } from './text.js';
import {
  Countdown, Nothing, Problem, Status, When, shortId, useLive, useTitle,
} from './parts.js';
import { ApprovalPage } from './approval.js';

/** The lists: name in the address, name for people, path in the API. */
const LISTS = [
  ['me', 'For me', '/approvals'],
  ['pending', 'All waiting', '/approvals/pending'],
  ['history', 'Decided', '/approvals/history'],
];

const PAGE = 50;

function Row({ approval, isOpen, address }) {
  const row = useRef(null);
  useEffect(() => {
    if (isOpen) {
      row.current.scrollIntoView({ block: 'nearest' });
    }
  }, [isOpen]);
  const isPending = approval.status === 'pending';
  return html`<li ref=${row}><a class="row" href=${address}
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

/** Reads the pages of a list up to `count` items. */
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
  useKeys({ j: () => step(1), k: () => step(-1), Escape: () => id && go(address(null)) });
  return html`<main class=${`inbox ${id ? 'has-open' : ''}`} id="main" tabindex="-1">
    <section class="list" aria-label="Approvals">
      <header>
        <h1>Inbox</h1>
        <nav class="tabs" aria-label="Lists of approvals">
          ${LISTS.filter(([name]) => decides || name !== 'me').map(([name, label]) => html`
            <a href=${withQuery('/ui/approvals', { show: name === 'me' ? null : name })}
              aria-current=${name === show ? 'true' : undefined}>${label}</a>`)}
        </nav>
      </header>
      <${Problem} error=${live.error} />
      ${live.data && items.length === 0 && html`<${Nothing} title=${show === 'me'
        ? 'Nothing waits for you' : 'Nothing is here'}>
        ${show === 'me' && html`<p>New approvals appear here by themselves.</p>`}</${Nothing}>`}
      <ul class="rows">${items.map((approval) => html`<${Row} key=${approval.approval_id}
        approval=${approval} isOpen=${approval.approval_id === id}
        address=${address(approval.approval_id)} />`)}</ul>
      ${live.data?.hasMore && html`<button type="button" class="quiet wide"
        onClick=${() => setCount(count + PAGE)}>Show more</button>`}
      <p class="keys"><kbd>j</kbd><kbd>k</kbd> move <kbd>a</kbd> approve <kbd>r</kbd> reject${' '}
        <kbd>Esc</kbd> close</p>
    </section>
    <section class="open" aria-label="The approval that is open">
      ${id ? html`<${ApprovalPage} key=${id} id=${id} me=${me} back=${address(null)} />`
        : items.length > 0 && html`<${Nothing} title="No approval is open">
          <p>Choose one, or press <kbd>j</kbd>.</p></${Nothing}>`}
    </section>
  </main>`;
}
