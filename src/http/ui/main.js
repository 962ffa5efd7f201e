// The frame of the page: who is signed in, the views, and the keys that work everywhere.

import { html, render, useEffect, useRef, useState } from './dom.js';
import { get, onSignedOut, signOut, whoAmI } from './api.js';
import { here, go, useKeys, useRoute } from './route.js';
import { listen, reset, watchState } from './stream.js';
import { Text } from './text.js';
import { Problem } from './parts.js';
import { SignIn, takeWanted } from './signin.js';
import { Inbox } from './inbox.js';
import { Tasks } from './tasks.js';
import { TaskPage } from './task.js';
import { Agents } from './agents.js';
import { Sla } from './sla.js';
import { Events } from './events.js';
import { Failed } from './failed.js';
import { Audit } from './audit.js';
import { System } from './system.js';
import { useNotifications } from './notify.js';

/** The views in the order of the menu: path, name, key, and the scope that it needs. */
const MENU = [
  ['/approvals', 'Inbox', '1'], ['/tasks', 'Tasks', '2'], ['/agents', 'Agents', '3'],
  ['/sla', 'SLA', '4'], ['/events', 'Events', '5'], ['/failed', 'Failed', '6'],
  ['/audit', 'Audit', '7', 'admin'], ['/system', 'System', '8', 'admin'],
];

/** The views that the caller may see. */
function menuOf(me) {
  return MENU.filter(([, , , scope]) => !scope || me?.scopes.includes(scope));
}

/** How many approvals wait for the caller is read again after events, this long after the first. */
const COUNT_MS = 500;

/** Chooses the view for a path. */
function View({ route, me }) {
  const [, name, id] = route.path.split('/');
  switch (name) {
    case '':
    case 'approvals': return html`<${Inbox} me=${me} id=${id} query=${route.query} />`;
    case 'tasks': return id ? html`<${TaskPage} key=${id} id=${id} me=${me} />`
      : html`<${Tasks} query=${route.query} me=${me} />`;
    case 'agents': return html`<${Agents} me=${me} />`;
    case 'sla': return html`<${Sla} query=${route.query} />`;
    case 'audit': return html`<${Audit} query=${route.query} />`;
    case 'system': return html`<${System} />`;
    case 'failed': return html`<${Failed} me=${me} />`;
    case 'events': return html`<${Events} query=${route.query} />`;
    default: return html`<main class="alone" id="main" tabindex="-1"><h1>Nothing is here</h1>
      <p><a href="/ui">Go to the start</a></p></main>`;
  }
}

/** How many approvals wait for the caller; null for callers who cannot decide. */
function useWaiting(me) {
  const [waiting, setWaiting] = useState(null);
  const again = useRef(() => {});
  const decides = me?.scopes.includes('approvals:decide');
  useEffect(() => {
    if (!decides) {
      setWaiting(null);
      return undefined;
    }
    let timer = 0;
    const read = async () => {
      timer = 0;
      try {
        const page = await get('/approvals?for=me&limit=100');
        setWaiting(page.next_cursor ? `${page.items.length}+` : page.items.length);
      } catch {
        // The views show what is wrong with the gateway.
      }
    };
    read();
    again.current = read;
    const forget = listen(({ type }) => {
      if (!timer && (type === 'gap' || type.startsWith('approval.') || type.startsWith('task.'))) {
        timer = setTimeout(read, COUNT_MS);
      }
    });
    return () => {
      clearTimeout(timer);
      again.current = () => {};
      forget();
    };
  }, [me?.caller, decides]);
  useNotifications(waiting, again);
  return waiting;
}

/** The icon of the tab and its title show how many approvals wait. */
function useCountInTitle(waiting) {
  useEffect(() => {
    const show = () => {
      const bare = document.title.replace(/^\(\d+\+?\) /, '');
      const title = waiting ? `(${waiting}) ${bare}` : bare;
      if (document.title !== title) {
        document.title = title;
      }
    };
    show();
    const watch = new MutationObserver(show);
    watch.observe(document.querySelector('title'), { childList: true });
    return () => watch.disconnect();
  }, [waiting]);
}

const STATES = {
  live: 'Live', connecting: 'Connecting', reconnecting: 'Reconnecting', paused: 'Paused', off: '',
};

function Live() {
  const [state, setState] = useState('off');
  useEffect(() => watchState(setState), []);
  return html`<span class=${`live is-${state}`} role="status">${STATES[state]}</span>`;
}

function Header({ me, path, waiting, leave }) {
  const current = path === '/' ? '/approvals' : `/${path.split('/')[1]}`;
  return html`<header class="top">
    <a class="skip" href="#main">Skip to content</a>
    <a class="brand" href="/ui" aria-label="Orchestrator, start">
      <img src="/ui/files/icon.svg" alt="" width="22" height="22" /><span>Orchestrator</span></a>
    <nav aria-label="Views">
      ${menuOf(me).map(([to, name]) => html`<a href=${`/ui${to}`}
        aria-current=${to === current ? 'page' : undefined}>${name}
        ${to === '/approvals' && waiting ? html`<span class="count">${waiting}
          <span class="unseen"> waiting</span></span>` : null}</a>`)}
    </nav>
    <div class="who"><${Live} />
      <span class="me" title=${`Role ${me.role}`}><${Text} of=${me.caller} /></span>
      <button type="button" class="quiet small" onClick=${leave}>Sign out</button></div>
  </header>`;
}

function Page() {
  const route = useRoute();
  // Undefined as long as it is not known; null if no session has begun.
  const [me, setMe] = useState(undefined);
  const [error, setError] = useState(null);
  const waiting = useWaiting(me);
  useCountInTitle(waiting);
  useEffect(() => {
    onSignedOut(() => setMe(null));
    const ask = () => whoAmI().then((found) => {
      setError(null);
      setMe(found);
    }, (failed) => {
      setError(failed);
      setTimeout(ask, 2_000);
    });
    ask();
  }, []);
  useEffect(() => {
    if (me === null) {
      reset();
    }
    if (me && here().path === '/') {
      const usual = me.scopes.includes('approvals:decide') ? '/ui' : '/ui/tasks';
      go(takeWanted() ?? usual, { replace: true });
    }
  }, [me]);
  useKeys(Object.fromEntries(menuOf(me).map(([to, , key]) =>
    [key, () => me && go(`/ui${to}`)])));
  if (me === undefined) {
    return html`<main class="alone" id="main"><${Problem} error=${error} /></main>`;
  }
  if (me === null) {
    return html`<${SignIn} done=${setMe} />`;
  }
  const leave = () => {
    setError(null);
    // A session that has ended already is what the reader wants.
    signOut().then(() => setMe(null), (failed) =>
      failed.problem?.status === 401 ? setMe(null) : setError(failed));
  };
  return html`<${Header} me=${me} path=${route.path} waiting=${waiting} leave=${leave} />
    <${Problem} error=${error} />
    <${View} route=${route} me=${me} />`;
}

render(html`<${Page} />`, document.getElementById('page'));
