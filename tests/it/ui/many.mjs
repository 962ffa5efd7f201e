// Many tasks at once: retry and cancel by the filter on the screen, failures in groups, export.

import { readFile } from 'node:fs/promises';
import {
  assert, base, call, claim, eventually, finish, report, signedIn, submit,
} from './browser.mjs';

// Seven failures with two causes, and one of another type.
const errors = ['search-7 refused the connection', 'no space left on node 12'];
for (const nth of [0, 0, 0, 0, 0, 1, 1]) {
  await submit({ type: 'faq', title: `Question ${nth}`, payload: { big: 12345678901234567890 } });
  const held = await claim('faq_agent');
  await call('crew', 'POST', `/tasks/${held.task.task_id}/fail`, {
    ...report(held), retryable: false,
    error: errors[nth].replace(/[0-9]+/, () => String(Math.floor(Math.random() * 90) + 10)),
  });
}
await submit({ type: 'bugfix', title: 'Fix the cart' });
const bug = await claim('dev_agent');
await call('crew', 'POST', `/tasks/${bug.task.task_id}/fail`,
  { ...report(bug), retryable: false, error: 'the tests fail' });
const page = await signedIn('crew', '/ui/failed');

// The same fault is one group, whatever number it names; a group is retried as a whole.
const group = page.getByRole('row', { name: /search-\(n\) refused the connection/ });
await group.getByRole('cell', { name: '5', exact: true }).waitFor();
await page.getByRole('row', { name: /no space left on node \(n\)/ })
  .getByRole('cell', { name: '2', exact: true }).waitFor();
await group.getByRole('button', { name: 'Retry faq' }).click();
await group.getByRole('button', { name: 'Retry 5' }).click();
await group.waitFor({ state: 'detached' });
const { count } = await call('crew', 'GET', '/tasks/count?status=failed');
assert.equal(count, 3);

// Retry by the filter: counted first, then done for what was counted.
await page.goto(`${base}/ui/tasks?status=failed&type=faq`);
await page.getByRole('button', { name: 'Retry all…' }).click();
const bulk = page.getByRole('region', { name: 'Bulk' });
await bulk.getByText('2 tasks match the filter.').waitFor();
await bulk.getByText('Question 1').first().waitFor();
assert.equal((await call('crew', 'GET', '/tasks/count?status=failed')).count, 3);
await bulk.getByRole('button', { name: 'Retry 2 tasks' }).click();
await bulk.getByText('Retry: completed.').waitFor();
await bulk.getByText('2 done, 0 left alone, 2 matched.').waitFor();
await page.getByText('No task matches').waitFor();
assert.equal((await call('crew', 'GET', '/tasks/count?status=failed')).count, 1);

// Cancel by the filter, with a reason; no button offers what the status forbids.
await page.goto(`${base}/ui/tasks?type=faq`);
await page.getByRole('button', { name: 'Cancel all…' }).click();
await bulk.getByText('7 tasks match the filter.').waitFor();
await bulk.getByLabel('Reason').fill('the shop is closed');
await bulk.getByRole('button', { name: 'Cancel 7 tasks' }).click();
await bulk.getByText('7 done, 0 left alone, 7 matched.').waitFor();
const { items } = await call('crew', 'GET', '/tasks?type=faq');
assert.ok(items.every(({ status }) => status === 'cancelled'), JSON.stringify(items));
assert.ok(items[0].error.includes('the shop is closed'), items[0].error);
await page.goto(`${base}/ui/tasks?status=completed`);
await page.getByText('No task matches').waitFor();
for (const name of ['Retry all…', 'Cancel all…']) {
  assert.equal(await page.getByRole('button', { name }).count(), 0);
}

// A bulk that has much to do shows how far it is, and is aborted by a click.
await call('crew', 'POST', '/tasks/batch',
  { tasks: Array.from({ length: 1_000 }, () => ({ type: 'monitor', payload: {} })) });
await call('crew', 'POST', '/tasks/batch',
  { tasks: Array.from({ length: 1_000 }, () => ({ type: 'monitor', payload: {} })) });
await page.goto(`${base}/ui/tasks?type=monitor`);
await page.getByRole('button', { name: 'Cancel all…' }).click();
await bulk.getByText('2000 tasks match the filter.').waitFor();
await page.route('**/tasks/bulk', async (route) => {
  // Aborted before its next look, so that the click cannot come too late.
  const answer = await route.fetch();
  const { bulk_id: id } = await answer.json();
  await call('crew', 'POST', `/bulk/${id}/abort`);
  await route.fulfill({ response: answer });
});
await bulk.getByRole('button', { name: 'Cancel 2000 tasks' }).click();
await bulk.getByText('Cancel: aborted.').waitFor();
await page.unrouteAll();

// The list as a file: a task a line, with every digit.
await page.goto(`${base}/ui/tasks?type=faq`);
await page.getByRole('row', { name: /Question/ }).first().waitFor();
const [download] = await Promise.all([
  page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click(),
]);
const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\n');
assert.equal(download.suggestedFilename(), 'tasks.jsonl');
assert.equal(lines.length, 7);
assert.ok(lines.every((line) => JSON.parse(line).type === 'faq'));
assert.ok(lines.every((line) => line.includes('12345678901234567')), lines[0]);
await eventually('crew', '/tasks/count?status=failed', (counted) => counted.count === 1);

// A reader may export and see failures, and has no button that changes anything.
const reader = await signedIn('reader', '/ui/tasks');
await reader.getByRole('button', { name: 'Export' }).waitFor();
assert.equal(await reader.getByRole('button', { name: 'Cancel all…' }).count(), 0);

await finish();
