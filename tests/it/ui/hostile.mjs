// Texts of clients that try to become scripts or to deceive, and pages of other origins.

import http from 'node:http';
import {
  assert, base, call, claim, eventually, finish, open, report, signedIn, submit, tryCall,
} from './browser.mjs';

const CORPUS = [
  '<script>document.pwned = 1</script>',
  '<img src=x onerror="document.pwned = 1">',
  '"><svg/onload=document.pwned=1>',
  "'-document.pwned=1-'",
  '${document.pwned = 1}{{constructor.constructor("document.pwned=1")()}}',
  'javascript:document.pwned=1',
  '<a href="http://evil.example.com/">click</a><base href="http://evil.example.com/">',
  '<style>@import "http://evil.example.com/x.css"</style><link rel=stylesheet href=//evil.example>',
  '<iframe srcdoc="<script>parent.document.pwned=1</script>"></iframe>',
  '</script><script src="http://evil.example.com/x.js"></script>',
  'invoice\u202Egnp.exe', 'zero\u200Bwidth\uFEFF', 'bell\u0007 and \u001b[31mcolour',
  '\u2066isolate\u2069 tag\u{E0041} filler\u3164', '<!--', ']]>', '&lt;b&gt;', '__proto__',
];

const HIDDEN = /[\u202A-\u202E\u2066-\u2069\u200B\uFEFF\u0007\u001B\u3164\u{E0041}]/u;

// Each text as title, key and value of a payload, error, comment, reason, action, result.
const all = CORPUS.join(' | ').slice(0, 190);
const payload = Object.fromEntries(CORPUS.map((text, nth) => [text, { [`n${nth}`]: [text] }]));
for (const title of CORPUS) {
  await submit({ type: 'faq', title, payload: { text: title }, metadata: { [title]: title } });
}
const waits = await submit({ type: 'deploy', title: all, payload });
const failing = await submit({ type: 'bugfix', title: all, payload, priority: 'P2' });
const held = await claim('dev_agent');
await call('crew', 'POST', `/tasks/${failing.task_id}/fail`,
  { ...report(held), error: CORPUS.join('\n'), retryable: false, result: payload });
const asking = await submit({ type: 'investigate', title: all });
const asks = await call('crew', 'POST', `/tasks/${asking.task_id}/approval`,
  { ...report(await claim('dev_agent')), reason: CORPUS.join(' '), action: payload });
await call('second_judge', 'POST', `/approvals/${waits.approval_id}/approve`, {
  payload: { ...payload, more: all }, comment: CORPUS.join(' '),
});
await call('crew', 'POST', '/events/publish', { event_type: 'deploy.started', payload });

const page = await signedIn('judge', '/ui');
const isClean = async () => {
  assert.equal(await page.evaluate(() => document.pwned), undefined);
  const strange = await page.evaluate(() => [...document.querySelectorAll(
    'iframe, object, embed, base, svg[onload], img:not([alt=""]), script:not([src^="/ui/files/"]), '
    + 'link:not([href^="/ui/files/"]), style, [onerror], a:not([href^="/ui"]):not([href="#main"])',
  )].map((element) => element.outerHTML));
  assert.deepEqual(strange, []);
};
const title = page.locator('h1, h2').filter({ hasText: '<script>document.pwned' });
for (const [path, sign] of [
  ['/ui/approvals', page.getByRole('link', { name: /<script>document.pwned/ })],
  [`/ui/approvals/${waits.approval_id}`, title],
  [`/ui/approvals/${asks.approval_id}`, title],
  ['/ui/tasks', page.getByText('invoice\\u{202e}gnp.exe').first()],
  [`/ui/tasks/${failing.task_id}`, title],
]) {
  await page.goto(base + path);
  await sign.first().waitFor();
  await isClean();
  const text = await page.evaluate(() => document.body.textContent + document.title);
  assert.ok(!HIDDEN.test(text), path);
}

// What is hidden in a payload can be seen, and is copied as it is.
await page.getByText('zero\\u{200b}width\\u{feff}').first().waitFor();
await page.getByRole('region', { name: 'Payload' }).getByRole('button', { name: 'Copy' }).click();
const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
assert.deepEqual(copied, payload);

// Events of other systems are text too.
await page.goto(`${base}/ui/events`);
await page.getByText('Live').waitFor();
await call('crew', 'POST', '/events/publish',
  { event_type: 'deploy.started', payload: { title: all, reason: all, actor: CORPUS[0] } });
await page.getByRole('button', { name: 'deploy.started' }).click();
await page.getByText('event_id').waitFor();
await isClean();

// An address may hold anything as well.
const hostile = encodeURIComponent('"><img src=x onerror=document.pwned=1>');
for (const path of [`/ui/tasks/${hostile}`, `/ui/approvals/${hostile}`, `/ui/tasks?type=${hostile}`,
  `/ui/events?types=${hostile}`, `/ui/${hostile}`, `/ui/sla?by=${hostile}&span=${hostile}`]) {
  await page.goto(base + path);
  await page.locator('#main, article').first().waitFor();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  await isClean();
}

// A page of another origin, even of the same host, can use the session for nothing.
const victim = await submit({ type: 'monitor', title: 'Keep me' });
const action = `${base}/tasks/${victim.task_id}/cancel`;
const form = `<form method=post action="${action}" enctype="text/plain">
  <input name='{"reason":"' value='"}'></form><script>document.forms[0].submit()</script>`;
const script = `<iframe src="${base}/ui"></iframe><script>
  const tries = [
    fetch('${action}', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' }),
    fetch('${action}', { method: 'POST', credentials: 'include',
      headers: { 'content-type': 'application/json' }, body: '{}' }),
    fetch('${base}/session', { credentials: 'include' }).then((answer) => answer.text()),
    fetch('${base}/session', { method: 'DELETE', mode: 'no-cors', credentials: 'include' }),
  ];
  Promise.allSettled(tries).then((results) => {
    document.title = results.map(({ status, value }) => status[0] + (value?.type ?? '')).join(' ');
  });</script>`;
const evil = http.createServer((request, response) => {
  response.setHeader('content-type', 'text/html');
  response.end(request.url === '/form' ? form : script);
});
await new Promise((resolve) => evil.listen(0, '127.0.0.1', resolve));
const root = await signedIn('root', '/ui', { mayLeave: true });
const other = await root.context().newPage();
const seen = [];
other.on('response', (response) => seen.push([response.request().method(), response.status()]));
await other.goto(`http://127.0.0.1:${evil.address().port}/script`);
await other.waitForFunction(() => document.title !== '');
assert.equal(await other.title(), 'fopaque r r r');
assert.equal(other.frames()[1].url(), 'chrome-error://chromewebdata/');
await other.goto(`http://127.0.0.1:${evil.address().port}/form`);
await other.waitForURL(/cancel$/);
const writes = seen.filter(([method]) => method !== 'GET' && method !== 'OPTIONS');
assert.ok(writes.length > 0, JSON.stringify(seen));
assert.ok(writes.every(([, status]) => status === 403), JSON.stringify(seen));
await eventually('root', `/tasks/${victim.task_id}`, ({ status }) => status === 'assigned');
await root.reload();
await root.getByRole('button', { name: 'Sign out' }).waitFor();
evil.close();

// No script of the page can read the cookie.
assert.equal(await root.evaluate(() => document.cookie), '');
assert.equal((await tryCall('judge', 'GET', `/approvals/${asks.approval_id}`)).status, 200);
await (await open('/ui')).getByLabel('API key or token').waitFor();

await finish();
