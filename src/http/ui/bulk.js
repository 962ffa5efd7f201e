// One action on all tasks that the filter on the screen matches: counted first, then confirmed,
// with its progress, and aborted by a click.

import { html, useEffect, useState } from './dom.js';
import { get, post } from './api.js';
import { Text, words } from './text.js';
import { Problem } from './parts.js';

/** How often a bulk that runs is read, in milliseconds. */
const LOOK_MS = 300;

/** The actions: name in the API, name for people, and the statuses to which it applies. */
const ACTIONS = [
  ['retry', 'Retry', ['failed', 'cancelled']],
  ['cancel', 'Cancel', ['blocked', 'scheduled', 'pending', 'assigned', 'in_progress']],
];

const ENDED = ['completed', 'aborted'];

/** Reads a bulk again and again until it has ended. */
function useBulk(started) {
  const [bulk, setBulk] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    setBulk(started);
    setError(null);
    if (!started) {
      return undefined;
    }
    let timer = 0;
    let isShown = true;
    const look = async () => {
      try {
        const next = await get(`/bulk/${started.bulk_id}`);
        if (!isShown) {
          return;
        }
        setBulk(next);
        setError(null);
        if (ENDED.includes(next.status)) {
          return;
        }
      } catch (failed) {
        if (isShown) {
          setError(failed);
        }
      }
      if (isShown) {
        timer = setTimeout(look, LOOK_MS);
      }
    };
    look();
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [started?.bulk_id]);
  return { bulk, error };
}

/** The buttons for a caller who may write, and what runs; `filters` may have empty members. */
export function Bulk({ filters, reload }) {
  const filter = Object.fromEntries(Object.entries(filters).filter(([, value]) => value));
  const [started, setStarted] = useState(null);
  const [refused, setRefused] = useState(null);
  const { bulk, error } = useBulk(started);
  const hasEnded = bulk && ENDED.includes(bulk.status);
  useEffect(() => {
    if (hasEnded && !bulk.dry_run) {
      reload();
    }
  }, [hasEnded]);
  const begin = async (order) => {
    setRefused(null);
    try {
      setStarted(await post('/tasks/bulk', order));
    } catch (failed) {
      setRefused(failed);
    }
  };
  const close = () => {
    setStarted(null);
    setRefused(null);
  };
  if (!bulk) {
    const possible = ACTIONS.filter(([, , from]) => !filter.status || from.includes(filter.status));
    return html`${possible.map(([action, name]) => html`<button type="button" class="quiet"
        onClick=${() => begin({ action, filter, dry_run: true })}>${name} all…</button>`)}
      <${Problem} error=${refused} />`;
  }
  return html`<section class="why bulk" aria-label="Bulk">
    <${Problem} error=${refused ?? error} />
    ${bulk.dry_run ? html`<${Counted} bulk=${bulk} hasEnded=${hasEnded} begin=${begin}
      close=${close} />` : html`<${Running} bulk=${bulk} hasEnded=${hasEnded} close=${close}
      refuse=${setRefused} />`}
  </section>`;
}

function nameOf({ action }) {
  return ACTIONS.find(([known]) => known === action)?.[1] ?? words(action);
}

function tasks(count) {
  return `${count} ${count === 1 ? 'task' : 'tasks'}`;
}

/**
 * How many tasks match, and the question whether to begin.
 *
 * @param {{
 *   bulk: import('./types').Bulk, hasEnded: boolean, begin: (order: object) => void,
 *   close: () => void,
 * }} props
 */
function Counted({ bulk, hasEnded, begin, close }) {
  const [reason, setReason] = useState('');
  const confirm = () => {
    const { action, filter, created_at: at } = bulk;
    const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null));
    const words = reason.trim() ? { reason: reason.trim() } : {};
    // A task that was accepted after the count is none of those that were counted.
    begin({ action, filter: { created_before: at, ...given }, ...words });
  };
  const rest = bulk.matched - bulk.first.length;
  return html`<p role="status"><strong>${hasEnded ? `${tasks(bulk.matched)} match the filter.`
      : `Counting, ${bulk.matched} so far…`}</strong></p>
    <ul class="plain">${bulk.first.map((task) => html`<li>
        <span class="tag">${task.type}</span>${' '}
        ${task.title ? html`<${Text} of=${task.title} />` : html`<code>${task.task_id}</code>`}
      </li>`)}
      ${rest > 0 && html`<li class="muted">and ${rest} more</li>`}</ul>
    <div class="buttons">
      ${hasEnded && bulk.matched > 0 && html`
        <label class="unseen" for="bulk-reason">Reason</label>
        <input id="bulk-reason" placeholder="Reason (optional)" maxlength="1000" value=${reason}
          onInput=${(event) => setReason(event.target.value)} />
        <button type="button" class=${bulk.action === 'cancel' ? 'danger' : 'main'}
          onClick=${confirm}>${nameOf(bulk)} ${tasks(bulk.matched)}</button>`}
      <button type="button" class="quiet" onClick=${close}>Close</button></div>`;
}

/**
 * How far a bulk is, and what it did.
 *
 * @param {{
 *   bulk: import('./types').Bulk, hasEnded: boolean, close: () => void,
 *   refuse: (error: Error) => void,
 * }} props
 */
function Running({ bulk, hasEnded, close, refuse }) {
  const refused = bulk.refused.reduce((sum, { count }) => sum + count, 0);
  const abort = () => post(`/bulk/${bulk.bulk_id}/abort`).catch(refuse);
  return html`<p role="status"><strong>${nameOf(bulk)}: ${hasEnded ? words(bulk.status)
      : 'running'}.</strong> ${bulk.done} done, ${refused} left alone, ${bulk.matched} matched.</p>
    ${!hasEnded && html`<progress max=${Math.max(bulk.matched, 1)} value=${bulk.done + refused}
      aria-label="Progress of the bulk"></progress>`}
    <ul class="plain">${bulk.refused.map(({ reason, count, first }) => html`<li>
      ${count} × <code>${reason}</code>, such as${' '}
      <a href=${`/ui/tasks/${first[0]}`}><code>${first[0]}</code></a></li>`)}</ul>
    <div class="buttons">${hasEnded
      ? html`<button type="button" class="quiet" onClick=${close}>Close</button>`
      : html`<button type="button" class="danger" onClick=${abort}>Abort</button>`}</div>`;
}
