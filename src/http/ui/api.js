// Calls of the API. The browser adds the session's cookie to each.

/** How far the gateway's clock is ahead of this one, in milliseconds, by its last answer. */
let ahead = 0;

/** The time by the gateway's clock, in milliseconds since 1970, to a second or so. */
export function now() {
  return Date.now() + ahead;
}

/** What is called when a credential is missing or has ended. */
let whenSignedOut = () => {};

export function onSignedOut(callback) {
  whenSignedOut = callback;
}

/** A call that the gateway refused, or that it did not answer. */
export class Refusal extends Error {
  /** @param {import('./types').Problem} problem */
  constructor(problem) {
    super(problem.title);
    /** @type {import('./types').Problem} */
    this.problem = problem;
  }

  /** The last word of the cause, such as `content-changed`. */
  get cause() {
    return (this.problem.type ?? '').split(':').pop();
  }
}

/**
 * What a call sends; `text` is a body in JSON that keeps every digit of its numbers.
 *
 * @typedef {{
 *   body?: object, text?: string, headers?: Record<string, string>, signal?: AbortSignal,
 * }} Options
 */

/**
 * Calls the API and returns the text of the answer.
 *
 * @param {string} method
 * @param {string} path with its query
 * @param {Options} options
 */
export async function call(method, path, options = {}) {
  const answer = await send(method, path, options);
  const text = await answer.text();
  if (answer.ok) {
    return text;
  }
  const problem = read(text) ?? {};
  throw new Refusal({
    title: 'Refused', detail: `The answer has status ${answer.status}.`, ...problem,
    status: answer.status,
  });
}

/**
 * Sends a request; an answer of any status counts.
 *
 * @param {string} method
 * @param {string} path
 * @param {Options} options
 */
export async function send(method, path, { body, text, headers = {}, signal } = {}) {
  /** @type {RequestInit & {headers: Record<string, string>}} */
  const init = { method, headers: { accept: 'application/json', ...headers }, signal };
  init.cache = 'no-store';
  init.credentials = 'same-origin';
  if (body !== undefined || text !== undefined) {
    init.body = text ?? JSON.stringify(body);
    init.headers['content-type'] = 'application/json';
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (error.name === 'AbortError') {
      throw error;
    }
    const detail = 'The page tries again by itself; what you sent may have arrived.';
    throw new Refusal({ status: 0, title: 'The gateway does not answer', detail });
  }
  const date = Date.parse(answer.headers.get('date') ?? '');
  if (Number.isFinite(date) && Math.abs(date - Date.now()) > 2_000) {
    ahead = date - Date.now();
  }
  if (answer.status === 401) {
    whenSignedOut();
  }
  return answer;
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Gets what is at `path`, as objects. */
export async function get(path, options) {
  return JSON.parse(await call('GET', path, options));
}

/** Posts `body` and returns the answer, as objects. */
export async function post(path, body = {}) {
  return JSON.parse(await call('POST', path, { body }));
}

/** Returns `path` with those of the parameters that have a value. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') {
      query.set(name, value);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Signs in with an API key or a token, which is kept nowhere. */
export async function signIn(credential) {
  const isToken = credential.split('.').length === 3 && credential.startsWith('ey');
  const headers = isToken ? { authorization: `Bearer ${credential}` } : { 'x-api-key': credential };
  return JSON.parse(await call('POST', '/session', { headers }));
}

/** Returns who is calling; null if no session has begun. */
export async function whoAmI() {
  try {
    return await get('/session');
  } catch (error) {
    const isUnknown = (problem) =>
      problem.status === 401 || problem.type === 'urn:orchestrator:problem:too-many-failures';
    if (error instanceof Refusal && isUnknown(error.problem)) {
      return null;
    }
    throw error;
  }
}

export async function signOut() {
  await call('DELETE', '/session');
}
