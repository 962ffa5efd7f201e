// One task: where it is and why, its timeline, its content, its approvals and its deadlines.

import { html, useState } from './dom.js';
import { call, get, now, post } from './api.js';
import { Text, absolute, duration, words } from './text.js';
import { member, parse } from './json.js';
import {
  Copy, Countdown, Facts, Priority, Problem, Status, TaskLink, When, shortId, useLive, useSeconds,
  useTitle,
} from './parts.js';
import { Tree } from './tree.js';
import { Timeline } from './timeline.js';
import { Progress } from './tasks.js';

const FINAL = ['completed', 'failed', 'cancelled'];

async function read(path) {
  const [text, timeline, children] = await Promise.all([
    call('GET', path), get(`${path}/events`), get(`/tasks?parent_task_id=${path.split('/').pop()}`),
  ]);
  const tree = parse(text);
  const values = ['payload', 'metadata', 'result'].map((name) => [name, member(tree, name)]);
  return {
    task: JSON.parse(text),
    values: values.filter(([, value]) => value && value.source !== 'null'),
    timeline: timeline.items,
    children: children.items,
  };
}

export function TaskPage({ id, me }) {
  const path = `/tasks/${encodeURIComponent(id)}`;
  const live = useLive(path, ({ event }) => event?.task_id === id, read);
  const task = live.data?.task;
  useTitle(task ? task.title ?? `${task.type} …${shortId(id)}` : 'Task');
  if (!task) {
    return html`<main class="task" id="main" tabindex="-1">
      <a class="back" href="/ui/tasks">← Tasks</a><h1>Task</h1>
      <${Problem} error=${live.error} /></main>`;
  }
  return html`<main class="task" id="main" tabindex="-1">
    <a class="back" href="/ui/tasks">← Tasks</a>
    <header class="view-head">
      <div><p class="over"><${Status} of=${task.status} /><span class="tag">${task.type}</span>
        <${Priority} of=${task.priority} /></p>
      <h1>${task.title
        ? html`<${Text} of=${task.title} />` : `${task.type} …${shortId(id)}`}</h1></div>
      <${Actions} task=${task} me=${me} reload=${live.reload} />
    </header>
    <${Problem} error=${live.error} />
    <${Waiting} task=${task} />
    ${task.error && html`<section class="problem" aria-label="Error"><strong>
      ${task.status === 'cancelled' ? 'Cancelled' : 'The last attempt failed'}</strong>
      <p class="wrapped"><${Text} of=${task.error} /></p></section>`}
    <h2 class="unseen">Details</h2>
    <div class="columns">
      <div>
        <${Clocks} task=${task} />
        <${Facts} of=${facts(task)} />
        ${live.data.children.length > 0 && html`<section class="part"><h3>Parts of this task</h3>
          <ul class="plain">${live.data.children.map((child) => html`<li>
            <${Status} of=${child.status} />${' '}
            <${TaskLink} id=${child.task_id} title=${child.title} />
            <span class="muted"> ${child.type}</span></li>`)}</ul></section>`}
        <section class="part"><h3>Timeline</h3><${Timeline} of=${live.data.timeline} /></section>
      </div>
      <div>${live.data.values.map(([name, value]) => html`<${Tree} key=${name} of=${value}
        title=${name[0].toUpperCase() + name.slice(1)} />`)}</div>
    </div>
  </main>`;
}

/** @param {import('./types').Task} task */
function facts(task) {
  const link = (id) => id && html`<${TaskLink} id=${id} />`;
  return [
    ['Id', html`<span class="digest"><code class="whole">${task.task_id}</code>
      <${Copy} text=${task.task_id} /></span>`],
    ['Agent', task.assigned_to],
    ['Submitted by', html`<${Text} of=${task.submitted_by} />`],
    ['Source', html`<${Text} of=${task.source} />`],
    ['Submitted', html`<${When} at=${task.created_at} />`],
    ['Starts', task.scheduled_for && html`<${When} at=${task.scheduled_for} />`],
    ['Attempt', task.attempt > 0 ? `${task.attempt}` : null],
    ['Failed attempts', task.retry_count > 0
      ? `${task.retry_count} of ${task.max_retries + 1}` : null],
    ['Lost leases', task.lost_count > 0 ? String(task.lost_count) : null],
    ['Waited for people', task.waiting_for_human_ms > 0
      ? duration(task.waiting_for_human_ms) : null],
    ['Approval', task.approval && html`<a href=${`/ui/approvals/${task.approval_id}`}>
      ${task.approval.status}</a>${' '}
      <span class="muted"><${Text} of=${task.approval.rule} /></span>`],
    ['Part of', link(task.parent_task_id)],
    ['Trace', task.trace_id && html`<code class="whole"><${Text} of=${task.trace_id} /></code>`],
    ['Version', task.version > 1 ? `${task.version}, edited by an approver` : null],
  ];
}

