// The tasks that failed, grouped by type and error: what is wrong, how often, and since when.

import { html, useRef, useState } from './dom.js';
import { get, post, withQuery } from './api.js';
import { Text, clock } from './text.js';
import { Nothing, Problem, TaskLink, When, useLive, useTitle } from './parts.js';

/** How many failed tasks are looked at: those that failed last. */
const MOST = 1_000;

/** How much of an error counts, in characters. */
const LONG = 200;

/** Returns the error without what differs from one failure to the next: ids and numbers. */
export function normalised(error) {
  return (error ?? '').split('\n', 1)[0].slice(0, LONG)
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, '(id)')
    .replace(/\b(0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{12,})\b/gi, '(hex)')
    .replace(/[0-9]+(\.[0-9]+)?/g, '(n)');
}

/** Reads the tasks that failed last, in groups, the largest first. */
async function readGroups() {
  const groups = new Map();
  let [cursor, count] = [null, 0];
  do {
    const limit = Math.min(MOST - count, 200);
    const page = await get(withQuery('/tasks', { status: 'failed', limit, cursor }));
    for (const task of page.items) {
      const error = normalised(task.error);
      const key = `${task.type} ${error}`;
      const group = groups.get(key)
        ?? { key, type: task.type, error, sample: task, last: task.updated_at, ids: [] };
      group.ids.push(task.task_id);
      group.first = task.updated_at;
      groups.set(key, group);
    }
    count += page.items.length;
    cursor = page.next_cursor;
  } while (cursor && count < MOST);
  const items = [...groups.values()].sort((one, other) => other.ids.length - one.ids.length);
  return { items, count, hasMore: cursor !== null, at: new Date() };
}

export function Failed({ me }) {
  const live = useLive('/tasks?status=failed', () => false, readGroups);
  useTitle('Failed');
  const { items = [], count, hasMore, at } = live.data ?? {};
  const canRetry = me.scopes.includes('tasks:write');
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>Failed</h1>
      ${at && html`<p class="muted">
        ${hasMore ? `The last ${count} failed tasks` : `${count} tasks`}, read at ${clock(at)}${' '}
        <button type="button" class="quiet small" onClick=${live.reload}>Read again</button></p>`}
    </header>
    <${Problem} error=${live.error} />
    ${live.data && items.length === 0 && html`<${Nothing} title="No task has failed" />`}
    ${items.length > 0 && html`<div class="table"><table>
      <thead><tr><th>Type</th><th>Error</th><th class="number">Tasks</th><th class="time">First</th>
        <th class="time">Last</th><th><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${items.map((group) => html`<tr key=${group.key}>
        <td><a href=${withQuery('/ui/tasks', { status: 'failed', type: group.type })}>
          <span class="tag">${group.type}</span></a></td>
        <td class="task-title wrapped">${group.error ? html`<${Text} of=${group.error} />`
          : html`<span class="muted">no error is given</span>`}
          <p class="muted">such as${' '}
            <${TaskLink} id=${group.sample.task_id} title=${group.sample.title} /></p></td>
        <td class="number">${group.ids.length}</td>
        <td class="time"><${When} at=${group.first} /></td>
        <td class="time"><${When} at=${group.last} /></td>
        <td class="time">${canRetry && html`<${Retry} group=${group}
          reload=${live.reload} />`}</td>
      </tr>`)}</tbody></table></div>
      <p class="muted">Ids and numbers in errors are left out, so that the same fault is one
        group.</p>`}
  </main>`;
}

/** Retries the tasks of a group, one after the other. */
function Retry({ group, reload }) {
  const [state, setState] = useState(null);
  const isStopped = useRef(false);
  const { ids } = group;
  const run = async () => {
    isStopped.current = false;
    let [done, refused, last] = [0, 0, null];
    for (const id of ids) {
      if (isStopped.current) {
        break;
      }
      setState({ text: `${done + refused} of ${ids.length}`, isBusy: true });
      try {
        await post(`/tasks/${id}/retry`);
        done += 1;
      } catch (failed) {
        refused += 1;
        last = failed;
      }
    }
    const text = refused > 0 ? `${done} retried, ${refused} refused` : `${done} retried`;
    setState({ text, last });
    reload();
  };
  if (state?.isBusy) {
    return html`<span role="status">${state.text}</span>${' '}<button type="button"
      class="danger small" onClick=${() => {
        isStopped.current = true;
      }}>Stop</button>`;
  }
  return html`${state?.text && html`<span role="status">${state.text}</span>${' '}`}
    ${state?.isAsked ? html`<button type="button" class="main small" onClick=${run}>
        Retry ${ids.length}</button>${' '}
      <button type="button" class="quiet small" onClick=${() => setState(null)}>Keep</button>`
      : html`<button type="button" class="quiet small" aria-label=${`Retry ${group.type}`}
        onClick=${() => setState({ isAsked: true })}>Retry…</button>`}
    <${Problem} error=${state?.last} />`;
}
