// The gateway and its rules: health, version, which agent gets what, what needs an approval, keys.

import { html, useState } from './dom.js';
import { get, post, send } from './api.js';
import { Text, duration } from './text.js';
import { Facts, Problem, Status, When, useLive, useTitle } from './parts.js';

/** The health, also of a gateway that is not ready; its status is not one of success then. */
async function readHealth() {
  return (await send('GET', '/health/ready')).json();
}

/** Reads all managed keys. */
async function readKeys() {
  const items = [];
  let cursor = null;
  do {
    const page = await get(`/admin/keys?limit=200${cursor ? `&cursor=${cursor}` : ''}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

export function System() {
  const health = useLive('/health/ready', () => false, readHealth);
  const stats = useLive('/stats', () => false);
  const rules = useLive('/admin/routing', () => false);
  const keys = useLive('/admin/keys', ({ type }) => type.startsWith('key.'), readKeys);
  useTitle('System');
  const error = health.error ?? stats.error ?? rules.error ?? keys.error;
  const reload = () => [health, stats, rules, keys].forEach((live) => live.reload());
  const { data: shown } = health;
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>System</h1>
      <button type="button" class="quiet" onClick=${reload}>Read again</button></header>
    <${Problem} error=${error} />
    ${shown && html`<${Facts} of=${[
      ['Gateway', html`<${Status} of=${shown.status} />`],
      ['Redis', shown.redis],
      ['Version', shown.version],
      ['NATS bridge', shown.bridge_lag_ms === null ? 'never ran'
        : `${duration(shown.bridge_lag_ms)} behind the event log`],
      ['Tasks', stats.data && String(stats.data.queue.total_tasks)],
    ]} />`}
    <${Explain} />
    ${rules.data && html`<${Routing} rules=${rules.data.rules} />
      <${Approvals} rules=${rules.data.approvals} />`}
    ${keys.data && html`<${Keys} keys=${keys.data} />`}
    <p class="muted">The settings in force, without secrets: <code>orchestrator settings</code>.
      What the doctor finds: <code>orchestrator doctor</code>.</p>
  </main>`;
}

/**
 * When a rule applies, in words.
 *
 * @param {{of: import('./types').Condition}} props
 */
function Condition({ of }) {
  /** @type {[string, string[]][]} */
  const parts = [['type', of.types], ['priority', of.priorities], ['source', of.sources]];
  const words = parts.filter(([, values]) => values.length > 0)
    .map(([name, values]) => `${name} ${values.join(' or ')}`);
  const list = (values) => values.map((value) => JSON.stringify(value)).join(' or ');
  for (const { field, equals, unless, or_missing: orMissing } of of.where) {
    const test = equals.length > 0 ? `is ${list(equals)}` : `is not ${list(unless)}`;
    words.push(`${field} ${test}${orMissing ? ' or absent' : ''}`);
  }
  return html`<${Text} of=${words.join(', ') || 'any task'} />`;
}

function Routing({ rules }) {
  return html`<section class="part"><h2>Which agent gets a task</h2>
    <div class="table"><table>
      <thead><tr><th class="number">Rule</th><th>Applies to</th><th>Agent</th></tr></thead>
      <tbody>${rules.map(({ agent, when }, nth) => html`<tr key=${nth}>
        <td class="number">${nth}</td><td class="wrapped"><${Condition} of=${when} /></td>
        <td>${agent}</td></tr>`)}</tbody></table></div>
    <p class="muted">The first rule that applies counts.</p></section>`;
}

/** The approvers of a rule, in words. */
function deciders({ levels: [{ roles, groups }], quorum }) {
  const names = [...roles.map((one) => `role ${one}`), ...groups.map((one) => `group ${one}`)];
  return `${quorum} of ${names.join(' or ') || 'any approvers'}`;
}

function Approvals({ rules }) {
  return html`<section class="part"><h2>What needs an approval</h2>
    <div class="table"><table>
      <thead><tr><th>Rule</th><th>Applies to</th><th>Approvers</th><th>Time</th></tr></thead>
      <tbody>${rules.map(({ name, when, required, terms }) => html`<tr key=${name}>
        <td><${Text} of=${name} /></td><td class="wrapped"><${Condition} of=${when} /></td>
        <td><${Text} of=${required ? deciders(terms) : 'none: exempt'} /></td>
        <td>${required ? duration(terms.levels[0].expires_after_ms) : '–'}</td></tr>`)}</tbody>
    </table></div></section>`;
}

/** @param {{keys: import('./types').ManagedKey[]}} props */
function Keys({ keys }) {
  return html`<section class="part"><h2>Managed keys</h2>
    ${keys.length === 0 ? html`<p class="muted">None; the keys of the settings are not shown.</p>`
      : html`<div class="table"><table>
      <thead><tr><th>Name</th><th>Person</th><th>Role</th><th>State</th>
        <th class="time">Created</th><th class="time">Last used</th></tr></thead>
      <tbody>${keys.map((key) => html`<tr key=${key.key_id}>
        <td>${key.name}</td><td><${Text} of=${key.identity} /></td><td>${key.role}</td>
        <td>${key.ended_at ? html`ended <${When} at=${key.ended_at} />${key.revoked_by
          && html` by <${Text} of=${key.revoked_by} />`}`
          : key.expires_at ? html`until <${When} at=${key.expires_at} />` : 'valid'}</td>
        <td class="time"><${When} at=${key.created_at} /></td>
        <td class="time"><${When} at=${key.last_used_at} /></td></tr>`)}</tbody></table></div>`}
  </section>`;
}

/** Where a submission would go. */
function Explain() {
  const [text, setText] = useState('{"type": "bugfix", "priority": "P2", "payload": {}}');
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const ask = async (event) => {
    event.preventDefault();
    setFound(null);
    setError(null);
    try {
      setFound(await post('/admin/routing/explain', JSON.parse(text)));
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<form class="part" onSubmit=${ask}>
    <h2>Where a task would go</h2>
    <label for="submission">A submission, as <code>POST /tasks</code> takes it</label>
    <textarea id="submission" rows="2" spellcheck="false" value=${text}
      onInput=${(event) => setText(event.target.value)}></textarea>
    <div class="buttons"><button type="submit" class="quiet">Explain</button>
      ${found && html`<span role="status">${found.agent
        ? html`to <b>${found.agent}</b>, by rule ${found.rule}` : 'refused: no rule applies'};${' '}
        ${found.approval_rule ? html`held by <b><${Text} of=${found.approval_rule} /></b>`
          : 'no approval'}</span>`}</div>
    <${Problem} error=${error} />
  </form>`;
}