/**
 * Why an open task does not run, in the gateway's words, or how far it is.
 *
 * @param {{task: import('./types').Task}} props
 */
function Waiting({ task }) {
  const why = task.why_waiting;
  if (task.status === 'in_progress' && task.progress) {
    return html`<section class="why"><${Progress} of=${task.progress} /></section>`;
  }
  if (!why) {
    return null;
  }
  return html`<section class="why" aria-label="Why it waits">
    <strong>Waits: ${words(why.reason)}</strong> <${Text} of=${why.detail} />
    ${why.until && html` Until <${When} at=${why.until} />.`}
    ${why.approval_id && html` <a href=${`/ui/approvals/${why.approval_id}`}>Open the approval</a>`}
  </section>`;
}

const OUTCOME = { on_track: 'on track', warned: 'at risk', violated: 'late', met: 'met' };

/**
 * The clocks of the SLA: how much of the time until each deadline is used.
 *
 * @param {{task: import('./types').Task}} props
 */
function Clocks({ task }) {
  useSeconds();
  const { sla } = task;
  const clocks = [
    ['start', sla?.start_deadline, sla?.start_state, task.started_at],
    ['finish', sla?.deadline, sla?.state, task.completed_at],
  ].filter(([, deadline]) => deadline);
  if (clocks.length === 0) {
    return null;
  }
  return html`<section class="part" aria-label="SLA"><h3>SLA ${sla.target
    && html`<span class="muted">target <${Text} of=${sla.target} /></span>`}</h3>
    ${clocks.map(([name, deadline, state, end]) => {
      const begin = Date.parse(task.scheduled_for ?? task.created_at);
      const at = end ? Date.parse(end) : now();
      const used = Math.min(Math.max((at - begin) / (Date.parse(deadline) - begin), 0), 1);
      const isOver = end || FINAL.includes(task.status);
      return html`<div class=${`clock is-${state}`}>
        <span class="clock-name">${name}</span>
        <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img"
          aria-label=${`${Math.round(used * 100)} % of the time is used`}>
          <rect class="bar" width="100" height="6" rx="1" />
          <rect class="used" width=${used * 100} height="6" rx="1" />
          <rect class="mark" x=${sla.alert_threshold} width="0.7" height="6" /></svg>
        <span class="clock-state">${OUTCOME[state] ?? words(state)}</span>
        <span class="muted" title=${absolute(deadline)}>${isOver
          ? html`deadline <${When} at=${deadline} />`
          : html`<${Countdown} at=${deadline} />`}</span>
      </div>`;
    })}
  </section>`;
}

/** Cancel and retry. A click asks first, in the place of the button. */
function Actions({ task, me, reload }) {
  const [asked, setAsked] = useState(null);
  const [error, setError] = useState(null);
  const [reason, setReason] = useState('');
  if (!me.scopes.includes('tasks:write')) {
    return null;
  }
  const isFinal = FINAL.includes(task.status);
  const act = async (verb) => {
    setError(null);
    try {
      const body = verb === 'cancel' && reason.trim() ? { reason: reason.trim() } : {};
      await post(`/tasks/${task.task_id}/${verb}`, body);
    } catch (refused) {
      setError(refused);
    }
    setAsked(null);
    reload();
  };
  return html`<div class="actions">
    ${asked === 'cancel' && html`<label for="cancel-reason" class="unseen">Reason to cancel</label>
      <input id="cancel-reason" placeholder="Reason (optional)" maxlength="1000" value=${reason}
        onInput=${(event) => setReason(event.target.value)} />`}
    ${asked && html`<button type="button" class=${asked === 'cancel' ? 'danger' : 'main'}
      onClick=${() => act(asked)}>
      ${asked === 'cancel' ? 'Cancel the task' : 'Retry the task'}</button>
      <button type="button" class="quiet" onClick=${() => setAsked(null)}>Keep it</button>`}
    ${!asked && !isFinal && html`<button type="button" class="quiet"
      onClick=${() => setAsked('cancel')}>Cancel…</button>`}
    ${!asked && ['failed', 'cancelled'].includes(task.status) && html`<button type="button"
      class="quiet" onClick=${() => setAsked('retry')}>Retry…</button>`}
    <${Problem} error=${error} />
  </div>`;
}
