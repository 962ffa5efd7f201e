// Parts that several views show.

import { html, useEffect, useState } from './dom.js';
import { Refusal, get, now } from './api.js';
import { Text, absolute, duration, plain, relative, words } from './text.js';
import { listen } from './stream.js';

/** A status as a dot and a word. */
export function Status({ of }) {
  return html`<span class=${`status is-${of}`}>${words(of)}</span>`;
}

/** A priority. */
export function Priority({ of }) {
  return html`<span class=${`priority is-${of}`}>${of}</span>`;
}

/** Renders again every second, as long as the component is shown. */
export function useSeconds() {
  const [, count] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => count((seconds) => seconds + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
}

/** A time relative to now; the title has it in full. */
export function When({ at }) {
  useSeconds();
  return at ? html`<time datetime=${at} title=${absolute(at)}>${relative(at)}</time>` : '–';
}

/** A deadline that runs out; what is near is marked. */
export function Countdown({ at, none = 'no limit' }) {
  useSeconds();
  if (!at) {
    return html`<span class="muted">${none}</span>`;
  }
  const left = Date.parse(at) - now();
  const urgency = left < 0 ? 'late' : left < 15 * 60_000 ? 'near' : 'calm';
  const text = left < 0 ? `${duration(-left)} ago` : duration(left);
  return html`<time class=${`countdown is-${urgency}`} datetime=${at} title=${absolute(at)}>
    ${text}</time>`;
}

/** The end of an id, which differs between ids of one time. */
export function shortId(id) {
  return id.slice(-8);
}

/** A button that copies a text. */
export function Copy({ text, label = 'Copy' }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  return html`<button type="button" class="quiet small" onClick=${copy}>
    <span aria-live="polite">${isDone ? 'Copied' : label}</span></button>`;
}

/** Why something was refused or failed. */
export function Problem({ error, children }) {
  if (!error) {
    return null;
  }
  const isRefusal = error instanceof Refusal;
  /** @type {Partial<import('./types').Problem>} */
  const { title, detail, errors = [] } = isRefusal
    ? error.problem : { title: 'The page failed', detail: String(error) };
  return html`<div class="problem" role="alert">
    <strong><${Text} of=${title} /></strong>
    <p><${Text} of=${detail} /></p>
    ${errors.map((one) => html`<p><code><${Text} of=${one.pointer} /></code>${' '}
      <${Text} of=${one.detail} /></p>`)}
    ${children}
  </div>`;
}

/** What a view shows instead of a list that is empty. */
export function Nothing({ title, children }) {
  return html`<div class="nothing"><p class="nothing-title">${title}</p>${children}</div>`;
}

/** Names and values in columns; an empty value is left out. */
export function Facts({ of }) {
  const rows = of.filter(([, value]) => value);
  return html`<dl class="facts">
    ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** A link to a task, by its title or the end of its id. */
export function TaskLink({ id, title }) {
  return html`<a href=${`/ui/tasks/${id}`} title=${id}>
    ${title ? html`<${Text} of=${title} />` : html`<code>…${shortId(id)}</code>`}</a>`;
}

/** Sets the title of the tab. */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${plain(title)} · Orchestrator` : 'Orchestrator';
  }, [title]);
}

/** How long events are collected before what they changed is read once, in milliseconds. */
const COLLECT_MS = 250;

/**
 * Reads `path`, and again when an event comes for which `concerns` holds; events are collected, so
 * that a burst of them costs one call. Returns `{data, error, reload}`; the last data stay while
 * newer ones are read.
 *
 * @param {string | null} path null: nothing is read
 * @param {(item: {type: string, event: any}) => boolean} concerns
 * @param {(path: string) => Promise<any>} read
 */
export function useLive(path, concerns, read = get) {
  const [seen, setSeen] = useState({ path: null, data: null, error: null });
  const [count, setCount] = useState(0);
  const reload = () => setCount((last) => last + 1);
  useEffect(() => {
    if (!path) {
      return undefined;
    }
    let isShown = true;
    let timer = 0;
    const show = (next) => isShown && setSeen((last) => ({ path, data: last.data, ...next }));
    read(path).then(
      (data) => show({ data, error: null }),
      (error) => {
        show({ error, ...(seen.path === path ? {} : { data: null }) });
        if (error.problem?.status === 0 || error.problem?.status >= 500) {
          timer = setTimeout(reload, 2_000);
        }
      });
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [path, count]);
  useEffect(() => {
    let timer = 0;
    const forget = listen((item) => {
      if (!timer && (item.type === 'gap' || concerns(item))) {
        timer = setTimeout(() => {
          timer = 0;
          reload();
        }, COLLECT_MS);
      }
    });
    return () => {
      clearTimeout(timer);
      forget();
    };
  }, [path]);
  const isFresh = seen.path === path;
  return {
    data: isFresh ? seen.data : null, error: isFresh ? seen.error : null, reload,
  };
}
