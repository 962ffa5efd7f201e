// Approvers decide by clicks: approve, reject, what they may not do, and content that changes.

import {
  approvalOf, assert, call, deployment, eventually, finish, open, signedIn, submit, tryCall, urgent,
} from './browser.mjs';

// A new approval appears by itself, is counted, and is approved by a click.
const judge = await signedIn('judge');
await judge.getByText('Nothing waits for you').waitFor();
const task = await urgent('Restart the cache', { node: 7, big: 12345678901234567890 });
await judge.getByRole('link', { name: /Restart the cache/ }).click();
const shown = approvalOf(judge);
await shown.getByRole('heading', { name: 'Restart the cache' }).waitFor();
await judge.waitForFunction(() => document.title.startsWith('(1) Restart the cache'));
assert.ok(judge.url().endsWith(`/ui/approvals/${task.approval_id}`), judge.url());
const { digest } = await call('judge', 'GET', `/approvals/${task.approval_id}`);
await shown.getByText(digest.slice(0, 8), { exact: true }).waitFor();
await shown.getByLabel('Comment').fill('looks right');
await shown.getByRole('button', { name: 'Approve', exact: true }).click();
await shown.getByText('approved by key:judge', { exact: true }).waitFor();
await judge.getByText('Nothing waits for you').waitFor();
const approved = await call('judge', 'GET', `/approvals/${task.approval_id}`);
assert.deepEqual(
  [approved.status, approved.decided_by, approved.comment],
  ['approved', 'key:judge', 'looks right']);

// Every digit of a number is on the screen, and every member of an object.
const exact = await urgent('Exact numbers', { nothing: 0 });
await judge.getByRole('link', { name: /Exact numbers/ }).click();
const text = '{"environment":"dev","environment":"production","count":12345678901234567890.10}';
await judge.route(`**/approvals/${exact.approval_id}`, async (route) => {
  const answer = await route.fetch();
  await route.fulfill({
    response: answer, body: (await answer.text()).replace('{"nothing":0}', text),
  });
});
await judge.reload();
await approvalOf(judge).getByText('12345678901234567890.10').waitFor();
await approvalOf(judge).getByText('dev', { exact: true }).waitFor();
await approvalOf(judge).getByText('production', { exact: true }).waitFor();
await judge.unrouteAll();
await judge.reload();

// A rejection needs a reason, which becomes the error of the task.
await approvalOf(judge).getByRole('button', { name: 'Reject' }).click();
await approvalOf(judge).getByText('Say why you reject it.').waitFor();
assert.equal((await call('judge', 'GET', `/approvals/${exact.approval_id}`)).status, 'pending');
await approvalOf(judge).getByLabel('Comment').fill('not now');
await approvalOf(judge).getByRole('button', { name: 'Reject' }).click();
await approvalOf(judge).getByText('rejected by key:judge', { exact: true }).waitFor();
const cancelled = await call('judge', 'GET', `/tasks/${exact.task_id}`);
assert.equal(cancelled.error, 'rejected by key:judge: not now');

// What a person submitted waits for others, and the refusal says so.
const own = await call('root', 'POST', '/tasks',
  { type: 'faq', priority: 'P0', title: 'My own task', payload: {} });
const root = await signedIn('root');
await root.getByText('Nothing waits for you').waitFor();
await root.getByRole('link', { name: 'All waiting' }).click();
await root.getByRole('link', { name: /My own task/ }).click();
await approvalOf(root).getByRole('button', { name: 'Approve', exact: true }).click();
await approvalOf(root).getByText('You cannot decide on your own task').waitFor();
assert.equal((await call('root', 'GET', `/approvals/${own.approval_id}`)).status, 'pending');

// Content that changes on the screen is shown, and decided on only after the reader has seen it.
const edited = await deployment('Deploy the shop', { version: 1 });
await judge.goto(judge.url().replace(/approvals.*/, `approvals/${edited.approval_id}`));
await approvalOf(judge).getByRole('heading', { name: 'Deploy the shop' }).waitFor();
const edit = { payload: { environment: 'production', version: 2 } };
await call('second_judge', 'POST', `/approvals/${edited.approval_id}/approve`, edit);
const changed = approvalOf(judge).getByText('The content changed while you were looking at it');
await changed.waitFor();
await approvalOf(judge).getByRole('cell', { name: '/version' }).first().waitFor();
const approve = approvalOf(judge).getByRole('button', { name: 'Approve', exact: true });
assert.ok(await approve.isDisabled());
await approvalOf(judge).getByRole('button', { name: 'I have seen it' }).click();
await approve.click();
await approvalOf(judge).getByText('approved by key:judge', { exact: true }).waitFor();
const ran = await eventually('judge', `/tasks/${edited.task_id}`,
  ({ status }) => status !== 'blocked');
assert.equal(ran.payload.version, 2);

// Without live events the refusal comes first; then the page shows what changed.
const silent = await deployment('Deploy the blog', { version: 1 });
const deaf = await signedIn('judge', '/ui');
await deaf.route((url) => url.pathname === '/events', (route) => route.abort());
await deaf.goto(deaf.url().replace(/ui.*/, `ui/approvals/${silent.approval_id}`));
await approvalOf(deaf).getByRole('heading', { name: 'Deploy the blog' }).waitFor();
await call('second_judge', 'POST', `/approvals/${silent.approval_id}/approve`, edit);
await approvalOf(deaf).getByRole('button', { name: 'Approve', exact: true }).click();
await approvalOf(deaf).getByText('The content to decide on has changed').waitFor();
await approvalOf(deaf).getByText('The content changed while you were looking at it').waitFor();
assert.equal((await call('judge', 'GET', `/approvals/${silent.approval_id}`)).status, 'pending');

// An agent's question shows the step; a link leads a reader there, who signs in first.
const asked = await submit({ type: 'bugfix', title: 'Fix the search' });
const { tasks: [held] } = await call('crew', 'POST', '/agents/dev_agent/claim',
  { worker: 'w1', wait_ms: 20_000, lease_ms: 600_000 });
const question = await call('crew', 'POST', `/tasks/${asked.task_id}/approval`, {
  attempt: held.attempt, lease: held.lease,
  reason: 'May I restart it?', action: { node: 'search-7' },
});
const link = await signedIn('judge', `/ui/approvals/${question.approval_id}`);
await approvalOf(link).getByText('May I restart it?').first().waitFor();
await approvalOf(link).getByText('search-7').waitFor();
await approvalOf(link).getByText('dev_agent asks').waitFor();

// After a sign-out, and after the end of a session, the page asks to sign in.
await link.getByRole('button', { name: 'Sign out' }).click();
await link.getByLabel('API key or token').waitFor();
await link.reload();
await link.getByLabel('API key or token').fill('no key at all, for sure');
await link.keyboard.press('Enter');
await link.getByText('Authentication required').waitFor();
await root.context().clearCookies();
await root.getByRole('link', { name: 'Decided' }).click();
await root.getByLabel('API key or token').waitFor();

// Who cannot decide reads, and is sent to the tasks first.
const reader = await signedIn('reader', '/ui');
await reader.getByRole('heading', { name: 'Tasks' }).waitFor();
await reader.goto(reader.url().replace(/ui.*/, `ui/approvals/${question.approval_id}`));
await approvalOf(reader).getByText('Your role user reads approvals').waitFor();
assert.equal((await tryCall('reader', 'GET', '/session')).status, 200);
const stranger = await open('/ui/approvals');
await stranger.getByLabel('API key or token').waitFor();

await finish();
