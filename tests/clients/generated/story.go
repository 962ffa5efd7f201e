// What a client does, with openapi-generator. Reads URL and ADMIN, AGENT, APPROVER (keys) from the environment.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	api "example.org/you/orchestrator"
)

var client = api.NewAPIClient(api.NewConfiguration())

func as(key string) context.Context {
	keys := map[string]api.APIKey{"ApiKey": {Key: os.Getenv(key)}}
	return context.WithValue(context.Background(), api.ContextAPIKeys, keys)
}

// check ends the story unless what is said holds.
func check(holds bool, said ...any) {
	if !holds {
		panic(fmt.Sprintln(said...))
	}
}

// ok returns the answer of a call that must succeed.
func ok[T any](answer T, _ *http.Response, err error) T {
	var refusal *api.GenericOpenAPIError
	if errors.As(err, &refusal) {
		panic(string(refusal.Body()))
	}
	check(err == nil, err)
	return answer
}

// refused returns the problem of a call that must be refused.
func refused[T any](status int32, cause string) func(T, *http.Response, error) api.Problem {
	return func(_ T, _ *http.Response, err error) api.Problem {
		var refusal *api.GenericOpenAPIError
		check(errors.As(err, &refusal), "not refused", err)
		problem, typed := refusal.Model().(api.Problem)
		check(typed && problem.Status == status && problem.Type == "urn:orchestrator:problem:"+cause, refusal.Model())
		return problem
	}
}

func submission(kind string, payload map[string]any) api.Submission {
	return *api.NewSubmission(payload, kind)
}

func claimed(count int) []api.ClaimedTask {
	var tasks []api.ClaimedTask
	for len(tasks) < count {
		body := api.NewClaimRequest("w1")
		body.SetMax(int64(count - len(tasks)))
		body.SetWaitMs(10_000)
		tasks = append(tasks, ok(client.AgentsAPI.ClaimTasks(as("AGENT"), "faq_agent").ClaimRequest(*body).Execute()).Tasks...)
	}
	return tasks
}

func pending(task string) api.Approval {
	for _, approval := range ok(client.ApprovalsAPI.ListPendingApprovals(as("APPROVER")).Execute()).Items {
		if approval.TaskId == task {
			return approval
		}
	}
	panic("no approval of " + task)
}

