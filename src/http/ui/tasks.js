// The list of tasks: filters in the address, counts by status, rows that change as events come.

import { html, useEffect, useRef, useState } from './dom.js';
import { get, withQuery } from './api.js';
import { go, useKeys } from './route.js';
import { Text } from './text.js';
import {
  Nothing, Priority, Problem, Status, When, shortId, useLive, useTitle,
} from './parts.js';
import { Bulk } from './bulk.js';
import { Export } from './export.js';

const STATUSES = [
  'blocked', 'scheduled', 'pending', 'assigned', 'in_progress', 'completed', 'failed', 'cancelled',
];

/** The filters: name in the address and in the API. */
const FILTERS = ['status', 'type', 'assigned_to', 'priority'];

const PAGE = 50;

/** Reads the pages of the list up to `count` tasks. */
async function readPages(filters, count) {
  const items = [];
  let cursor = null;
  do {
    const limit = Math.min(count - items.length, 200);
    const page = await get(withQuery('/tasks', { ...filters, limit, cursor }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < count);
  return { items, hasMore: cursor !== null };
}

/** Whether an event may change what a list of tasks shows. */
function isOfTasks({ type }) {
  return ['task.', 'approval.', 'sla.'].some((family) => type.startsWith(family));
}

export function Tasks({ query, me }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query[name]]));
  const [count, setCount] = useState(PAGE);
  const key = JSON.stringify(filters);
  useEffect(() => setCount(PAGE), [key]);
  const live = useLive(`${key} ${count}`, isOfTasks, () => readPages(filters, count));
  const stats = useLive('/stats', isOfTasks);
  useTitle('Tasks');
  const search = useRef(null);
  const items = live.data?.items ?? [];
  const step = (by) => {
    // Keys may come faster than the view is rendered, so the focus says where the reader is.
    const [, nth] = document.activeElement.id.match(/^row-(\d+)$/) ?? [];
    const next = nth === undefined ? 0 : Number(nth) + by;
    document.getElementById(`row-${next}`)?.focus();
  };
  useKeys({ j: () => step(1), k: () => step(-1), '/': () => search.current.focus() });
  const to = (change) => withQuery('/ui/tasks', { ...filters, ...change });
  const isFiltered = FILTERS.some((name) => filters[name]);
  return html`<main class="tasks" id="main" tabindex="-1">
    <header class="view-head"><h1>Tasks</h1><${Jump} input=${search} /></header>
    <nav class="facets" aria-label="Status">
      <a href=${to({ status: null })} aria-current=${filters.status ? undefined : 'true'}>all
        <span class="number">${stats.data?.queue.total_tasks ?? ''}</span></a>
      ${STATUSES.map((status) => html`<a href=${to({ status })}
        aria-current=${filters.status === status ? 'true' : undefined}>
        <${Status} of=${status} />${' '}
        <span class="number">${stats.data?.by_status[status] ?? ''}</span></a>`)}
    </nav>
    <${Filters} filters=${filters} stats=${stats.data} items=${items} to=${to} />
    <div class="actions">
      ${me.scopes.includes('tasks:write') && html`<${Bulk} key=${key} filters=${filters}
        reload=${live.reload} />`}
      <${Export} key=${key} filters=${filters} /></div>
    <${Problem} error=${live.error} />
    ${live.data && (items.length > 0 ? html`<${Table} items=${items} />`
      : html`<${Nothing} title=${isFiltered ? 'No task matches' : 'No tasks yet'}>
        <p>${isFiltered ? html`<a href="/ui/tasks">Show all tasks</a>`
          : 'A client submits tasks with POST /tasks.'}</p></${Nothing}>`)}
    ${live.data?.hasMore && html`<button type="button" class="quiet wide"
      onClick=${() => setCount(count + PAGE)}>Show more</button>`}
    <p class="keys"><kbd>j</kbd><kbd>k</kbd> move <kbd>Enter</kbd> open${' '}
      <kbd>/</kbd> jump to an id</p>
  </main>`;
}

