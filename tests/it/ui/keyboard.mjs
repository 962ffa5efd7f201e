// Everything that matters without a mouse.

import { approvalOf, assert, call, finish, open, urgent } from './browser.mjs';

const [first, second] = [await urgent('First in line'), await urgent('Second in line')];
const page = await open('/ui');
const press = (...keys) => keys.reduce(async (before, key) => {
  await before;
  await page.keyboard.press(key);
}, Promise.resolve());
const focused = () => page.evaluate(() => document.activeElement.textContent.trim());

// The field of the form has the focus.
await page.getByLabel('API key or token').waitFor();
await page.keyboard.type(JSON.parse(process.env.KEYS).judge);
await press('Enter');
await page.getByRole('link', { name: /Second in line/ }).waitFor();

// j and k walk through the list; a goes to the button, which Enter presses.
await press('j');
await approvalOf(page).getByRole('heading', { name: 'First in line' }).waitFor();
await press('j');
await approvalOf(page).getByRole('heading', { name: 'Second in line' }).waitFor();
await press('k');
await approvalOf(page).getByRole('heading', { name: 'First in line' }).waitFor();
await approvalOf(page).getByRole('button', { name: 'Approve', exact: true }).waitFor();
await press('a');
assert.equal(await focused(), 'Approve');
assert.equal((await call('judge', 'GET', `/approvals/${first.approval_id}`)).status, 'pending');
await press('Enter');
await approvalOf(page).getByText('approved by key:judge', { exact: true }).waitFor();

// r goes to the reason; letters typed there are no commands.
await page.getByRole('link', { name: /First in line/ }).waitFor({ state: 'detached' });
await press('Escape', 'j');
await approvalOf(page).getByRole('heading', { name: 'Second in line' }).waitFor();
await approvalOf(page).getByRole('button', { name: 'Approve', exact: true }).waitFor();
await press('r');
await page.keyboard.type('jar');
await press('Tab', 'Tab');
assert.equal(await focused(), 'Reject');
await press('Enter');
await approvalOf(page).getByText('rejected by key:judge', { exact: true }).waitFor();
assert.equal((await call('judge', 'GET', `/approvals/${second.approval_id}`)).comment, 'jar');

// Digits change the view; the rows of the tasks are links.
await press('2');
await page.getByRole('heading', { name: 'Tasks' }).waitFor();
await page.getByRole('link', { name: 'First in line' }).waitFor();
await press('j', 'j');
assert.equal(await focused(), 'First in line');
await press('Enter');
await page.getByRole('heading', { name: 'First in line' }).waitFor();
await page.goBack();
await page.getByRole('link', { name: 'First in line' }).waitFor();
await press('/');
await page.keyboard.type(second.task_id);
await press('Enter');
await page.getByRole('heading', { name: 'Second in line' }).waitFor();
for (const [key, name] of [['3', 'Agents'], ['4', 'SLA'], ['5', 'Events'], ['6', 'Failed'],
  ['1', 'Inbox']]) {
  await press(key);
  await page.getByRole('heading', { name, exact: true }).waitFor();
}

await finish();
