// The agents: what waits for each, what each holds, and which of them no process serves.

import { html, useEffect, useRef, useState } from './dom.js';
import { post } from './api.js';
import { Nothing, Problem, When, useLive, useTitle } from './parts.js';
import { listen } from './stream.js';

/** How many slices of time a sparkline has, and how long each is, in milliseconds. */
const SLICES = 40;
const SLICE_MS = 5_000;

/** Counts the tasks that each agent ended since the view was opened, by slices of time. */
function useEnded() {
  const [, render] = useState(0);
  const counts = useRef(new Map());
  useEffect(() => {
    const forget = listen(({ type, event }) => {
      const agent = event?.payload?.agent;
      if (agent && ['task.completed', 'task.failed'].includes(type) && !event.metadata?.external) {
        const own = counts.current.get(agent) ?? Array(SLICES).fill(0);
        own[SLICES - 1] += 1;
        counts.current.set(agent, own);
      }
    });
    const timer = setInterval(() => {
      counts.current.forEach((own) => own.push(0) && own.shift());
      render((count) => count + 1);
    }, SLICE_MS);
    return () => {
      forget();
      clearInterval(timer);
    };
  }, []);
  return counts.current;
}

function Sparkline({ of, label }) {
  const most = Math.max(...of, 1);
  return html`<svg class="sparkline" viewBox=${`0 0 ${SLICES} 10`} preserveAspectRatio="none"
    role="img" aria-label=${label}>
    ${of.map((count, nth) => count > 0 && html`<rect x=${nth + 0.1} width="0.8"
      y=${10 - (10 * count) / most} height=${(10 * count) / most} />`)}</svg>`;
}

/**
 * What is wrong with an agent, in words; null if nothing is.
 *
 * @param {import('./types').Agent} agent
 */
function trouble({ paused, depth, session_count: sessions }) {
  const tasks = `${depth} ${depth === 1 ? 'task waits' : 'tasks wait'}`;
  if (depth > 0 && paused) {
    return `${tasks} until it is resumed`;
  }
  return depth > 0 && sessions === 0 ? `${tasks} and no process is connected` : null;
}

export function Agents({ me }) {
  const live = useLive('/agents', ({ type }) =>
    type.startsWith('task.') || type.startsWith('agent.'));
  const ended = useEnded();
  const [error, setError] = useState(null);
  useTitle('Agents');
  const agents = live.data?.items ?? [];
  const act = async (agent, verb) => {
    setError(null);
    try {
      await post(`/agents/${encodeURIComponent(agent)}/${verb}`);
    } catch (refused) {
      setError(refused);
    }
    live.reload();
  };
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>Agents</h1></header>
    <${Problem} error=${error ?? live.error} />
    ${live.data && agents.length === 0 && html`<${Nothing} title="No agent has called yet">
      <p>An agent appears with its first claim, or with its first task.</p></${Nothing}>`}
    ${agents.length > 0 && html`<div class="table"><table>
      <thead><tr><th>Agent</th><th class="number">Waiting</th><th class="number">In progress</th>
        <th class="number">Processes</th><th>Ended lately</th><th class="time">Last call</th>
        <th><span class="unseen">Actions</span></th></tr></thead>
      <tbody>${agents.map((one) => html`<tr key=${one.agent}>
        <td><a href=${`/ui/tasks?assigned_to=${encodeURIComponent(one.agent)}`}>${one.agent}</a>
          ${one.paused && html` <span class="tag is-warned">paused</span>`}
          ${trouble(one) && html`<span class="task-error">${trouble(one)}</span>`}</td>
        <td class="number">${one.depth}</td>
        <td class="number">${one.in_progress}</td>
        <td class="number">${one.session_count}</td>
        <td><${Sparkline} of=${ended.get(one.agent) ?? []}
          label=${`Tasks that ${one.agent} ended since this view was opened`} /></td>
        <td class="time"><${When} at=${one.last_seen} /></td>
        <td class="time">${me.scopes.includes('admin') && html`<button type="button"
          class="quiet small" aria-label=${`${one.paused ? 'Resume' : 'Pause'} ${one.agent}`}
          onClick=${() => act(one.agent, one.paused ? 'resume' : 'pause')}>
          ${one.paused ? 'Resume' : 'Pause'}</button>`}</td>
      </tr>`)}</tbody></table></div>`}
  </main>`;
}
