// Signing in: an API key or a token, once, or by the identity provider of the gateway. The gateway
// answers with a cookie that scripts cannot read; the page forgets the credential.

import { html, useEffect, useRef, useState } from './dom.js';
import { get, signIn } from './api.js';
import { Problem, useTitle } from './parts.js';

/** Why a sign-in by the identity provider failed, by the word in the address. */
const FAILED = {
  unavailable: 'The identity provider does not answer as it must. Try again later.',
  refused: 'The identity provider did not sign you in.',
  stale: 'The sign-in took too long, or began in another browser. Try again.',
  invalid: 'The gateway cannot accept what the identity provider answered.',
  'no-role': 'You have no role here. Ask the operator for one.',
};

/** Where the address is kept that was opened before the sign-in. */
const WANTED = 'wanted';

/** Returns the address that the reader opened before the sign-in, once; null if there is none. */
export function takeWanted() {
  const wanted = sessionStorage.getItem(WANTED);
  sessionStorage.removeItem(WANTED);
  return wanted;
}

/** The way by the identity provider; nothing if the gateway has none. */
function Provider() {
  const [isOffered, setOffered] = useState(false);
  useEffect(() => {
    get('/ui/sign-in').then(({ oidc }) => setOffered(oidc), () => {});
  }, []);
  const failed = FAILED[new URLSearchParams(location.search).get('sign-in')];
  const keep = () => {
    if (!failed) {
      sessionStorage.setItem(WANTED, location.pathname + location.search);
    }
  };
  return html`${failed && html`<p class="problem" role="alert">${failed}</p>`}
    ${isOffered && html`<a class="main button" href="/ui/sign-in/oidc" target="_self"
      onClick=${keep}>Sign in with your organisation</a>`}`;
}

export function SignIn({ done }) {
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const input = useRef(null);
  useTitle('Sign in');
  useEffect(() => input.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    const credential = input.current.value.trim();
    if (!credential) {
      input.current.focus();
      return;
    }
    setBusy(true);
    try {
      const me = await signIn(credential);
      input.current.value = '';
      done(me);
    } catch (refused) {
      setError(refused);
      setBusy(false);
      input.current.select();
    }
  };
  return html`<main class="sign-in" id="main">
    <form onSubmit=${submit}>
      <img src="/ui/files/icon.svg" alt="" width="40" height="40" />
      <h1>Sign in</h1>
      <${Provider} />
      <label for="credential">API key or token</label>
      <input id="credential" type="password" autocomplete="current-password" ref=${input}
        spellcheck="false" aria-describedby="hint" />
      <button type="submit" class="main" disabled=${isBusy}>
        ${isBusy ? 'Signing in…' : 'Sign in'}</button>
      <${Problem} error=${error} />
      <p class="hint" id="hint">The key is sent once and not kept. The session ends after 12 hours,
        when you sign out in any browser, or when the key is withdrawn.</p>
    </form>
  </main>`;
}
