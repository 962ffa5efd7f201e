// The timeline of a task: every transition, who made it and why.

import { html } from './dom.js';
import { Text, absolute, clock, duration, words } from './text.js';

/**
 * Transitions, oldest first, each with the time since the one before.
 *
 * @param {{of: import('./types').Transition[]}} props
 */
export function Timeline({ of }) {
  return html`<ol class="timeline">${of.map((one, nth) => {
    const before = of[nth - 1];
    const pause = before ? Date.parse(one.at) - Date.parse(before.at) : 0;
    return html`<li class=${`is-${one.status}`}>
      <time datetime=${one.at} title=${absolute(one.at)}>${clock(one.at)}</time>
      <span class="timeline-what"><b>${words(one.verb)}</b>
        ${before?.status !== one.status && html` → ${words(one.status)}`}
        ${one.attempt > 0 && html` <span class="muted">attempt ${one.attempt}</span>`}
        <span class="muted"> by <${Text} of=${one.actor} /></span>
        ${pause >= 1_000 && html`<span class="muted"> after ${duration(pause)}</span>`}
        ${one.reason && html`<span class="timeline-why"><${Text} of=${one.reason} /></span>`}
      </span></li>`;
  })}</ol>`;
}
