"""What a client does, with the one of openapi-python-client. Reads URL and ADMIN, AGENT, APPROVER (keys) from the
environment."""

import os
from typing import TypeVar
from uuid import UUID

from morning_ai_orchestrator_client import AuthenticatedClient
from morning_ai_orchestrator_client.api.agents import (
    ask_approval, claim_tasks, complete_task, extend_lease, fail_task, report_outcomes,
)
from morning_ai_orchestrator_client.api.approvals import approve, list_pending_approvals, reject
from morning_ai_orchestrator_client.api.events import read_events
from morning_ai_orchestrator_client.api.operation import get_stats
from morning_ai_orchestrator_client.api.tasks import get_task, list_tasks, submit_task, submit_tasks
from morning_ai_orchestrator_client.models import (
    Approval, ApprovalRequest, Approve, ClaimedTask, ClaimRequest, Completion, Failure, Heartbeat, OutcomeBatch,
    OutcomeItem, OutcomeKind, Problem, ProgressReport, Reject, Submission, SubmissionBatch, SubmissionPayload,
)

T = TypeVar("T")


def client(key: str) -> AuthenticatedClient:
    return AuthenticatedClient(os.environ["URL"], os.environ[key], prefix="", auth_header_name="X-API-Key")


def ok(answer: T | Problem | None) -> T:
    assert answer is not None and not isinstance(answer, Problem), answer
    return answer


def refused(answer: object, status: int, cause: str) -> Problem:
    assert isinstance(answer, Problem), answer
    assert (answer.status, answer.type_) == (status, f"urn:orchestrator:problem:{cause}"), answer
    return answer


def submission(type_: str, **payload: object) -> Submission:
    return Submission(type_=type_, payload=SubmissionPayload.from_dict(payload))


def claimed(count: int) -> list[ClaimedTask]:
    tasks: list[ClaimedTask] = []
    while len(tasks) < count:
        body = ClaimRequest(worker="w1", max_=count - len(tasks), wait_ms=10_000)
        tasks += ok(claim_tasks.sync("faq_agent", client=agent, body=body)).tasks
    return tasks


def pending(task_id: UUID) -> Approval:
    page = ok(list_pending_approvals.sync(client=approver))
    return next(approval for approval in page.items if approval.task_id == task_id)


admin, agent, approver = client("ADMIN"), client("AGENT"), client("APPROVER")

# Submits one task twice and four at once, and finds them all on pages of two.
first = ok(submit_task.sync(client=admin, body=submission("faq", n=0), idempotency_key="first"))
again = ok(submit_task.sync(client=admin, body=submission("faq", n=0), idempotency_key="first"))
assert again.task_id == first.task_id
batch = SubmissionBatch(tasks=[submission("faq", n=n) for n in range(1, 5)])
found = [item.task.task_id for item in ok(submit_tasks.sync(client=admin, body=batch)).results if item.task]
page = ok(list_tasks.sync(client=admin, limit=2))
listed = page.items
while page.next_cursor:
    page = ok(list_tasks.sync(client=admin, limit=2, cursor=page.next_cursor))
    listed += page.items
assert {task.task_id for task in listed} == {first.task_id, *found}

# Claims all five; completes one with a heartbeat, fails one, asks about one, and reports two at once.
held = claimed(5)
one, two, three = held[:3]
progress = ProgressReport(percent=50.0, message="half of it")
beat = Heartbeat(attempt=one.attempt, lease=one.lease, progress=progress)
assert ok(extend_lease.sync(one.task.task_id, client=agent, body=beat)).lease_expires_at >= one.lease_expires_at
done = Completion(attempt=one.attempt, lease=one.lease, result={"answer": 42})
ok(complete_task.sync(one.task.task_id, client=agent, body=done))
task = ok(get_task.sync(one.task.task_id, client=admin, wait_ms=10_000))
assert (task.status, task.result) == ("completed", {"answer": 42})
failure = Failure(attempt=two.attempt, lease=two.lease, error="no such file", retryable=False)
assert ok(fail_task.sync(two.task.task_id, client=agent, body=failure)).status == "failed"
request = ApprovalRequest(attempt=three.attempt, lease=three.lease, reason="drop the table", action={"table": "users"})
asked = ok(ask_approval.sync(three.task.task_id, client=agent, body=request))
assert pending(three.task.task_id).kind == "ask"
yes = Approve(digest=asked.digest, comment="fine")
assert ok(approve.sync(asked.approval_id, client=approver, body=yes)).status == "approved"
held = [*held[3:], *claimed(1)]
outcomes = [OutcomeItem(attempt=item.attempt, lease=item.lease, outcome=OutcomeKind.OUTCOME_KIND_COMPLETED,
                        task_id=item.task.task_id) for item in held]
results = ok(report_outcomes.sync("faq_agent", client=agent, body=OutcomeBatch(outcomes=outcomes))).results
assert [result.status for result in results] == ["completed"] * 3, results

# A task that an approver rejects has a status and a member that this client does not know.
gated = submission("deploy", environment="production")
gated.title = "2.14.1 to production"
deploy = ok(submit_task.sync(client=admin, body=gated))
approval = pending(deploy.task_id)
no = Reject(digest=approval.digest, reason="not on a Friday")
assert ok(reject.sync(approval.approval_id, client=approver, body=no)).status == "rejected"
task = ok(get_task.sync(deploy.task_id, client=admin))
assert (task.status, task.additional_properties["title"]) == ("cancelled", "2.14.1 to production")

# Reads events as a page and as a stream, and figures.
events = ok(read_events.sync(client=admin, types="task.completed", after="start", limit=10, wait_ms=10_000))
assert len(events.items) == 4, events
query = {"types": "task.completed", "after": "start"}
with admin.get_httpx_client().stream("GET", "/events/stream", params=query) as stream:
    lines = (line for line in stream.iter_lines() if line.startswith("data:"))
    assert str(events.items[0].event_id) in next(lines)
assert ok(get_stats.sync(client=admin)).by_status.additional_properties["completed"] == 4

# Refusals are typed.
refused(get_task.sync(UUID(int=0), client=admin), 404, "unknown-task")
refused(complete_task.sync(one.task.task_id, client=agent, body=Completion(1, "another")), 409, "lease-lost")
problem = refused(submit_task.sync(client=admin, body=submission("nothing")), 422, "invalid-fields")
assert problem.errors and problem.errors[0].pointer == "/type", problem
