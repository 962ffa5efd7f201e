// What approvers do beyond one click: several approvals at once, an edited payload, notifications.

import {
  approvalOf, assert, call, deployment, eventually, finish, signedIn, urgent,
} from './browser.mjs';

const judge = await signedIn('judge');
const review = judge.getByRole('region', { name: 'The approvals that are chosen' });
const choose = (name) => judge.getByRole('checkbox', { name: `Choose ${name}` }).check();

// Several are decided as they are on the screen; what changed meanwhile is refused alone.
const first = await urgent('Restart one', { node: 1 });
const second = await urgent('Restart two', { node: 2 });
const changing = await deployment('Deploy the shop', { version: 1 });
for (const name of ['Restart one', 'Restart two', 'Deploy the shop']) {
  await choose(name);
}
await judge.getByRole('button', { name: 'Decide on 3…' }).click();
await review.getByRole('button', { name: 'Approve 3' }).click({ trial: true });
assert.equal(await review.getByRole('region', { name: /^Payload of / }).count(), 3);
const edit = { payload: { environment: 'production', version: 2 } };
await call('second_judge', 'POST', `/approvals/${changing.approval_id}/approve`, edit);
await review.getByRole('button', { name: 'Approve 3' }).click();
await review.getByText('2 decided, 1 refused').waitFor();
await review.getByText('The content to decide on has changed').waitFor();
const statuses = [];
for (const { approval_id: id } of [first, second, changing]) {
  statuses.push((await call('judge', 'GET', `/approvals/${id}`)).status);
}
assert.deepEqual(statuses, ['approved', 'approved', 'pending']);
await review.getByRole('button', { name: 'Done' }).click();
await review.waitFor({ state: 'detached' });

// A rejection of several needs a reason, which each task gets.
const doomed = await urgent('Drop the table');
await choose('Drop the table');
await choose('Deploy the shop');
await judge.getByRole('button', { name: 'Decide on 2…' }).click();
await review.getByRole('button', { name: 'Reject 2' }).click();
await review.getByText('Say why you reject them.').waitFor();
await review.getByLabel('Comment on each').fill('not today');
await review.getByRole('button', { name: 'Reject 2' }).click();
await review.getByText('2 decided').waitFor();
for (const { task_id: id } of [doomed, changing]) {
  const { error } = await call('judge', 'GET', `/tasks/${id}`);
  assert.equal(error, 'rejected by key:judge: not today');
}
await review.getByRole('button', { name: 'Done' }).click();

// An edited payload shows what changes, is refused while it is no object, and keeps every digit.
const edited = await urgent('Scale the cache', { pods: 3, budget: 12345678901234567890 });
await judge.getByRole('link', { name: /Scale the cache/ }).click();
const shown = approvalOf(judge);
await shown.getByRole('button', { name: 'Edit payload…' }).click();
const editor = shown.getByLabel('Payload that will run instead');
await shown.getByText('Nothing is changed yet.').waitFor();
await editor.fill('{"pods": 5');
await shown.getByText('This is not a JSON object.').waitFor();
assert.ok(await shown.getByRole('button', { name: 'Approve the edit' }).isDisabled());
await editor.fill('{"pods": 5, "budget": 12345678901234567891}');
await shown.getByRole('group', { name: 'What you change' })
  .getByRole('cell', { name: '/pods' }).waitFor();
await shown.getByRole('button', { name: 'Approve the edit' }).click();
await shown.getByText('approved by key:judge', { exact: true }).waitFor();
await shown.getByText('12345678901234567891').first().waitFor();
const ran = await eventually('judge', `/tasks/${edited.task_id}`,
  ({ status }) => status !== 'blocked');
assert.equal(ran.payload.pods, 5);

// Notifications are asked for by a click only; then a new approval is shown by its number alone.
const page = await signedIn('judge', '/ui');
await page.addInitScript(() => {
  globalThis.told = [];
  globalThis.Notification = class {
    static permission = 'default';

    static async requestPermission() {
      this.permission = 'granted';
      return this.permission;
    }

    constructor(text) {
      globalThis.told.push(text);
    }
  };
  document.hasFocus = () => false;
});
await page.reload();
await page.getByText('Nothing waits for you').waitFor();
await urgent('Before the click');
await page.waitForFunction(() => document.title.startsWith('(1)'));
assert.deepEqual(await page.evaluate(() => globalThis.told), []);
await page.getByRole('button', { name: 'Notify me' }).click();
await page.getByRole('button', { name: 'Notify me' }).waitFor({ state: 'detached' });
await urgent('Rotate the secret');
await page.waitForFunction(() => globalThis.told.length > 0);
assert.deepEqual(await page.evaluate(() => globalThis.told), ['2 approvals wait for you']);

await finish();
