// What a client does, with @hey-api/openapi-ts. Reads URL and ADMIN, AGENT, APPROVER (keys) from the environment.

import assert from "node:assert/strict";
import { createClient, createConfig } from "./client/client";
import * as api from "./client";

function client(key: string) {
    return createClient(createConfig({ baseUrl: process.env.URL!, headers: { "X-API-Key": process.env[key]! } }));
}

function ok<T>(answer: { data?: T; error?: unknown }): T {
    assert(answer.data !== undefined, JSON.stringify(answer.error));
    return answer.data;
}

function refused(answer: { error?: api.Problem }, status: number, cause: string): api.Problem {
    const problem = answer.error;
    assert(problem, "not refused");
    assert.deepEqual([problem.status, problem.type], [status, `urn:orchestrator:problem:${cause}`]);
    return problem;
}

async function claimed(count: number): Promise<api.ClaimedTask[]> {
    const tasks: api.ClaimedTask[] = [];
    while (tasks.length < count) {
        const body = { worker: "w1", max: count - tasks.length, wait_ms: 10_000 };
        tasks.push(...ok(await api.claimTasks({ client: agent, path: { agent: "faq_agent" }, body })).tasks);
    }
    return tasks;
}

async function pending(task: string): Promise<api.Approval> {
    const page = ok(await api.listPendingApprovals({ client: approver }));
    const approval = page.items.find((item) => item.task_id === task);
    assert(approval);
    return approval;
}

const admin = client("ADMIN");
const agent = client("AGENT");
const approver = client("APPROVER");

// Submits one task twice and four at once, and finds them all on pages of two.
const once = { client: admin, headers: { "Idempotency-Key": "first" }, body: { type: "faq", payload: { n: 0 } } };
const first = ok(await api.submitTask(once));
assert.equal(ok(await api.submitTask(once)).task_id, first.task_id);
const tasks = [1, 2, 3, 4].map((n) => ({ type: "faq", payload: { n } }));
const batch = ok(await api.submitTasks({ client: admin, body: { tasks } }));
const submitted = [first.task_id, ...batch.results.map((item) => item.task!.task_id)];
const listed: string[] = [];
for (let cursor: string | undefined, more = true; more; ) {
    const page: api.TaskPage = ok(await api.listTasks({ client: admin, query: { limit: 2, cursor } }));
    listed.push(...page.items.map((task) => task.task_id));
    cursor = page.next_cursor ?? undefined;
    more = cursor !== undefined;
}
assert.deepEqual(listed.sort(), submitted.sort());

// Claims all five; completes one with a heartbeat, fails one, asks about one, and reports two at once.
const held = await claimed(5);
const [one, two, three] = held.splice(0, 3);
const path = (claim: api.ClaimedTask) => ({ client: agent, path: { id: claim.task.task_id } });
const lease = ({ attempt, lease }: api.ClaimedTask) => ({ attempt, lease });
const beat = { ...lease(one), progress: { percent: 50, message: "half of it" } };
const extended = ok(await api.extendLease({ ...path(one), body: beat }));
assert(extended.lease_expires_at >= one.lease_expires_at);
ok(await api.completeTask({ ...path(one), body: { ...lease(one), result: { answer: 42 } } }));
const done = ok(await api.getTask({ ...path(one), query: { wait_ms: 10_000 } }));
assert.deepEqual([done.status, done.result], ["completed", { answer: 42 }]);
const failure = { ...lease(two), error: "no such file", retryable: false };
assert.equal(ok(await api.failTask({ ...path(two), body: failure })).status, "failed");
const request = { ...lease(three), reason: "drop the table", action: { table: "users" } };
const asked = ok(await api.askApproval({ ...path(three), body: request }));
assert.equal((await pending(three.task.task_id)).kind, "ask");
const yes = { client: approver, path: { id: asked.approval_id }, body: { digest: asked.digest, comment: "fine" } };
assert.equal(ok(await api.approve(yes)).status, "approved");
held.push(...(await claimed(1)));
const outcomes = held.map((claim): api.OutcomeItem => ({
    ...lease(claim),
    task_id: claim.task.task_id,
    outcome: "completed",
}));
const results = await api.reportOutcomes({ client: agent, path: { agent: "faq_agent" }, body: { outcomes } });
assert.deepEqual(ok(results).results.map((result) => result.status), ["completed", "completed", "completed"]);

// A task that an approver rejects has a status and a member that this client does not know.
const gated = { type: "deploy", title: "2.14.1 to production", payload: { environment: "production" } };
const deploy = ok(await api.submitTask({ client: admin, body: gated }));
const approval = await pending(deploy.task_id);
const no = { digest: approval.digest, reason: "not on a Friday" };
const rejected = await api.reject({ client: approver, path: { id: approval.approval_id }, body: no });
assert.equal(ok(rejected).status, "rejected");
const cancelled = ok(await api.getTask({ client: admin, path: { id: deploy.task_id } }));
assert.deepEqual([cancelled.status, (cancelled as { title?: unknown }).title], ["cancelled", gated.title]);

// Reads events as a page and as a stream, and figures.
const range = { types: "task.completed", after: "start" };
const page = ok(await api.readEvents({ client: admin, query: { ...range, limit: 10, wait_ms: 10_000 } }));
assert.equal(page.items.length, 4);
const { stream } = await api.followEvents({ client: admin, query: range, sseMaxRetryAttempts: 1 });
for await (const event of stream) {
    assert.equal((event as unknown as api.Event).event_id, page.items[0].event_id);
    break;
}
const stats = ok(await api.getStats({ client: admin }));
assert.equal(stats.by_status.completed, 4);

// Refusals are typed.
const unknown = { client: admin, path: { id: "00000000-0000-0000-0000-000000000000" } };
refused(await api.getTask(unknown), 404, "unknown-task");
refused(await api.completeTask({ ...path(one), body: { attempt: 1, lease: "another" } }), 409, "lease-lost");
const wrong = await api.submitTask({ client: admin, body: { type: "nothing", payload: {} } });
assert.equal(refused(wrong, 422, "invalid-fields").errors?.[0].pointer, "/type");
process.exit(0);
