//! What a client does, with progenitor. Reads URL and ADMIN, AGENT, APPROVER (keys) from the
//! environment.

use std::collections::HashSet;
use std::env;

use futures_util::StreamExt;
use orchestrator_client::types::{self, ClaimedTask, Problem};
use orchestrator_client::{ByteStream, Client, Error, ResponseValue};
use serde_json::{Value, from_value, json};
use uuid::Uuid;

type Failed = Box<dyn std::error::Error>;

fn client(key: &str) -> Result<Client, Failed> {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-api-key", env::var(key)?.parse()?);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    Ok(Client::new_with_client(&env::var("URL")?, http))
}

/// Returns the problem of a call that must be refused: the client leaves its body unread.
async fn refused<T: std::fmt::Debug>(
    answer: Result<ResponseValue<T>, Error<ByteStream>>,
    status: i32,
    cause: &str,
) -> Result<Problem, Failed> {
    let body = match answer {
        Err(Error::ErrorResponse(refusal)) => text(refusal.into_inner()).await?,
        Err(Error::UnexpectedResponse(refusal)) => refusal.text().await?,
        other => panic!("{other:?}"),
    };
    let problem: Problem = serde_json::from_str(&body)?;
    assert_eq!(problem.type_, format!("urn:orchestrator:problem:{cause}"), "{problem:?}");
    assert_eq!(problem.status, status);
    Ok(problem)
}

async fn text(mut stream: ByteStream) -> Result<String, Failed> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(bytes)?)
}

async fn claimed(agent: &Client, count: usize) -> Result<Vec<ClaimedTask>, Failed> {
    let mut tasks = Vec::new();
    while tasks.len() < count {
        let body = json!({"worker": "w1", "max": count - tasks.len(), "wait_ms": 10_000});
        let claim = agent.claim_tasks(&"faq_agent".parse()?, &from_value(body)?).await?;
        tasks.extend(claim.into_inner().tasks);
    }
    Ok(tasks)
}

async fn pending(approver: &Client, task: Uuid) -> Result<types::Approval, Failed> {
    let page = approver.list_pending_approvals(None, None, None).await?.into_inner();
    Ok(page.items.into_iter().find(|approval| approval.task_id == task).expect("an approval"))
}

/// Returns a body with the attempt and the lease of `claim`, and `more`.
fn held<T: serde::de::DeserializeOwned>(claim: &ClaimedTask, more: Value) -> Result<T, Failed> {
    let mut body = json!({"attempt": claim.attempt, "lease": claim.lease});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Ok(from_value(body)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let (admin, agent, approver) = (client("ADMIN")?, client("AGENT")?, client("APPROVER")?);

    // Submits one task twice and four at once, and finds them all on pages of two.
    let (key, body) = ("first".parse()?, from_value(json!({"type": "faq", "payload": {"n": 0}}))?);
    let first = admin.submit_task(Some(&key), None, None, &body).await?.task_id;
    assert_eq!(admin.submit_task(Some(&key), None, None, &body).await?.task_id, first);
    let tasks: Vec<_> = (1..5).map(|n| json!({"type": "faq", "payload": {"n": n}})).collect();
    let batch = admin.submit_tasks(None, None, &from_value(json!({"tasks": tasks}))?).await?.into_inner();
    let mut submitted = HashSet::from([first]);
    for item in batch.results {
        let types::BatchItemResultTask::Variant0(task) = item.task else { panic!("no task") };
        submitted.insert(task.task_id);
    }
    let (mut listed, mut cursor) = (HashSet::new(), None::<String>);
    loop {
        let limit = std::num::NonZeroU64::new(2);
        let page = admin
            .list_tasks(
                None, None, None, cursor.as_deref(), None, limit, None, None, None, None, None,
                None, None,
            )
            .await?
            .into_inner();
        listed.extend(page.items.iter().map(|task| task.task_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, submitted);

    // Claims all five; completes one with a heartbeat, fails one, asks about one, and reports two
    // at once.
    let mut claims = claimed(&agent, 5).await?;
    let (one, two, three) = (claims.remove(0), claims.remove(0), claims.remove(0));
    let beat = held(&one, json!({"progress": {"percent": 50, "message": "half of it"}}))?;
    let extended = agent.extend_lease(&one.task.task_id, &beat).await?;
    assert!(extended.lease_expires_at >= one.lease_expires_at);
    let completion = held(&one, json!({"result": {"answer": 42}}))?;
    agent.complete_task(&one.task.task_id, &completion).await?;
    let done = admin.get_task(&one.task.task_id, Some(10_000)).await?.into_inner();
    assert_eq!((&*done.status, &done.result), ("completed", &Some(json!({"answer": 42}))));
    let failure = held(&two, json!({"error": "no such file", "retryable": false}))?;
    assert_eq!(agent.fail_task(&two.task.task_id, &failure).await?.status, "failed");
    let request = held(&three, json!({"reason": "drop the table", "action": {"table": "users"}}))?;
    let asked = agent.ask_approval(&three.task.task_id, &request).await?.into_inner();
    assert_eq!(pending(&approver, three.task.task_id).await?.kind, "ask");
    let yes = from_value(json!({"digest": asked.digest, "comment": "fine"}))?;
    assert_eq!(approver.approve(&asked.approval_id, &yes).await?.status, "approved");
    claims.extend(claimed(&agent, 1).await?);
    let mut outcomes = Vec::new();
    for claim in &claims {
        let more = json!({"task_id": claim.task.task_id, "outcome": "completed"});
        outcomes.push(held::<Value>(claim, more)?);
    }
    let body = from_value(json!({"outcomes": outcomes}))?;
    let results = agent.report_outcomes(&"faq_agent".parse()?, &body).await?.into_inner().results;
    assert!(results.iter().all(|result| result.status.as_deref() == Some("completed")));

    // A task that an approver rejects has a status and a member that this client does not know.
    let gated = json!({
        "type": "deploy", "title": "2.14.1 to production", "payload": {"environment": "production"},
    });
    let deploy = admin.submit_task(None, None, None, &from_value(gated)?).await?.task_id;
    let approval = pending(&approver, deploy).await?;
    let no = from_value(json!({"digest": approval.digest, "reason": "not on a Friday"}))?;
    assert_eq!(approver.reject(&approval.approval_id, None, &no).await?.status, "rejected");
    assert_eq!(admin.get_task(&deploy, None).await?.status, "cancelled");

    // Reads events as a page and as a stream, and figures.
    let (start, types) = (Some("start"), Some("task.completed"));
    let page = admin.read_events(start, None, None, None, types, Some(10_000), None).await?;
    assert_eq!(page.items.len(), 4);
    let wanted = page.items[0].event_id.to_string();
    let mut stream = admin.follow_events(start, None, None, types, None).await?.into_inner();
    let mut read = String::new();
    while !read.contains(&wanted) {
        read.push_str(std::str::from_utf8(&stream.next().await.expect("no end")?)?);
    }
    assert_eq!(admin.get_stats().await?.by_status["completed"], 4);

    // Refusals are typed.
    refused(admin.get_task(&Uuid::nil(), None).await, 404, "unknown-task").await?;
    let lost = from_value(json!({"attempt": 1, "lease": "another"}))?;
    let answer = agent.complete_task(&one.task.task_id, &lost).await;
    refused(answer, 409, "lease-lost").await?;
    let wrong = from_value(json!({"type": "nothing", "payload": {}}))?;
    let answer = admin.submit_task(None, None, None, &wrong).await;
    assert_eq!(refused(answer, 422, "invalid-fields").await?.errors[0].pointer, "/type");
    Ok(())
}
