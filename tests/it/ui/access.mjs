// Every view for everyone: no violation that axe finds, in light and dark; readable at 320 pixels;
// a screenshot of each in the folder that the test names.

import {
  approvalOf, assert, base, call, claim, deployment, finish, open, report, require, signedIn,
  submit, urgent,
} from './browser.mjs';

const axe = require('axe-core');
const { SHOTS } = process.env;

// One of everything, so that every part of the page is shown.
await urgent('Roll back payments to 8.3.0', { service: 'payments', version: '8.3.0', pods: 12 });
const edited = await deployment('Deploy checkout 2.14.1', {
  service: 'checkout', version: '2.14.1', strategy: { kind: 'canary', steps: [5, 25, 50, 100] },
});
await call('second_judge', 'POST', `/approvals/${edited.approval_id}/approve`, {
  payload: { service: 'checkout', version: '2.14.1', environment: 'production', drain: true },
  comment: 'with draining',
});
await deployment('invoice\u202Egnp.exe');
const titles = ['How do I reset my key?', 'Write down the rollback of payments', null];
for (const title of titles) {
  await submit({ type: 'faq', title, sla_target: '4h', payload: { text: 'a'.repeat(50) } });
}
await submit({ type: 'bugfix', title: 'Cart total off by one cent', payload: { issue: 81 } });
const done = await claim('faq_agent');
await call('crew', 'POST', `/tasks/${done.task.task_id}/complete`,
  { ...report(done), result: { answer: ['Open the settings', 'Press reset'], sure: true } });
const failed = await claim('faq_agent');
await call('crew', 'POST', `/tasks/${failed.task.task_id}/fail`,
  { ...report(failed), retryable: false, error: 'search-7 refused the connection' });
const running = await claim('dev_agent');
await call('crew', 'POST', `/tasks/${running.task.task_id}/heartbeat`,
  { ...report(running), extend_ms: 600_000, progress: { percent: 40, message: 'reading traces' } });
const decided = await urgent('Restart the cache');
await call('judge', 'POST', `/approvals/${decided.approval_id}/reject`, { reason: 'not now' });

const main = (page) => page.locator('main').first();
const views = {
  inbox: [`/ui/approvals/${edited.approval_id}`,
    (page) => approvalOf(page).getByText('drain').first()],
  empty: ['/ui/approvals', (page) => page.getByText('No approval is open')],
  decided: [`/ui/approvals/${decided.approval_id}?show=history`,
    (page) => approvalOf(page).getByText('rejected by key:judge', { exact: true })],
  tasks: ['/ui/tasks', (page) => page.getByText('40 % reading traces')],
  nothing: ['/ui/tasks?status=scheduled', (page) => page.getByText('No task matches')],
  completed: [`/ui/tasks/${done.task.task_id}`, (page) => page.getByText('Press reset')],
  failed: [`/ui/tasks/${failed.task.task_id}`, (page) => page.getByText('The last attempt failed')],
  agents: ['/ui/agents', (page) => page.getByRole('row', { name: /dev_agent/ })],
  sla: ['/ui/sla', (page) => page.getByText('Finished in time')],
  events: ['/ui/events', (page) => page.getByRole('button', { name: 'deploy.started' }).first()],
  failures: ['/ui/failed', (page) => page.getByText(/search-\(n\) refused/)],
  unknown: ['/ui/tasks/no-such-task', (page) => page.getByRole('alert').first()],
};

const found = [];

/** Notes what axe finds wrong. */
async function examine(page, name) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  for (const { id, nodes } of violations) {
    found.push(...nodes.map(({ html, any }) => `${name}: ${id}: ${html} ${any[0]?.message ?? ''}`));
  }
}

/** Views for admins only. */
const forAdmins = {
  audit: ['/ui/audit', (page) => page.getByText('not now').first()],
  system: ['/ui/system', (page) => page.getByRole('row', { name: /production change/ })],
};

/** What axe finds in light and dark, whether the view fits, and a screenshot. */
async function inspect(viewer, name, { colorScheme, size, width }) {
  if (size === '') {
    await examine(viewer, `${name} ${colorScheme}`);
  }
  const wide = await viewer.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name} at ${width}: ${wide} pixels too wide`);
  await viewer.screenshot({ path: `${SHOTS}/${name}${size}-${colorScheme}.png` });
}

/** Looks at these views as this caller. */
async function look(caller, all, { colorScheme, size, width }) {
  const viewer = await signedIn(caller, '/ui',
    { colorScheme, viewport: { width, height: 860 } });
  for (const [name, [path, sign]] of Object.entries(all)) {
    await viewer.goto(base + path);
    if (name === 'events') {
      await viewer.getByText('Live').waitFor();
      const event = { event_type: 'deploy.started', payload: { reason: 'nightly' } };
      await call('crew', 'POST', '/events/publish', event);
    }
    if (name !== 'empty' || width > 900) {
      await sign(viewer).waitFor();
    }
    await main(viewer).waitFor();
    await inspect(viewer, name, { colorScheme, size, width });
  }
  return viewer;
}

/** Opens the review of several approvals, and the editor of a payload. */
async function decide(viewer, form) {
  await viewer.goto(`${base}/ui/approvals`);
  await viewer.getByRole('checkbox').first().waitFor();
  for (const box of await viewer.getByRole('checkbox').all()) {
    await box.check();
  }
  await viewer.getByRole('button', { name: /^Decide on/ }).click();
  await viewer.getByRole('button', { name: /^Approve [0-9]/ }).click({ trial: true });
  await inspect(viewer, 'several', form);
  await viewer.goto(base + views.inbox[0]);
  await viewer.getByRole('button', { name: 'Edit payload…' }).click();
  await viewer.getByLabel('Payload that will run instead').fill('{"service": "shop"}');
  await viewer.getByRole('group', { name: 'What you change' }).waitFor();
  await inspect(viewer, 'editor', form);
}

for (const colorScheme of ['light', 'dark']) {
  const page = await open('/ui', { colorScheme, viewport: { width: 1280, height: 860 } });
  await page.getByLabel('API key or token').waitFor();
  await examine(page, `sign-in ${colorScheme}`);
  await page.screenshot({ path: `${SHOTS}/sign-in-${colorScheme}.png` });
  await page.context().close();
  for (const [size, width] of [['', 1280], ['-narrow', 320]]) {
    const form = { colorScheme, size, width };
    const viewer = await look('judge', views, form);
    await decide(viewer, form);
    await viewer.context().close();
    const admin = await look('root', forAdmins, form);
    await admin.context().close();
  }
}
// The reference of the API runs under its policy too; a violation would be an error of the page.
const docs = await open('/docs');
await docs.getByText('Submit a task', { exact: true }).first().waitFor();

assert.deepEqual(found, []);

await finish();
