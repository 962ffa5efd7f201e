// An agent in TypeScript, with nothing but Node.js, which runs it as it is from version 22.18 on:
//
//     ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... node examples/agent.ts faq_agent
export type Task = { task_id: string; type: string; payload: unknown };
type Claim = { task: Task; attempt: number; lease: string };

const { ORCHESTRATOR_URL: url, ORCHESTRATOR_API_KEY: key } = process.env;
const agent = process.argv[2];

async function call(path: string, body: unknown): Promise<any> {
    const headers = { "X-API-Key": key!, "Content-Type": "application/json" };
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
    return answer.json();
}

async function work(task: Task): Promise<unknown> {
    return { answer: `${task.type} task done`, payload: task.payload };
}

async function attempt({ task, attempt, lease }: Claim): Promise<void> {
    const path = `/tasks/${task.task_id}`;
    // A third of the lease, 30 s.
    const beat = setInterval(() => call(`${path}/heartbeat`, { attempt, lease }).catch(console.error), 10_000);
    const outcome = work(task).then(
        (result) => call(`${path}/complete`, { attempt, lease, result }),
        (error) => call(`${path}/fail`, { attempt, lease, error: String(error) }),
    );
    await outcome.finally(() => clearInterval(beat));
}

for (;;) {
    try {
        const claim = { worker: `ts-${process.pid}`, max: 1, wait_ms: 30_000 };
        for (const given of (await call(`/agents/${agent}/claim`, claim)).tasks as Claim[]) await attempt(given);
    } catch (error) {
        console.error(error); // refused, or the gateway is away
        await new Promise((wake) => setTimeout(wake, 1_000));
    }
}
