// Signing in: an API key or a token, once. The gateway answers with a cookie that scripts cannot
// read; the page forgets the credential.

import { html, useEffect, useRef, useState } from './dom.js';
import { signIn } from './api.js';
import { Problem, useTitle } from './parts.js';

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
      <label for="credential">API key or token</label>
      <input id="credential" type="password" autocomplete="current-password" ref=${input}
        spellcheck="false" aria-describedby="hint" />
      <button type="submit" class="main" disabled=${isBusy}>
        ${isBusy ? 'Signing in…' : 'Sign in'}</button>
      <${Problem} error=${error} />
      <p class="hint" id="hint">The key is sent once and not kept. The session ends after 12 hours,
        when you sign out, or when the key is withdrawn.</p>
    </form>
  </main>`;
}
