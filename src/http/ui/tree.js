// JSON as a tree that can be folded and copied.

import { html, useState } from './dom.js';
import { Text } from './text.js';
import { pretty } from './json.js';
import { Copy } from './parts.js';

/** How many items of one list or object are shown at first. */
const SHOWN = 200;

/** Below this depth, a list or object with many items is folded at first. */
const OPEN_DEPTH = 3;

/** How long a text may be before the rest of it is folded, in characters. */
const LONG = 2_000;

/** A value with a heading and a button that copies all of it; the label is unique on the page. */
export function Tree({ of, title, label = title }) {
  return html`<section class="tree" aria-label=${label}>
    <header><h3>${title}</h3><${Copy} text=${pretty(of)} label="Copy JSON" /></header>
    <div class="json" tabindex="0" role="group" aria-label=${`${label} as JSON`}>
      <${Value} node=${of} depth=${0} /></div>
  </section>`;
}

/** One value. */
export function Value({ node, depth = 0 }) {
  if (node === undefined) {
    return html`<span class="muted">absent</span>`;
  }
  if (node.kind === 'text') {
    return html`<${LongText} text=${node.value} />`;
  }
  if (node.kind === 'word') {
    return html`<span class="json-word">${node.value}</span>`;
  }
  const isList = node.kind === 'list';
  const rows = isList ? node.items.map((item, nth) => [nth, item]) : node.members;
  const [first, last] = isList ? ['[', ']'] : ['{', '}'];
  if (rows.length === 0) {
    return html`<span class="json-mark">${first}${last}</span>`;
  }
  return html`<${Rows} ...${{ rows, isList, first, last, depth }} />`;
}

function Rows({ rows, isList, first, last, depth }) {
  const [isOpen, setOpen] = useState(depth < OPEN_DEPTH || rows.length <= 3);
  const [count, setCount] = useState(SHOWN);
  const what = `${rows.length} ${isList ? 'items' : 'members'}`;
  return html`<span class="json-mark">${first}</span>
    <button type="button" class="fold" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>
      ${isOpen ? '−' : `+ ${what}`}<span class="unseen"> ${isOpen ? `fold ${what}` : ''}</span>
    </button>
    ${isOpen && html`<ul>
      ${rows.slice(0, count).map(([name, value]) => html`<li>
        ${isList ? html`<span class="json-nth">${name}</span>`
          : html`<span class="json-name"><${Text} of=${name} /></span>
            <span class="json-mark">:</span>`}
        ${' '}<${Value} node=${value} depth=${depth + 1} />
      </li>`)}
      ${rows.length > count && html`<li><button type="button" class="quiet small"
        onClick=${() => setCount(count + 1_000)}>Show ${rows.length - count} more</button></li>`}
    </ul>`}
    <span class="json-mark">${last}</span>`;
}

function LongText({ text }) {
  const [isWhole, setWhole] = useState(text.length <= LONG);
  const shown = isWhole ? text : text.slice(0, LONG);
  return html`<span class="json-mark">“</span>
    <span class="json-text"><${Text} of=${shown} /></span>
    <span class="json-mark">${isWhole ? '”' : '…'}</span>
    ${!isWhole && html`<button type="button" class="quiet small" onClick=${() => setWhole(true)}>
      … ${text.length - LONG} more characters</button>`}`;
}

/** Where two values differ: the place, what was there, what is there. */
export function Changes({ of }) {
  return html`<table class="changes">
    <thead><tr><th>Place</th><th>Before</th><th>Now</th></tr></thead>
    <tbody>${of.map(({ pointer, before, after }) => html`<tr>
      <td><code><${Text} of=${pointer || '(all)'} /></code></td>
      <td class="was"><${Value} node=${before} /></td>
      <td class="is"><${Value} node=${after} /></td>
    </tr>`)}</tbody></table>`;
}
