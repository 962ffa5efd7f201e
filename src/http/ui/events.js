// The live tail of the event log.

import { html, useEffect, useRef, useState } from './dom.js';
import { withQuery } from './api.js';
import { go, useKeys } from './route.js';
import { listen } from './stream.js';
import { Text, absolute, clock } from './text.js';
import { parse } from './json.js';
import { Nothing, TaskLink, useTitle } from './parts.js';
import { Value } from './tree.js';

/** How many events are kept: the tab's memory stays flat however long it is open. */
const KEPT = 500;

/** How often events that came are shown, in milliseconds. */
const SHOW_MS = 200;

const FAMILIES = ['task', 'approval', 'sla', 'agent'];

/** Whether a pattern such as `deploy.*` or `task.completed` matches; an empty one matches all. */
function fits(type, patterns) {
  return patterns.length === 0 || patterns.some((pattern) =>
    pattern.endsWith('.*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern);
}

export function Events({ query }) {
  const patterns = (query.types ?? '').split(',').map((one) => one.trim()).filter(Boolean);
  const [items, setItems] = useState([]);
  const [isPaused, setPaused] = useState(false);
  const waiting = useRef([]);
  const nth = useRef(0);
  useTitle('Events');
  useEffect(() => listen((item) => {
    nth.current += 1;
    waiting.current.unshift({ ...item, nth: nth.current });
    waiting.current.length = Math.min(waiting.current.length, KEPT);
  }), []);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!isPaused && waiting.current.length > 0) {
        const fresh = waiting.current;
        waiting.current = [];
        setItems((last) => [...fresh, ...last].slice(0, KEPT));
      }
    }, SHOW_MS);
    return () => clearInterval(timer);
  }, [isPaused]);
  useKeys({ p: () => setPaused(!isPaused) });
  const shown = items.filter(({ type }) => type === 'gap' || fits(type, patterns));
  const to = (types) => withQuery('/ui/events', { types: types.join(',') });
  const toggle = (family) => {
    const pattern = `${family}.*`;
    return to(patterns.includes(pattern)
      ? patterns.filter((one) => one !== pattern) : [...patterns, pattern]);
  };
  return html`<main id="main" tabindex="-1">
    <header class="view-head"><h1>Events</h1>
      <div class="filters">
        <div class="tabs" role="group" aria-label="Families of events">
          <a href="/ui/events" aria-current=${patterns.length === 0 ? 'true' : undefined}>all</a>
          ${FAMILIES.map((family) => html`<a href=${toggle(family)}
            aria-current=${patterns.includes(`${family}.*`) ? 'true' : undefined}>${family}</a>`)}
        </div>
        <label>Types <input value=${query.types ?? ''} placeholder="deploy.*,task.completed"
          spellcheck="false" onChange=${(event) => go(to(event.target.value.split(',')))} /></label>
        <button type="button" class="quiet" aria-pressed=${isPaused}
          onClick=${() => setPaused(!isPaused)}>${isPaused ? 'Continue' : 'Pause'}</button>
      </div></header>
    ${shown.length === 0 && html`<${Nothing} title="No events yet">
      <p>They appear here as they happen.</p></${Nothing}>`}
    <ol class="events" aria-label="Events, newest first">
      ${shown.map((item) => html`<${Event} key=${item.nth} item=${item} />`)}</ol>
    <p class="keys"><kbd>p</kbd> pause. The newest ${KEPT} are shown; GET /events has the log.</p>
  </main>`;
}

/** One event; its payload is shown on request. */
function Event({ item }) {
  const [isOpen, setOpen] = useState(false);
  if (item.type === 'gap') {
    return html`<li class="gap" role="status">
      Events are missing here: the log no longer has them.</li>`;
  }
  const { event } = item;
  const payload = event.payload ?? {};
  const actor = payload.actor ?? event.source_agent;
  return html`<li>
    <div class="event-line">
      <time datetime=${event.timestamp} title=${absolute(event.timestamp)}>
        ${clock(event.timestamp)}</time>
      <button type="button" class="fold" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
        <${Text} of=${event.event_type} /></button>
      ${event.metadata?.external === true && html`<span class="tag">external</span>`}
      ${event.task_id && html`<${TaskLink} id=${event.task_id} title=${payload.title} />`}
      ${actor && html`<span class="muted">by <${Text} of=${actor} /></span>`}
      ${payload.reason && html`<span class="event-why"><${Text} of=${payload.reason} /></span>`}
    </div>
    ${isOpen && html`<div class="json"><${Value} node=${parse(JSON.stringify(event))} /></div>`}
  </li>`;
}
