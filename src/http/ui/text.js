// Texts for people: what others wrote, made visible; times and durations.

import { html } from './dom.js';
import { now } from './api.js';

/**
 * Characters that control or hide: controls, formats (bidi, zero width), private and unassigned
 * ones, separators other than a space, and letters that show nothing.
 */
const HIDDEN = new RegExp(
  '[\\p{C}\\p{Zl}\\p{Zp}\\u034F\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u2800\\u3164'
  + '\\uFE00-\\uFE0F\\uFFA0\\u{E0100}-\\u{E01EF}]|(?! )\\p{Zs}', 'gu');

const SHORT = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** How a hidden character is written. */
function escaped(letter) {
  return SHORT[letter] ?? `\\u{${letter.codePointAt(0).toString(16)}}`;
}

/** Returns the text with hidden characters as escapes, for titles and labels. */
export function plain(text) {
  return String(text).replace(HIDDEN, escaped);
}

/** Shows a text that a client wrote: hidden characters as marked escapes, apart from others. */
export function Text({ of }) {
  const text = String(of ?? '');
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > end) {
      parts.push(text.slice(end, found.index));
    }
    parts.push(html`<span class="escape">${escaped(found[0])}</span>`);
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return html`<bdi>${parts}</bdi>`;
}

/** @type {[string, number][]} */
const UNITS = [['d', 86_400], ['h', 3_600], ['m', 60], ['s', 1]];

/** Returns a duration in two units, such as `3 h 12 m`; `0 s` if it is less than a second. */
export function duration(ms) {
  let rest = Math.max(0, Math.floor(ms / 1_000));
  const parts = [];
  for (const [unit, seconds] of UNITS) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0 || (unit === 's' && parts.length === 0)) {
      parts.push(`${count} ${unit}`);
    } else if (parts.length > 0) {
      break;
    }
    if (parts.length === 2) {
      break;
    }
  }
  return parts.join(' ');
}

/** Returns a duration with parts of a second, for figures. */
export function figure(ms) {
  if (ms === null || ms === undefined) {
    return '–';
  }
  if (ms < 1_000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : duration(ms);
}

/** Returns `in 3 m 20 s` or `5 m ago`. */
export function relative(at) {
  const ms = Date.parse(at) - now();
  if (Math.abs(ms) < 1_000) {
    return 'now';
  }
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
}

const ABSOLUTE = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium', timeStyle: 'medium',
});

/** Returns a time in the reader's zone. */
export function absolute(at) {
  return ABSOLUTE.format(new Date(at));
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false,
});

/** Returns the time of the day. */
export function clock(at) {
  return CLOCK.format(new Date(at));
}

/** Returns the words of a status or a verb for people: `in progress`. */
export function words(text) {
  return String(text).replaceAll('_', ' ');
}