func main() {
	client.GetConfig().Servers[0].URL = os.Getenv("URL")
	admin, agent, approver := as("ADMIN"), as("AGENT"), as("APPROVER")

	// Submits one task twice and four at once, and finds them all on pages of two.
	once := client.TasksAPI.SubmitTask(admin).IdempotencyKey("first").Submission(submission("faq", map[string]any{"n": 0}))
	first := ok(once.Execute())
	check(ok(once.Execute()).TaskId == first.TaskId)
	submitted := map[string]bool{first.TaskId: true}
	var batch []api.Submission
	for n := 1; n < 5; n++ {
		batch = append(batch, submission("faq", map[string]any{"n": n}))
	}
	body := *api.NewSubmissionBatch(batch)
	for _, item := range ok(client.TasksAPI.SubmitTasks(admin).SubmissionBatch(body).Execute()).Results {
		submitted[item.GetTask().TaskId] = true
	}
	page := ok(client.TasksAPI.ListTasks(admin).Limit(2).Execute())
	listed := page.Items
	for page.GetNextCursor() != "" {
		page = ok(client.TasksAPI.ListTasks(admin).Limit(2).Cursor(page.GetNextCursor()).Execute())
		listed = append(listed, page.Items...)
	}
	check(len(listed) == 5 && len(submitted) == 5, listed)
	for _, task := range listed {
		check(submitted[task.TaskId], task)
	}

	// Claims all five; completes one with a heartbeat, fails one, asks about one, and reports two at once.
	held := claimed(5)
	one, two, three := held[0], held[1], held[2]
	beat := *api.NewHeartbeat(one.Attempt, one.Lease)
	beat.SetProgress(*api.NewProgressReport(50))
	extended := ok(client.AgentsAPI.ExtendLease(agent, one.Task.TaskId).Heartbeat(beat).Execute())
	check(!extended.LeaseExpiresAt.Before(one.LeaseExpiresAt))
	completion := *api.NewCompletion(one.Attempt, one.Lease)
	completion.SetResult(map[string]any{"answer": 42})
	ok(client.AgentsAPI.CompleteTask(agent, one.Task.TaskId).Completion(completion).Execute())
	done := ok(client.TasksAPI.GetTask(admin, one.Task.TaskId).WaitMs(10_000).Execute())
	check(done.Status == "completed" && fmt.Sprint(done.Result) == "map[answer:42]", done)
	failure := *api.NewFailure(two.Attempt, two.Lease)
	failure.SetError("no such file")
	failure.SetRetryable(false)
	check(ok(client.AgentsAPI.FailTask(agent, two.Task.TaskId).Failure(failure).Execute()).Status == "failed")
	request := *api.NewApprovalRequest(three.Attempt, three.Lease, "drop the table")
	request.SetAction(map[string]any{"table": "users"})
	asked := ok(client.AgentsAPI.AskApproval(agent, three.Task.TaskId).ApprovalRequest(request).Execute())
	check(pending(three.Task.TaskId).Kind == "ask")
	yes := *api.NewApprove()
	yes.SetDigest(asked.Digest)
	check(ok(client.ApprovalsAPI.Approve(approver, asked.ApprovalId).Approve(yes).Execute()).Status == "approved")
	var outcomes []api.OutcomeItem
	for _, item := range append(held[3:], claimed(1)...) {
		outcomes = append(outcomes, *api.NewOutcomeItem(item.Attempt, item.Lease, api.OUTCOME_KIND_COMPLETED, item.Task.TaskId))
	}
	reports := *api.NewOutcomeBatch(outcomes)
	for _, result := range ok(client.AgentsAPI.ReportOutcomes(agent, "faq_agent").OutcomeBatch(reports).Execute()).Results {
		check(result.GetStatus() == "completed", result)
	}

	// A task that an approver rejects has a status and a member that this client does not know.
	gated := submission("deploy", map[string]any{"environment": "production"})
	gated.SetTitle("2.14.1 to production")
	deploy := ok(client.TasksAPI.SubmitTask(admin).Submission(gated).Execute())
	approval := pending(deploy.TaskId)
	no := *api.NewReject()
	no.SetDigest(approval.Digest)
	no.SetReason("not on a Friday")
	check(ok(client.ApprovalsAPI.Reject(approver, approval.ApprovalId).Reject(no).Execute()).Status == "rejected")
	cancelled := ok(client.TasksAPI.GetTask(admin, deploy.TaskId).Execute())
	check(cancelled.Status == "cancelled" && cancelled.AdditionalProperties["title"] == gated.GetTitle(), cancelled)

	// Reads events as a page and as a stream, and figures.
	read := client.EventsAPI.ReadEvents(admin).Types("task.completed").After("start").Limit(10).WaitMs(10_000)
	events := ok(read.Execute()).Items
	check(len(events) == 4, events)
	check(strings.Contains(firstLineOfStream(), events[0].EventId))
	check(ok(client.OperationAPI.GetStats(admin).Execute()).ByStatus["completed"] == 4)

	// Refusals are typed.
	unknown := "00000000-0000-0000-0000-000000000000"
	refused[*api.Task](404, "unknown-task")(client.TasksAPI.GetTask(admin, unknown).Execute())
	lost := client.AgentsAPI.CompleteTask(agent, one.Task.TaskId).Completion(*api.NewCompletion(1, "another"))
	refused[*api.Reported](409, "lease-lost")(lost.Execute())
	wrong := client.TasksAPI.SubmitTask(admin).Submission(submission("nothing", map[string]any{}))
	problem := refused[*api.Task](422, "invalid-fields")(wrong.Execute())
	check(problem.Errors[0].Pointer == "/type", problem)
}

// The generated client reads a whole answer, so a stream, which has no end, is read without it.
func firstLineOfStream() string {
	request, err := http.NewRequest("GET", os.Getenv("URL")+"/events/stream?types=task.completed&after=start", nil)
	check(err == nil, err)
	request.Header.Set("X-API-Key", os.Getenv("ADMIN"))
	answer, err := http.DefaultClient.Do(request)
	check(err == nil, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			return lines.Text()
		}
	}
	panic("the stream ended")
}
