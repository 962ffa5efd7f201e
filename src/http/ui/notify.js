// Notifications of the browser: asked for by a click only, and shown while the reader looks
// elsewhere.

import { html, useEffect, useRef, useState } from './dom.js';

/** How often the number of approvals is read while the tab is hidden, in milliseconds. */
const LOOK_MS = 30_000;

/** Whether the reader has allowed notifications. */
function isAllowed() {
  return globalThis.Notification?.permission === 'granted';
}

/** A button by which the reader allows notifications; nothing once the reader has decided. */
export function NotifyMe() {
  const [permission, setPermission] = useState(globalThis.Notification?.permission);
  if (permission !== 'default') {
    return null;
  }
  return html`<button type="button" class="quiet small"
    onClick=${() => Notification.requestPermission().then(setPermission)}>Notify me</button>`;
}

/**
 * Shows a notification when more approvals wait than before and the reader looks elsewhere. It has
 * their number and no text of a client: it may be shown on a locked screen.
 *
 * @param {number | string | null} waiting how many wait, such as 3 or `100+`; null if not known
 * @param {{current: () => void}} again reads that number again
 */
export function useNotifications(waiting, again) {
  const last = useRef(null);
  useEffect(() => {
    const count = parseInt(String(waiting), 10);
    if (last.current !== null && count > last.current && isAllowed() && !document.hasFocus()) {
      const text = `${waiting} ${count === 1 ? 'approval waits' : 'approvals wait'} for you`;
      const shown = new Notification(text, { tag: 'waiting', icon: '/ui/files/icon.svg' });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
    }
    last.current = Number.isNaN(count) ? null : count;
  }, [waiting]);
  useEffect(() => {
    // A hidden tab follows no events.
    const timer = setInterval(
      () => document.hidden && isAllowed() && again.current(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
}
