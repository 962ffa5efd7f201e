// What operators see: the audit log, verified in the browser, and the system with its rules.

import { assert, base, call, finish, signedIn, urgent } from './browser.mjs';

for (const title of ['One', 'Two', 'Three']) {
  const task = await urgent(title);
  await call('judge', 'POST', `/approvals/${task.approval_id}/reject`, { reason: `no ${title}` });
}
const made = await call('root', 'POST', '/admin/keys', { name: 'guest', role: 'user' });
const page = await signedIn('root', '/ui/audit');

// Who did what; a filter stands in the address.
const row = page.getByRole('row', { name: /no Two/ });
await row.getByRole('link', { name: 'key:judge' }).click();
await page.waitForURL(/actor=key%3Ajudge/);
await row.waitFor();
await page.getByRole('row', { name: /key.created/ }).waitFor({ state: 'detached' });

// The browser computes every hash again, and finds what was changed on the way.
const verification = page.getByRole('region', { name: 'Verification' });
await page.getByRole('button', { name: 'Verify the whole log' }).click();
await verification.getByText('complete and unchanged').waitFor();
const { chains: [{ hash }], items } = await call('root', 'GET', '/admin/audit');
await verification.getByText(hash).waitFor();
const damages = [
  [(log) => {
    log.items[1].detail.reason = 'yes';
  }, 'was changed: its hash does not match its content'],
  [(log) => log.items.splice(1, 1), 'are missing'],
  [(log) => log.items.shift(), 'are missing'],
  [(log) => log.items.pop(), 'are missing'],
  [(log) => {
    log.chains[0].hash = '0'.repeat(64);
  }, 'what comes after it follows another one'],
];
for (const [damage, sign] of damages) {
  await page.route('**/admin/audit?limit=200', async (route) => {
    const log = { items: structuredClone(items), next_cursor: null };
    log.chains = (await call('root', 'GET', '/admin/audit')).chains;
    damage(log);
    await route.fulfill({ json: log });
  });
  await page.getByRole('button', { name: 'Verify the whole log' }).click();
  await verification.getByText(sign).first().waitFor();
  assert.equal(await verification.getByText('complete and unchanged').count(), 0);
  await page.unrouteAll();
}

// The system: health, rules, keys, and where a submission would go.
await page.getByRole('link', { name: 'System' }).click();
await page.getByText('healthy', { exact: true }).waitFor();
await page.getByRole('row', { name: /production change/ }).waitFor();
await page.getByRole('row', { name: /guest/ }).getByText('valid').waitFor();
const deploy = { type: 'deploy', payload: { environment: 'production' } };
await page.getByLabel('A submission').fill(JSON.stringify(deploy));
await page.getByRole('button', { name: 'Explain' }).click();
await page.getByText('ops_agent').first().waitFor();
await page.getByRole('status').filter({ hasText: 'held by' }).waitFor();
await page.getByLabel('A submission').fill('{"type": "no such type", "payload": {}}');
await page.getByRole('button', { name: 'Explain' }).click();
await page.getByRole('alert').getByText('/type').waitFor();
await call('root', 'DELETE', `/admin/keys/${made.key_id}`);
await page.getByRole('button', { name: 'Read again' }).click();
await page.getByRole('row', { name: /guest/ }).getByText('by key:root').waitFor();

// Others have neither view in their menu, and the API refuses them.
const judge = await signedIn('judge', '/ui');
await judge.getByRole('link', { name: 'Events' }).waitFor();
assert.equal(await judge.getByRole('link', { name: 'Audit' }).count(), 0);
await judge.goto(`${base}/ui/audit`);
await judge.getByText('Forbidden for this role').waitFor();

await finish();
