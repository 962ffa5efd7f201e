// How many tasks met their deadlines, and how long they waited and ran.

import { html } from './dom.js';
import { now, withQuery } from './api.js';
import { go } from './route.js';
import { figure } from './text.js';
import { Nothing, Problem, Priority, useLive, useTitle } from './parts.js';

const SPANS = { '1 h': 1, '24 h': 24, '7 d': 168, '31 d': 744 };
const GROUPS = { type: 'Type', priority: 'Priority', agent: 'Agent' };

/**
 * The figures of a group: name, value.
 *
 * @type {[string, (one: any) => any][]}
 */
const FIGURES = [
  ['Met', (one) => one.met],
  ['Late', (one) => one.violated],
  ['Failed', (one) => one.failed],
  ['Wait, median', (one) => figure(one.wait_ms.p50)],
  ['95 %', (one) => figure(one.wait_ms.p95)],
  ['Run, median', (one) => figure(one.run_ms.p50)],
  ['95 %', (one) => figure(one.run_ms.p95)],
  ['People, median', (one) => figure(one.human_ms.p50)],
];

/** The events after which the figures are others. */
const COUNTED = [
  'task.completed', 'task.failed', 'task.cancelled', 'task.started', 'sla.violation',
];

/** The start of a report of so many hours, which ends with this hour. */
function start(hours) {
  const hour = 3_600_000;
  return new Date((Math.floor(now() / hour) + 1 - hours) * hour).toISOString();
}

export function Sla({ query }) {
  const span = SPANS[query.span] ? query.span : '24 h';
  const group = GROUPS[query.by] ? query.by : 'type';
  const path = withQuery('/sla/report', { from: start(SPANS[span]), group_by: group });
  const live = useLive(path, ({ type }) => COUNTED.includes(type));
  useTitle('SLA');
  const to = (change) => withQuery('/ui/sla', { span: query.span, by: query.by, ...change });
  const { total, groups = [] } = live.data ?? {};
  const counts = total && [total.completed, total.failed, total.cancelled, total.wait_ms.count];
  const isEmpty = counts?.every((count) => count === 0);
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>SLA</h1>
      <div class="filters">
        <div class="tabs" role="group" aria-label="Time">${Object.keys(SPANS).map((name) => html`
          <a href=${to({ span: name })}
            aria-current=${name === span ? 'true' : undefined}>${name}</a>`)}
        </div>
        <label>By <select value=${group} onChange=${(event) => go(to({ by: event.target.value }))}>
          ${Object.entries(GROUPS).map(([value, name]) => html`
            <option value=${value}>${name}</option>`)}
        </select></label>
      </div></header>
    <${Problem} error=${live.error} />
    ${isEmpty && html`<${Nothing} title="No task ended or started in this time" />`}
    ${total && !isEmpty && html`
      <div class="cards">
        <${Card} name="Finished in time" value=${percent(total.attainment_percent)}
          more=${`${total.met} met, ${total.violated} late`} />
        <${Card} name="Started in time" value=${percent(total.start.attainment_percent)}
          more=${`${total.start.met} met, ${total.start.violated} late`} />
        <${Card} name="Completed" value=${total.completed}
          more=${`${total.failed} failed, ${total.cancelled} cancelled`} />
        <${Card} name="Waited for people" value=${figure(total.human_ms.p50)}
          more=${`median of ${total.human_ms.count}; 95 % within ${figure(total.human_ms.p95)}`} />
      </div>
      <div class="table"><table>
        <thead><tr><th>${GROUPS[group]}</th><th>In time</th>
          ${FIGURES.map(([name]) => html`<th class="number">${name}</th>`)}</tr></thead>
        <tbody>${groups.map((one) => html`<tr key=${one[group]}>
          <td>${group === 'priority'
            ? html`<${Priority} of=${one.priority} />` : one[group] ?? '–'}</td>
          <td><${Bar} percent=${one.attainment_percent} /></td>
          ${FIGURES.map(([, show]) => html`<td class="number">${show(one)}</td>`)}
        </tr>`)}</tbody></table></div>
      <p class="muted">Counted by whole hours. Times are at most 9 % off.</p>`}
  </main>`;
}

function percent(value) {
  return value === null ? '–' : `${Math.floor(value * 10) / 10} %`;
}

function Card({ name, value, more }) {
  return html`<div class="card"><span class="card-name">${name}</span>
    <span class="card-value">${value}</span><span class="muted">${more}</span></div>`;
}

function Bar({ percent: value }) {
  if (value === null) {
    return html`<span class="muted">no deadline</span>`;
  }
  const state = value >= 99 ? 'met' : value >= 95 ? 'warned' : 'violated';
  return html`<span class=${`attainment is-${state}`}>
    <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="bar" width="100" height="6" rx="1" />
      <rect class="used" width=${value} height="6" rx="1" /></svg>
    ${percent(value)}</span>`;
}
