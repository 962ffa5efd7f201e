// How sessions begin and end: by the identity provider, by a sign-out, by the end of a key.

import { approvalOf, assert, base, call, finish, open, urgent } from './browser.mjs';

const task = await urgent('Restart the cache');
const address = `/ui/approvals/${task.approval_id}`;

// A person whom the provider signs in arrives where the link led, and decides by name.
const person = await open(address, { mayLeave: true });
await person.getByRole('link', { name: 'Sign in with your organisation' }).click();
await approvalOf(person).getByRole('heading', { name: 'Restart the cache' }).waitFor();
assert.equal(person.url(), base + address);
await approvalOf(person).getByRole('button', { name: 'Approve', exact: true }).click();
await approvalOf(person).getByText('approved by user:alice', { exact: true }).waitFor();

// A sign-out ends the session of a copied cookie too, at once.
const [cookie] = await person.context().cookies();
const copy = await open('/ui', { mayLeave: true });
await copy.context().addCookies([cookie]);
await copy.reload();
await copy.getByText('Live', { exact: true }).waitFor();
await person.getByRole('button', { name: 'Sign out' }).click();
await person.getByLabel('API key or token').waitFor();
await copy.getByLabel('API key or token').waitFor({ timeout: 1_000 });
const answer = await fetch(`${base}/session`, {
  headers: { cookie: `${cookie.name}=${cookie.value}` },
});
assert.equal(answer.status, 401);

// What failed is told in words, and the sign-in can begin again.
await person.goto(`${base}/ui/sign-in/oidc/callback?code=x&state=y`);
await person.getByText('The sign-in took too long, or began in another browser.').waitFor();
await person.goto(`${base}/ui?sign-in=no-role`);
await person.getByText('You have no role here.').waitFor();
await person.getByRole('link', { name: 'Sign in with your organisation' }).click();
await person.getByText('Nothing waits for you').waitFor();

// The session of a managed key ends on the page within a second of its revocation.
const made = await call('root', 'POST', '/admin/keys', { name: 'guest', role: 'approver' });
const guest = await open('/ui');
await guest.getByLabel('API key or token').fill(made.secret ?? made.key);
await guest.keyboard.press('Enter');
await guest.getByText('Live', { exact: true }).waitFor();
await call('root', 'DELETE', `/admin/keys/${made.key_id}`);
await guest.getByLabel('API key or token').waitFor({ timeout: 1_000 });

await finish();
