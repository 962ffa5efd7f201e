// Tasks, live: rows that change, filters in the address, one task with its timeline, retry, cancel.

import { assert, call, claim, eventually, finish, report, signedIn, submit } from './browser.mjs';

const page = await signedIn('root', '/ui/tasks');
await page.getByText('No tasks yet').waitFor();

// A row appears and changes by itself.
const task = await submit({ type: 'faq', title: 'Answer the question', payload: { n: 1 } });
const row = page.getByRole('row', { name: /Answer the question/ });
await row.getByText('assigned').waitFor();
const held = await claim('faq_agent');
await row.getByText('in progress').waitFor();
await call('crew', 'POST', `/tasks/${task.task_id}/heartbeat`,
  { ...report(held), progress: { percent: 40, message: 'thinking' } });
await row.getByText('40 % thinking').waitFor();

// A filter is in the address; going back, reloading and sharing it work.
await submit({ type: 'bugfix', title: 'Fix the cart', priority: 'P3' });
await page.getByRole('row', { name: /Fix the cart/ }).getByText('assigned').waitFor();
await page.getByRole('link', { name: /in progress/ }).click();
await page.getByRole('row', { name: /Fix the cart/ }).waitFor({ state: 'detached' });
assert.ok(page.url().endsWith('/ui/tasks?status=in_progress'), page.url());
await page.getByLabel('Type').selectOption('bugfix');
await page.getByText('No task matches').waitFor();
assert.equal(new URL(page.url()).search, '?status=in_progress&type=bugfix');
await page.reload();
await page.getByText('No task matches').waitFor();
assert.equal(await page.getByLabel('Type').inputValue(), 'bugfix');
await page.goBack();
await row.waitFor();
assert.equal(await page.getByLabel('Type').inputValue(), '');
await page.getByRole('link', { name: /^all/ }).click();
await page.getByRole('row', { name: /Fix the cart/ }).waitFor();

// One task: status, timeline, result; it changes by itself.
await row.getByRole('link').click();
await page.getByText('40 % thinking').waitFor();
await call('crew', 'POST', `/tasks/${task.task_id}/complete`,
  { ...report(held), result: { answer: 'forty-two' } });
await page.getByText('forty-two').waitFor();
const steps = await page.getByRole('listitem').allTextContents();
for (const verb of ['submit', 'route', 'claim', 'complete']) {
  assert.ok(steps.some((step) => step.includes(verb)), `${verb}: ${steps}`);
}
await page.getByRole('region', { name: 'Result' }).getByRole('button', { name: 'Copy' }).click();
assert.equal(
  await page.evaluate(() => navigator.clipboard.readText()), '{\n  "answer": "forty-two"\n}');

// Cancel asks first; a cancelled task can be retried.
await page.goBack();
await page.getByRole('link', { name: 'Fix the cart' }).click();
await page.getByText('No process of dev_agent called recently').waitFor();
await page.getByRole('button', { name: 'Cancel…' }).click();
await page.getByLabel('Reason to cancel').fill('no longer needed');
await page.getByRole('button', { name: 'Cancel the task' }).click();
await page.getByRole('region', { name: 'Error' }).getByText('no longer needed').waitFor();
await page.getByRole('button', { name: 'Retry…' }).click();
await page.getByRole('button', { name: 'Retry the task' }).click();
await page.getByRole('button', { name: 'Cancel…' }).waitFor();
const id = page.url().split('/').pop();
await eventually('root', `/tasks/${id}`, ({ status }) => status === 'assigned');

// Agents, SLA and events show what happened.
await page.getByRole('link', { name: 'Agents' }).click();
const agent = page.getByRole('row', { name: /dev_agent/ });
await agent.getByText('1 task waits and no process is connected').waitFor();
await agent.getByRole('button', { name: 'Pause dev_agent' }).click();
await agent.getByText('paused', { exact: true }).waitFor();
await agent.getByRole('button', { name: 'Resume dev_agent' }).click();
await agent.getByText('paused', { exact: true }).waitFor({ state: 'detached' });
await page.getByRole('link', { name: 'SLA' }).click();
await page.getByRole('row', { name: /faq/ }).getByText('100 %').waitFor();
await page.getByLabel('By').selectOption('agent');
await page.getByRole('row', { name: /faq_agent/ }).waitFor();
assert.equal(new URL(page.url()).search, '?by=agent');
await page.getByRole('link', { name: 'Events' }).click();
await call('crew', 'POST', '/events/publish', { event_type: 'deploy.started', payload: { n: 1 } });
const event = page.getByRole('listitem').filter({ hasText: 'deploy.started' });
await event.getByText('external').waitFor();
await event.getByRole('button').click();
await event.getByText('event_id').waitFor();
await page.getByRole('link', { name: 'approval', exact: true }).click();
await event.waitFor({ state: 'detached' });

// A hidden tab follows nothing; when it is shown again, it has what came meanwhile.
await page.goto(page.url().replace(/events.*/, 'tasks'));
await page.getByText('Live').waitFor();
const show = (isHidden) => page.evaluate((value) => {
  Object.defineProperty(document, 'hidden', { value, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, isHidden);
await show(true);
await page.getByText('Paused').waitFor();
await submit({ type: 'faq', title: 'Came meanwhile' });
await show(false);
await page.getByRole('row', { name: /Came meanwhile/ }).waitFor();

await finish();
