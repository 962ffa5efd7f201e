// What every script here does with the browser: opens pages, signs in, calls the API as others, and
// fails if a page runs into an error, shows a dialog, or asks any other server for anything.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { createRequire } from 'node:module';

const { URL: base, KEYS, MODULES } = process.env;
const keys = JSON.parse(KEYS);
const require = createRequire(`${MODULES}/`);
const { chromium } = require('playwright-core');

export { assert, base, require };

/** Everything that went wrong on any page. */
const faults = [];

/** Refusals and lost connections that a script provokes; the browser logs them as errors. */
const EXPECTED = /the server responded with a status of 4\d\d|net::ERR_(FAILED|ABORTED)/;

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
const executablePath = execSync(`command -v ${names.join(' || command -v ')}`).toString().trim();
// Root may not use the sandbox, and a container may have little shared memory.
const args = ['--no-sandbox', '--disable-dev-shm-usage'];
const browser = await chromium.launch({ executablePath, args });

/** Opens a page in a window of its own, with cookies of its own. */
export async function open(path = '/ui', options = {}) {
  const context = await browser.newContext(options);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const page = await context.newPage();
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !EXPECTED.test(message.text())) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(base) && !options.mayLeave) {
      faults.push(`request: ${request.url()}`);
    }
  });
  await page.goto(base + path);
  return page;
}

/** Opens a page and signs in with the key of this name. */
export async function signedIn(name, path = '/ui', options = {}) {
  const page = await open(path, options);
  await page.getByLabel('API key or token').fill(keys[name]);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  return page;
}

/** Calls the API with the key of this name; the answer must have a status of success. */
export async function call(name, method, path, body) {
  const answer = await tryCall(name, method, path, body);
  assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer)}`);
  return answer.body;
}

export async function tryCall(name, method, path, body) {
  const headers = { 'x-api-key': keys[name], accept: 'application/json' };
  if (body) {
    headers['content-type'] = 'application/json';
  }
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

/** Submits a task as the key `crew`. */
export function submit(task) {
  return call('crew', 'POST', '/tasks', { payload: {}, ...task });
}

/** A task that waits for one approver. */
export function urgent(title, payload = {}) {
  return submit({ type: 'faq', priority: 'P0', title, payload });
}

/** A task that waits for two approvers, by the settings of the test. */
export function deployment(title, payload = {}) {
  return submit({ type: 'deploy', title, payload: { environment: 'production', ...payload } });
}

/** Waits until the key of this name reads what `isRight` accepts. */
export async function eventually(name, path, isRight) {
  const end = Date.now() + 30_000;
  for (;;) {
    const { body } = await tryCall(name, 'GET', path);
    if (isRight(body)) {
      return body;
    }
    assert.ok(Date.now() < end, `${path}: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Has an agent claim one task, once it is routed: the entry of the answer. */
export async function claim(agent) {
  for (;;) {
    const { tasks } = await call('crew', 'POST', `/agents/${agent}/claim`,
      { worker: 'w1', max: 1, wait_ms: 5_000, lease_ms: 600_000 });
    if (tasks.length > 0) {
      return tasks[0];
    }
  }
}

/** The members of every report on what was claimed. */
export function report({ attempt, lease }) {
  return { attempt, lease };
}

/** The part of the page with the approval that is open. */
export function approvalOf(page) {
  return page.getByRole('region', { name: 'The approval that is open' });
}

/** Ends the script: nothing may have gone wrong on any page. */
export async function finish() {
  await browser.close();
  assert.deepEqual(faults, []);
}
