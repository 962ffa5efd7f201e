// The tasks of a filter as a file: JSON lines, each as the API returns the task.

import { html, useRef, useState } from './dom.js';
import { call, withQuery } from './api.js';
import { member, parse } from './json.js';
import { Problem } from './parts.js';

/** How many tasks a file has at most: the tab holds all of it. */
const MOST = 10_000;

/** How long the address of the file is kept, in milliseconds: the browser must have begun. */
const KEPT_MS = 60_000;

/** Reads the newest tasks of the filter as lines; `tell` is called with their number so far. */
async function readLines(filters, signal, tell) {
  const lines = [];
  let cursor = null;
  do {
    const limit = Math.min(MOST - lines.length, 200);
    const query = { ...filters, include: 'payload,metadata,result', limit, cursor };
    const page = parse(await call('GET', withQuery('/tasks', query), { signal }));
    // Numbers keep every digit. A line break can stand only between the parts of a value.
    lines.push(...member(page, 'items').items.map(({ source }) => source.replace(/[\r\n]+/g, ' ')));
    tell(lines.length);
    const next = member(page, 'next_cursor');
    cursor = next.kind === 'text' ? next.value : null;
  } while (cursor && lines.length < MOST);
  return lines;
}

/** Has the browser save a text as a file. */
function save(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}

export function Export({ filters }) {
  const [count, setCount] = useState(null);
  const [error, setError] = useState(null);
  const running = useRef(null);
  const begin = async () => {
    setError(null);
    setCount(0);
    running.current = new AbortController();
    try {
      const lines = await readLines(filters, running.current.signal, setCount);
      save('tasks.jsonl', lines.map((line) => `${line}\n`).join(''));
    } catch (failed) {
      if (failed.name !== 'AbortError') {
        setError(failed);
      }
    }
    setCount(null);
  };
  return html`${count === null
    ? html`<button type="button" class="quiet" onClick=${begin}
      title=${`As JSON lines, the newest ${MOST} at most`}>Export</button>`
    : html`<span role="status">Read ${count}…</span>
      <button type="button" class="quiet" onClick=${() => running.current.abort()}>Stop</button>`}
    <${Problem} error=${error} />`;
}
