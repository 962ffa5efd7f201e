// The audit log verified on this side: every hash is computed again from what the API returns.

import { get, withQuery } from './api.js';

const BYTES = new TextEncoder();

/** Whether the browser can compute hashes: only on pages over TLS, or of this machine. */
export const canVerify = Boolean(globalThis.crypto?.subtle);

/**
 * Returns the hash that an entry must have.
 *
 * @param {import('./types').AuditEntry} entry
 */
async function hashOf(entry) {
  const { previous, partition, sequence, at, actor, origin, action, subject, detail } = entry;
  const fixed = [previous, partition, sequence, at, actor, origin ?? '', action, subject];
  // The names of details are the gateway's own and of ASCII, so that this order is that of bytes.
  const details = Object.keys(detail).sort().flatMap((name) => [name, detail[name]]);
  const texts = [...fixed, ...details].map((text) => {
    const value = String(text);
    return `${BYTES.encode(value).length}:${value},`;
  });
  const digest = await crypto.subtle.digest('SHA-256', BYTES.encode(texts.join('')));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * A chain as far as it is verified; `above` is the entry that was verified last.
 *
 * @typedef {{
 *   head: import('./types').AuditChain, above: import('./types').AuditEntry | null,
 *   entries: number, faults: string[],
 * }} Chain
 */

/**
 * Returns what is wrong with the next older entry of a chain.
 *
 * @param {Chain} chain
 * @param {import('./types').AuditEntry} entry
 */
async function faultsOf(chain, entry) {
  const faults = [];
  const { above, head } = chain;
  const sequence = above ? above.sequence - 1 : head.sequence;
  const hash = above ? above.previous : head.hash;
  if (await hashOf(entry) !== entry.hash) {
    faults.push(`entry ${entry.sequence} was changed: its hash does not match its content`);
  }
  if (entry.sequence > sequence) {
    faults.push(`entry ${entry.sequence} stands out of order`);
  } else if (entry.sequence < sequence) {
    faults.push(`the entries ${entry.sequence + 1} to ${sequence} are missing`);
  } else if (entry.hash !== hash) {
    faults.push(`entry ${entry.sequence} was changed: what comes after it follows another one`);
  }
  return faults;
}

/**
 * Returns what is wrong with the oldest end of a chain.
 *
 * @param {Chain} chain
 * @param {import('./types').AuditChain} end
 */
function faultsAtEnd({ above, head }, { trimmed, trimmed_hash: hash }) {
  const [oldest, previous] = above ? [above.sequence, above.previous]
    : [head.sequence + 1, head.hash];
  if (oldest > trimmed + 1) {
    return [`the entries ${trimmed + 1} to ${oldest - 1} are missing`];
  }
  const isOther = oldest === trimmed + 1 && previous !== hash;
  return isOther ? ['the oldest entry does not follow the one that was removed last'] : [];
}

/**
 * Verifies the whole log. Returns for each partition `{partition, entries, head, faults}`.
 *
 * @param {(count: number) => void} tell is called with the number of entries so far
 * @param {AbortSignal} signal
 */
export async function verify(tell, signal) {
  const chains = new Map();
  let [cursor, count, page] = [null, 0, null];
  do {
    page = await get(withQuery('/admin/audit', { limit: 200, cursor }), { signal });
    for (const head of page.chains) {
      if (!chains.has(head.partition)) {
        chains.set(head.partition, { head, above: null, entries: 0, faults: [] });
      }
    }
    for (const entry of page.items) {
      const chain = chains.get(entry.partition);
      chain.faults.push(...await faultsOf(chain, entry));
      chain.above = entry;
      chain.entries += 1;
    }
    count += page.items.length;
    tell(count);
    cursor = page.next_cursor;
  } while (cursor);
  return [...chains.values()].map((chain) => {
    const { partition } = chain.head;
    // Entries may have been removed meanwhile, after their retention.
    const end = page.chains.find((one) => one.partition === partition);
    const faults = [...chain.faults, ...faultsAtEnd(chain, end)];
    return { partition, entries: chain.entries, head: chain.head, faults };
  });
}
