// The editor of a payload: the text, and what the edit changes in what would run.

import { html } from './dom.js';
import { differences, parse } from './json.js';
import { Changes } from './tree.js';

/** Returns the value of a text that is a JSON object; null for any other text. */
function valueOf(text) {
  try {
    // The own reader takes for granted that the text is JSON.
    JSON.parse(text);
    const value = parse(text);
    return value.kind === 'object' ? value : null;
  } catch {
    return null;
  }
}

/** `edit` is `{text, value}`; its value is null while the text is no object. */
export function Editor({ payload, edit, change }) {
  const changes = edit.value ? differences(payload, edit.value) : [];
  return html`<div class="editor">
    <label for="edited">Payload that will run instead</label>
    <textarea id="edited" rows="8" spellcheck="false" value=${edit.text}
      aria-invalid=${!edit.value} aria-describedby="edit-wrong"
      onInput=${({ target: { value: text } }) =>
        change({ text, value: valueOf(text) })}></textarea>
    <p class="needed" id="edit-wrong" role="alert">
      ${!edit.value && 'This is not a JSON object.'}</p>
    ${edit.value && (changes.length > 0 ? html`<div class="json" tabindex="0" role="group"
        aria-label="What you change"><${Changes} of=${changes} /></div>`
      : html`<p class="muted">Nothing is changed yet.</p>`)}
  </div>`;
}
