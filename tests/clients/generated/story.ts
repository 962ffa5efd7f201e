// What a client does, with openapi-typescript and openapi-fetch. Reads URL and ADMIN, AGENT, APPROVER (keys) from the
// environment.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./client/schema.js";

type Schemas = components["schemas"];

function client(key: string) {
    return createClient<paths>({ baseUrl: process.env.URL!, headers: { "X-API-Key": process.env[key]! } });
}

function ok<T>(answer: { data?: T; error?: unknown }): T {
    assert(answer.data !== undefined, JSON.stringify(answer.error));
    return answer.data;
}

function refused(answer: { error?: Schemas["Problem"]; response: Response }, status: number, cause: string) {
    const problem = answer.error;
    assert(problem, "not refused");
    assert.deepEqual([problem.status, problem.type], [status, `urn:orchestrator:problem:${cause}`]);
    return problem;
}

async function claimed(count: number): Promise<Schemas["ClaimedTask"][]> {
    const tasks: Schemas["ClaimedTask"][] = [];
    while (tasks.length < count) {
        const body = { worker: "w1", max: count - tasks.length, wait_ms: 10_000 };
        const params = { path: { agent: "faq_agent" } };
        tasks.push(...ok(await agent.POST("/agents/{agent}/claim", { params, body })).tasks);
    }
    return tasks;
}

async function pending(task: string) {
    const page = ok(await approver.GET("/approvals/pending"));
    const approval = page.items.find((item) => item.task_id === task);
    assert(approval);
    return approval;
}

const admin = client("ADMIN");
const agent = client("AGENT");
const approver = client("APPROVER");

// Submits one task twice and four at once, and finds them all on pages of two.
const header = { "Idempotency-Key": "first" };
const once = { params: { header }, body: { type: "faq", payload: { n: 0 } } };
const first = ok(await admin.POST("/tasks", once));
assert.equal(ok(await admin.POST("/tasks", once)).task_id, first.task_id);
const tasks = [1, 2, 3, 4].map((n) => ({ type: "faq", payload: { n } }));
const batch = ok(await admin.POST("/tasks/batch", { body: { tasks } }));
const submitted = [first.task_id, ...batch.results.map((item) => item.task!.task_id)];
const listed: string[] = [];
for (let cursor: string | undefined, more = true; more; ) {
    const page = ok(await admin.GET("/tasks", { params: { query: { limit: 2, cursor } } }));
    listed.push(...page.items.map((task) => task.task_id));
    cursor = page.next_cursor ?? undefined;
    more = cursor !== undefined;
}
assert.deepEqual(listed.sort(), submitted.sort());

// Claims all five; completes one with a heartbeat, fails one, asks about one, and reports two at once.
const held = await claimed(5);
const [one, two, three] = held.splice(0, 3);
const path = (claim: Schemas["ClaimedTask"]) => ({ params: { path: { id: claim.task.task_id } } });
const lease = ({ attempt, lease }: Schemas["ClaimedTask"]) => ({ attempt, lease });
const beat = { ...lease(one), progress: { percent: 50, message: "half of it" } };
const extended = ok(await agent.POST("/tasks/{id}/heartbeat", { ...path(one), body: beat }));
assert(extended.lease_expires_at >= one.lease_expires_at);
ok(await agent.POST("/tasks/{id}/complete", { ...path(one), body: { ...lease(one), result: { answer: 42 } } }));
const query = { wait_ms: 10_000 };
const done = ok(await admin.GET("/tasks/{id}", { params: { path: { id: one.task.task_id }, query } }));
assert.deepEqual([done.status, done.result], ["completed", { answer: 42 }]);
const failure = { ...lease(two), error: "no such file", retryable: false };
assert.equal(ok(await agent.POST("/tasks/{id}/fail", { ...path(two), body: failure })).status, "failed");
const request = { ...lease(three), reason: "drop the table", action: { table: "users" } };
const asked = ok(await agent.POST("/tasks/{id}/approval", { ...path(three), body: request }));
assert.equal((await pending(three.task.task_id)).kind, "ask");
const decision = { params: { path: { id: asked.approval_id } }, body: { digest: asked.digest, comment: "fine" } };
assert.equal(ok(await approver.POST("/approvals/{id}/approve", decision)).status, "approved");
held.push(...(await claimed(1)));
const outcomes = held.map((claim) => ({
    ...lease(claim),
    task_id: claim.task.task_id,
    outcome: "completed" as const,
}));
const params = { path: { agent: "faq_agent" } };
const reported = ok(await agent.POST("/agents/{agent}/results", { params, body: { outcomes } }));
assert.deepEqual(reported.results.map((result) => result.status), ["completed", "completed", "completed"]);

// A task that an approver rejects has a status and a member that this client does not know.
const gated = { type: "deploy", title: "2.14.1 to production", payload: { environment: "production" } };
const deploy = ok(await admin.POST("/tasks", { body: gated }));
const approval = await pending(deploy.task_id);
const no = { digest: approval.digest, reason: "not on a Friday" };
const rejected = { params: { path: { id: approval.approval_id } }, body: no };
assert.equal(ok(await approver.POST("/approvals/{id}/reject", rejected)).status, "rejected");
const cancelled = ok(await admin.GET("/tasks/{id}", { params: { path: { id: deploy.task_id } } }));
assert.deepEqual([cancelled.status, (cancelled as { title?: unknown }).title], ["cancelled", gated.title]);

// Reads events as a page and as a stream, and figures.
const range = { types: "task.completed", after: "start" };
const page = ok(await admin.GET("/events", { params: { query: { ...range, limit: 10, wait_ms: 10_000 } } }));
assert.equal(page.items.length, 4);
const stop = new AbortController();
const stream = await admin.GET("/events/stream", {
    params: { query: range },
    parseAs: "stream",
    signal: stop.signal,
});
const text = stream.data!.pipeThrough(new TextDecoderStream());
let read = "";
for await (const chunk of text as unknown as AsyncIterable<string>) {
    read += chunk;
    if (read.includes(page.items[0].event_id)) break;
}
stop.abort();
const stats = ok(await admin.GET("/stats"));
assert.equal(stats.by_status.completed, 4);

// Refusals are typed.
const unknown = { params: { path: { id: "00000000-0000-0000-0000-000000000000" } } };
refused(await admin.GET("/tasks/{id}", unknown), 404, "unknown-task");
const lost = { ...path(one), body: { attempt: 1, lease: "another" } };
refused(await agent.POST("/tasks/{id}/complete", lost), 409, "lease-lost");
const wrong = await admin.POST("/tasks", { body: { type: "nothing", payload: {} } });
assert.equal(refused(wrong, 422, "invalid-fields").errors?.[0].pointer, "/type");