/** Opens a task or an approval by its id. */
function Jump({ input }) {
  const [isWrong, setWrong] = useState(false);
  const jump = async (event) => {
    event.preventDefault();
    const id = input.current.value.trim().toLowerCase();
    setWrong(false);
    for (const kind of ['tasks', 'approvals']) {
      try {
        await get(`/${kind}/${encodeURIComponent(id)}`);
        go(`/ui/${kind}/${id}`);
        return;
      } catch {
        // It may be the other kind.
      }
    }
    setWrong(true);
  };
  return html`<form class="jump" onSubmit=${jump} role="search">
    <label class="unseen" for="jump">Id of a task or an approval</label>
    <input id="jump" ref=${input} placeholder="Jump to an id" spellcheck="false"
      autocomplete="off" aria-invalid=${isWrong} aria-describedby="jump-wrong" />
    <span id="jump-wrong" role="alert" class="needed">${isWrong && 'Nothing has this id'}</span>
  </form>`;
}

/** The filters besides the status; each changes the address. */
function Filters({ filters, stats, items, to }) {
  const newest = useLive('/tasks?limit=200', () => false).data?.items ?? [];
  const types = useRef(new Set());
  [...newest, ...items].forEach((task) => types.current.add(task.type));
  const options = {
    type: [...types.current].sort(),
    assigned_to: Object.keys(stats?.by_agent ?? {}).sort(),
    priority: ['P0', 'P1', 'P2', 'P3'],
  };
  const names = { type: 'Type', assigned_to: 'Agent', priority: 'Priority' };
  return html`<div class="filters">
    ${Object.entries(options).map(([name, values]) => {
      const chosen = filters[name];
      const all = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
      return html`<label>${names[name]}
        <select value=${chosen ?? ''}
          onChange=${(event) => go(to({ [name]: event.target.value }))}>
          <option value="">any</option>
          ${all.map((value) => html`<option value=${value}>${value}</option>`)}
        </select></label>`;
    })}
    ${Object.values(filters).some(Boolean) && html`<a href="/ui/tasks" class="clear">Clear</a>`}
  </div>`;
}

/** The deadline of a task that is at risk, as a word. */
function Risk({ sla }) {
  const states = [sla?.state, sla?.start_state];
  const worst = ['violated', 'warned'].find((state) => states.includes(state));
  const word = worst === 'violated' ? 'late' : 'at risk';
  return worst ? html` <span class=${`tag is-${worst}`}>${word}</span>` : null;
}

/** @param {{items: import('./types').Task[]}} props */
function Table({ items }) {
  return html`<div class="table"><table>
    <thead><tr><th>Status</th><th>Task</th><th>Type</th><th>Priority</th><th>Agent</th>
      <th>Attempt</th><th class="time">Changed</th></tr></thead>
    <tbody>${items.map((task, nth) => html`<tr key=${task.task_id}
      class=${`is-${task.status}`}>
      <td><${Status} of=${task.status} /></td>
      <td class="task-title"><a id=${`row-${nth}`} href=${`/ui/tasks/${task.task_id}`}
        title=${task.task_id}>${task.title ? html`<${Text} of=${task.title} />`
          : html`<code>…${shortId(task.task_id)}</code>`}</a><${Risk} sla=${task.sla} />
        ${task.progress && task.status === 'in_progress'
          && html`<${Progress} of=${task.progress} />`}
        ${task.error && html`<span class="task-error">
          <${Text} of=${task.error.slice(0, 200)} /></span>`}
      </td>
      <td><span class="tag">${task.type}</span></td>
      <td><${Priority} of=${task.priority} /></td>
      <td>${task.assigned_to ?? html`<span class="muted">–</span>`}</td>
      <td class="number">${task.attempt}</td>
      <td class="time"><${When} at=${task.updated_at} /></td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** How far an attempt has come, as its agent says. */
export function Progress({ of }) {
  return html`<span class="progress"><progress max="100" value=${of.percent}
    aria-label="Progress"></progress> ${Math.round(of.percent)} %
    ${of.message && html` <${Text} of=${of.message} />`}</span>`;
}
