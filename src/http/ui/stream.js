// The live events: one stream for the whole tab, which all views share.
//
// It is closed while the tab is hidden, and resumes after the last event that arrived, so that no
// event is missed unless the log has lost it: then listeners hear of a gap and read anew.

import { send } from './api.js';

/** How long to wait before the stream is opened again, in milliseconds; doubled up to the last. */
const FIRST_PAUSE = 500;
const LAST_PAUSE = 10_000;

const listeners = new Set();
const watchers = new Set();
let cursor = '';
let state = 'off';
let pause = FIRST_PAUSE;
let timer = 0;
/** Ends the stream that is open; null if none is. */
let open = null;

/**
 * Calls `listener` with each event, `{type, event}`; the type `gap` says that events were missed.
 * Returns a function that ends this.
 */
export function listen(listener) {
  listeners.add(listener);
  start();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      stop('off');
    }
  };
}

/** Calls `watcher` with the state of the stream, now and when it changes: live, paused, … */
export function watchState(watcher) {
  watchers.add(watcher);
  watcher(state);
  return () => watchers.delete(watcher);
}

/** Ends the stream for good: another person may sign in. */
export function reset() {
  stop('off');
  cursor = '';
}

function become(next) {
  state = next;
  watchers.forEach((watcher) => watcher(next));
}

function start() {
  if (open || listeners.size === 0) {
    return;
  }
  if (document.hidden) {
    become('paused');
    return;
  }
  clearTimeout(timer);
  open = new AbortController();
  follow(open).catch(() => {});
}

function stop(next) {
  clearTimeout(timer);
  open?.abort();
  open = null;
  become(next);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    stop(listeners.size ? 'paused' : 'off');
  } else {
    pause = FIRST_PAUSE;
    start();
  }
});

/** Reads one stream until it ends, and opens the next after a pause. */
async function follow(own) {
  become(state === 'live' ? 'live' : 'connecting');
  try {
    const headers = { accept: 'text/event-stream' };
    if (cursor) {
      headers['last-event-id'] = cursor;
    }
    const answer = await send('GET', '/events', { headers, signal: own.signal });
    if (answer.status === 400 && cursor) {
      // The log is another one: what happened meanwhile is unknown.
      cursor = '';
      tell({ type: 'gap' });
    }
    if (answer.ok) {
      await readAll(answer.body, own);
    }
  } catch {
    // The pause below is the answer to every failure.
  }
  if (open !== own) {
    return;
  }
  open = null;
  become('reconnecting');
  timer = setTimeout(start, pause);
  pause = Math.min(pause * 2, LAST_PAUSE);
}

async function readAll(body, own) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done || open !== own) {
      return;
    }
    become('live');
    pause = FIRST_PAUSE;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    blocks.forEach(readBlock);
  }
}

/** Reads one block of the stream: lines `id:`, `event:`, `data:`. */
function readBlock(block) {
  let type = '';
  const data = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) {
      cursor = line.slice(4);
    } else if (line.startsWith('event: ')) {
      type = line.slice(7);
    } else if (line.startsWith('data: ')) {
      data.push(line.slice(6));
    }
  }
  if (type === 'credential-ended') {
    // The answer is that the session has ended, which shows the sign-in at once.
    send('GET', '/session').catch(() => {});
  }
  if (type === '' || ['cut-off', 'stopping', 'error', 'credential-ended'].includes(type)) {
    return;
  }
  tell({ type, event: type === 'gap' ? null : JSON.parse(data.join('\n')) });
}

function tell(item) {
  listeners.forEach((listener) => listener(item));
}
