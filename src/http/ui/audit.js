// The audit log: who did what, when and from where; its chain of hashes is verified in the browser.

import { html, useRef, useState } from './dom.js';
import { get, withQuery } from './api.js';
import { go } from './route.js';
import { Text, absolute } from './text.js';
import { Copy, Nothing, Problem, useLive, useTitle } from './parts.js';
import { canVerify, verify } from './chain.js';

const PAGE = 50;

/** The filters: name in the address and in the API, and for people. */
const FILTERS = [['actor', 'Who'], ['action', 'What'], ['subject', 'To what']];

/** Reads the pages of the log up to `count` entries. */
async function readPages(filters, count) {
  const items = [];
  let cursor = null;
  do {
    const limit = Math.min(count - items.length, 200);
    const page = await get(withQuery('/admin/audit', { ...filters, limit, cursor }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < count);
  return { items, hasMore: cursor !== null };
}

export function Audit({ query }) {
  const filters = Object.fromEntries(FILTERS.map(([name]) => [name, query[name]]));
  const [count, setCount] = useState(PAGE);
  const live = useLive(`${JSON.stringify(filters)} ${count}`, () => false,
    () => readPages(filters, count));
  useTitle('Audit');
  const items = live.data?.items ?? [];
  const to = (change) => withQuery('/ui/audit', { ...filters, ...change });
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>Audit</h1>
      <div class="filters">${FILTERS.map(([name, label]) => html`<label>${label}
        <input value=${filters[name] ?? ''} spellcheck="false" autocomplete="off"
          onChange=${(event) => go(to({ [name]: event.target.value.trim() }))} /></label>`)}
        <button type="button" class="quiet" onClick=${live.reload}>Read again</button></div>
    </header>
    <${Verify} />
    <${Problem} error=${live.error} />
    ${live.data && items.length === 0 && html`<${Nothing} title="No entry matches" />`}
    ${items.length > 0 && html`<div class="table"><table>
      <thead><tr><th>When</th><th>Who</th><th>What</th><th>To what</th><th>From where</th>
        <th>More</th></tr></thead>
      <tbody>${items.map((entry) => html`<tr key=${`${entry.partition} ${entry.sequence}`}>
        <td class="time"><time datetime=${entry.at}>${absolute(entry.at)}</time></td>
        <td><a href=${to({ actor: entry.actor })}><${Text} of=${entry.actor} /></a></td>
        <td><a href=${to({ action: entry.action })}><${Text} of=${entry.action} /></a></td>
        <td class="wrapped"><${Subject} of=${entry.subject} /></td>
        <td><${Text} of=${entry.origin ?? '–'} /></td>
        <td class="wrapped">${Object.entries(entry.detail).map(([name, text]) => html`<div>
          <span class="muted">${name}</span> <${Text} of=${text} /></div>`)}</td>
      </tr>`)}</tbody></table></div>`}
    ${live.data?.hasMore && html`<button type="button" class="quiet wide"
      onClick=${() => setCount(count + PAGE)}>Show more</button>`}
  </main>`;
}

/** What was acted on; tasks and approvals have a view. */
function Subject({ of }) {
  const [kind, id] = of.split(':', 2);
  const view = { task: 'tasks', approval: 'approvals' }[kind];
  return view ? html`<a href=${`/ui/${view}/${encodeURIComponent(id)}`}><code>${of}</code></a>`
    : html`<${Text} of=${of} />`;
}

/** The verification of the whole log, on request. */
function Verify() {
  const [count, setCount] = useState(null);
  const [chains, setChains] = useState(null);
  const [error, setError] = useState(null);
  const running = useRef(null);
  if (!canVerify) {
    return html`<p class="muted">The browser verifies the log on pages over HTTPS only.${' '}
      <code>orchestrator audit verify</code> does it on the command line.</p>`;
  }
  const begin = async () => {
    setChains(null);
    setError(null);
    setCount(0);
    running.current = new AbortController();
    try {
      setChains(await verify(setCount, running.current.signal));
    } catch (failed) {
      if (failed.name !== 'AbortError') {
        setError(failed);
      }
    }
    setCount(null);
  };
  return html`<section class="part" aria-label="Verification">
    ${count === null
      ? html`<button type="button" class="quiet" onClick=${begin}>Verify the whole log</button>`
      : html`<span role="status">Verified ${count} entries…</span>${' '}<button type="button"
        class="quiet" onClick=${() => running.current.abort()}>Stop</button>`}
    <${Problem} error=${error} />
    ${chains?.map((chain) => html`<${Chain} key=${chain.partition} of=${chain} />`)}
  </section>`;
}

function Chain({ of: { partition, entries, head, faults } }) {
  if (faults.length > 0) {
    return html`<div class="problem" role="alert">
      <strong>Partition ${partition}: the log is not as it was written</strong>
      ${faults.map((fault) => html`<p>${fault}</p>`)}</div>`;
  }
  return html`<div class="why" role="status"><strong>Partition ${partition}: ${entries} entries,
    complete and unchanged</strong>${entries > 0 && html`
    <p class="digest">Keep the head elsewhere; it proves later that nothing up to it was changed:
      <code class="whole">${head.hash}</code> <${Copy} text=${head.hash} /></p>`}</div>`;
}
