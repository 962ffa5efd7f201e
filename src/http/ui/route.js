// Where the reader is: the path and the query of the address, so that going back, reloading and
// sharing an address work.

import { useEffect, useRef, useState } from './dom.js';

const watchers = new Set();

/** Returns the path below `/ui`, such as `/tasks`, and the query. */
export function here() {
  const path = location.pathname.replace(/^\/ui\/?/, '/').replace(/(.)\/$/, '$1');
  return { path, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

/** Goes to an address of the page; with `replace` the last one is forgotten. */
export function go(address, { replace = false } = {}) {
  if (address !== location.pathname + location.search) {
    history[replace ? 'replaceState' : 'pushState'](null, '', address);
  }
  watchers.forEach((watcher) => watcher(here()));
}

/** Returns where the reader is, in a component. */
export function useRoute() {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    watchers.add(setRoute);
    return () => watchers.delete(setRoute);
  }, []);
  return route;
}

addEventListener('popstate', () => watchers.forEach((watcher) => watcher(here())));

/** Returns the element of an event; null if it has none. */
function elementOf({ target }) {
  return target instanceof Element ? target : null;
}

// A link inside of the page is followed without loading the page again.
addEventListener('click', (event) => {
  /** @type {HTMLAnchorElement | null} */
  const link = elementOf(event)?.closest('a[href^="/ui"]') ?? null;
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  if (link && isPlain && !event.altKey && !event.defaultPrevented && !link.target) {
    event.preventDefault();
    go(link.getAttribute('href'));
    scrollTo(0, 0);
  }
});

/** Calls the handler of a key while the component is shown, but not while the reader types. */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event) => {
      const isTyping = elementOf(event)?.closest('input, textarea, select');
      const isPlain = !event.metaKey && !event.ctrlKey && !event.altKey;
      const act = latest.current[event.key];
      if (isPlain && !isTyping && act) {
        event.preventDefault();
        act();
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}
