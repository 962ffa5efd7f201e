// JSON as it was sent: every digit of a number and every repeated name stays, which `JSON.parse`
// would lose. An approver must see what an agent will get.

/**
 * A value: `kind` is object, list, text or word (a number, true, false, null).
 *
 * @typedef {{
 *   kind: string, source?: string, value?: string, members?: [string, Node][], items?: Node[]
 * }} Node
 */

/** Reads JSON that the gateway has written or checked. */
export function parse(text) {
  const reader = { text, at: 0 };
  return readValue(reader);
}

/** Returns the member of this name; undefined if there is none. */
export function member(node, name) {
  return node?.members?.find(([known]) => known === name)?.[1];
}

const SPACE = /[ \t\n\r]*/y;
const WORD = /-?[0-9][0-9.eE+-]*|true|false|null/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;

function take(reader, pattern) {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text);
  if (!found) {
    throw new SyntaxError(`no JSON at ${reader.at}`);
  }
  reader.at = pattern.lastIndex;
  return found[0];
}

function next(reader) {
  take(reader, SPACE);
  return reader.text[reader.at];
}

function readValue(reader) {
  const first = next(reader);
  const start = reader.at;
  /** @type {Node} */
  let node;
  if (first === '{') {
    node = { kind: 'object', members: readAll(reader, '}', readMember) };
  } else if (first === '[') {
    node = { kind: 'list', items: readAll(reader, ']', readValue) };
  } else if (first === '"') {
    node = { kind: 'text', value: JSON.parse(take(reader, STRING)) };
  } else {
    node = { kind: 'word', value: take(reader, WORD) };
  }
  node.source = reader.text.slice(start, reader.at);
  return node;
}

function readAll(reader, end, readOne) {
  const all = [];
  reader.at += 1;
  while (next(reader) !== end) {
    all.push(readOne(reader));
    if (next(reader) === ',') {
      reader.at += 1;
    }
  }
  reader.at += 1;
  return all;
}

function readMember(reader) {
  next(reader);
  const name = JSON.parse(take(reader, STRING));
  next(reader);
  reader.at += 1;
  return [name, readValue(reader)];
}

/** Writes a value over several lines, as it is copied. */
export function pretty(node, indent = '') {
  const inner = `${indent}  `;
  if (node.kind === 'object' && node.members.length > 0) {
    const lines = node.members.map(([name, value]) =>
      `${inner}${JSON.stringify(name)}: ${pretty(value, inner)}`);
    return `{\n${lines.join(',\n')}\n${indent}}`;
  }
  if (node.kind === 'list' && node.items.length > 0) {
    const lines = node.items.map((item) => inner + pretty(item, inner));
    return `[\n${lines.join(',\n')}\n${indent}]`;
  }
  return node.source;
}

/** Whether two values are the same, whatever the order of members and the white space. */
function isSame(one, other) {
  return differences(one, other).length === 0;
}

/** Returns where two values differ: `{pointer, before, after}`, undefined where there is none. */
export function differences(before, after, pointer = '') {
  if (before === undefined || after === undefined || before.kind !== after.kind) {
    return before === after ? [] : [{ pointer, before, after }];
  }
  if (before.kind === 'object') {
    return differencesOfObjects(before, after, pointer);
  }
  if (before.kind === 'list') {
    return differencesOfLists(before.items, after.items, pointer);
  }
  return before.value === after.value ? [] : [{ pointer, before, after }];
}

function differencesOfObjects(before, after, pointer) {
  const names = new Set([...before.members, ...after.members].map(([name]) => name));
  return [...names].flatMap((name) => {
    const place = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    // A name that is given twice is compared occurrence by occurrence.
    const of = (node) => node.members.filter(([known]) => known === name).map(([, value]) => value);
    const [old, current] = [of(before), of(after)];
    const count = Math.max(old.length, current.length);
    return Array.from({ length: count }, (_, nth) =>
      differences(old[nth], current[nth], place)).flat();
  });
}

function differencesOfLists(before, after, pointer) {
  // What is the same at both ends is skipped, so that one item more is one difference.
  let start = 0;
  while (start < before.length && start < after.length && isSame(before[start], after[start])) {
    start += 1;
  }
  let [old, current] = [before.length, after.length];
  while (old > start && current > start && isSame(before[old - 1], after[current - 1])) {
    old -= 1;
    current -= 1;
  }
  const count = Math.max(old, current) - start;
  return Array.from({ length: count }, (_, nth) => {
    const place = start + nth;
    return differences(
      place < old ? before[place] : undefined, place < current ? after[place] : undefined,
      `${pointer}/${place}`);
  }).flat();
}
