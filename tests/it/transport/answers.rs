//! How large answers are: claims end where the answer is full, and a task that no message has room
//! for holds up no other task.

use orchestrator::domain::lifecycle::State;
use orchestrator::domain::submission::Spec;
use serde_json::{Value, json};

use super::{CLAIM, Caller, Office, refused};
use crate::harness::{Fleet, Nats, Site, approval_of, id_of, json as raw, new_task};

/// Several tasks of one claim have no more bytes together.
const SEVERAL: usize = 1 << 20;

/// What of a message is kept for its headers.
const HEADERS: usize = 2_048;

async fn open(nats: &Nats) -> (Site, Office, Caller) {
    let site = Site::without_approvals().await;
    let office = Office::open(&site.fleet, nats).await;
    (site, office, Caller::of(nats).await)
}

/// A payload of this many bytes.
fn payload(bytes: usize) -> String {
    format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes - 8))
}

async fn submit(site: &Site, count: usize, bytes: usize) {
    let payload = raw(&payload(bytes));
    for _ in 0..count {
        let spec = Spec { payload: payload.clone(), ..new_task("faq").spec };
        site.fleet.try_submit(spec.into()).await.unwrap();
    }
    site.fleet.route().await;
}

/// The outcomes of what a claim was answered with: each a first attempt that lost nothing.
fn outcomes(tasks: &Value) -> Vec<Value> {
    let outcome = |held: &Value| {
        let task = &held["task"];
        assert_eq!((&task["attempt"], &task["lost_count"]), (&json!(1), &json!(0)));
        let (id, lease) = (&task["task_id"], &held["lease"]);
        json!({"task_id": id, "attempt": 1, "lease": lease, "outcome": "completed"})
    };
    tasks.as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test]
async fn a_hundred_tasks_of_a_megabyte_reach_their_agents_over_http_and_nats() {
    let nats = Nats::plain().await;
    let (site, office, caller) = open(&nats).await;
    submit(&site, 100, 1_000_000).await;
    let claim = json!({"worker": "w1", "max": 100});
    let (mut over_http, mut over_nats, mut largest) = (Vec::new(), Vec::new(), 0);

    // Half of them over HTTP, each report with the next claim.
    let answer = site.post("crew", "/agents/faq_agent/claim", &claim).await;
    let mut held = outcomes(&answer.accepted(200)["tasks"]);
    while !held.is_empty() {
        over_http.extend(held.clone());
        let next = (over_http.len() < 50).then_some(&claim);
        let body = json!({"outcomes": held, "claim": next});
        let answer = site.post("crew", "/agents/faq_agent/results", &body).await;
        largest = largest.max(answer.body.len());
        let answer = answer.accepted(200);
        assert!(
            answer["results"].as_array().unwrap().iter().all(|one| one["status"] == "completed")
        );
        held = if next.is_some() { outcomes(&answer["claimed"]["tasks"]) } else { Vec::new() };
    }
    assert!((SEVERAL * 3 / 4..SEVERAL + 10_000).contains(&largest), "{largest}");
    // The other half over NATS.
    let mut held = outcomes(&caller.accepted("crew", CLAIM, &claim).await["tasks"]);
    while !held.is_empty() {
        over_nats.extend(held.clone());
        let body = json!({"outcomes": held, "claim": claim});
        let subject = "orchestrator.agents.faq_agent.results";
        let answer = caller.accepted("crew", subject, &body).await;
        assert_eq!(answer["claim_problem"], Value::Null);
        held = outcomes(&answer["claimed"]["tasks"]);
    }

    assert!(over_http.len() < 64 && over_http.len() + over_nats.len() == 100);
    let done = site.fleet.engine.stats().await.unwrap();
    assert!(done.by_status.contains(&(State::Completed, 100)), "{done:?}");
    office.close().await;
    site.finish().await;
}

#[tokio::test]
async fn a_task_larger_than_several_together_is_claimed_alone() {
    let nats = Nats::plain().await;
    let (site, office, _caller) = open(&nats).await;
    submit(&site, 2, SEVERAL).await;
    submit(&site, 1, 1_000).await;
    let claim = json!({"worker": "w1", "max": 100});

    for _ in 0..2 {
        let answer = site.post("crew", "/agents/faq_agent/claim", &claim).await;
        assert!(answer.body.len() > SEVERAL);
        assert_eq!(outcomes(&answer.accepted(200)["tasks"]).len(), 1);
    }
    let answer = site.post("crew", "/agents/faq_agent/claim", &claim).await;
    assert_eq!(outcomes(&answer.accepted(200)["tasks"]).len(), 1);
    office.close().await;
    site.finish().await;
}

#[tokio::test]
async fn oversized_task_waits_for_http_and_holds_up_no_other_task() {
    let nats = Nats::configured(|_| "max_payload: 65536\n".to_owned()).await;
    let (site, office, caller) = open(&nats).await;
    submit(&site, 3, 100_000).await;
    submit(&site, 5, 1_000).await;
    let claim = json!({"worker": "w1", "max": 100});

    // Those behind it go first.
    let small = caller.accepted("crew", CLAIM, &claim).await;
    assert_eq!(small["tasks"].as_array().unwrap().len(), 5);
    // What is left is named with its size, and not leased.
    let problem = refused(&caller.call("crew", CLAIM, &claim).await, 413, "answer-too-large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("102") && detail.contains(&(65_536 - HEADERS).to_string()), "{detail}");
    let body = json!({"outcomes": outcomes(&small["tasks"]), "claim": claim});
    let answer = caller.accepted("crew", "orchestrator.agents.faq_agent.results", &body).await;
    assert_eq!(answer["claim_problem"]["status"], 413, "{answer}");
    // A claim that waits gets what comes.
    let patient = json!({"worker": "w1", "wait_ms": 60_000});
    let late = async {
        office.has_begun(4).await;
        submit(&site, 1, 2_000).await;
    };
    let (waiting, ()) = tokio::join!(caller.accepted("crew", CLAIM, &patient), late);
    assert_eq!(outcomes(&waiting["tasks"]).len(), 1);
    let large = site.post("crew", "/agents/faq_agent/claim", &claim).await.accepted(200);
    assert_eq!(outcomes(&large["tasks"]).len(), 3);

    office.close().await;
    site.finish().await;
}

#[tokio::test]
async fn what_no_claim_over_nats_has_room_for_is_refused_there() {
    let nats = Nats::configured(|_| "max_payload: 65536\n".to_owned()).await;
    let (site, office, caller) = open(&nats).await;
    let task = |bytes: usize| json!({"type": "faq", "payload": {"x": "y".repeat(bytes)}});

    let large = task(60_000);
    let refusal = caller.call("crew", "orchestrator.ingest.tasks", &large);
    let problem = refused(&site.unchanged(refusal).await, 422, "invalid-fields");
    assert_eq!(problem["errors"][0]["pointer"], "/payload", "{problem}");
    let id = "019ab3c4-0000-7000-8000-000000000000";
    let outcome = json!({"task_id": id, "attempt": 1, "lease": "x", "outcome": "completed"});
    let body = json!({"outcomes": vec![outcome; 100]});
    let answer = caller.call("crew", "orchestrator.agents.faq_agent.results", &body).await;
    let problem = refused(&answer, 422, "invalid-fields");
    assert_eq!(problem["errors"][0]["pointer"], "/outcomes", "{problem}");
    // An event has the bound that it has over HTTP, however much a message may have.
    let most = site.fleet.engine.settings().events.max_publish_bytes;
    let event =
        |bytes: usize| json!({"event_type": "pr.merged", "payload": {"x": "y".repeat(bytes)}});
    let large = event(most);
    let http = site.post("crew", "/events/publish", &large).await.refused(422, "invalid-fields");
    let roomy = Nats::plain().await;
    let (far, there) = (Office::open(&site.fleet, &roomy).await, Caller::of(&roomy).await);
    let answer = there.call("crew", "orchestrator.ingest.events", &large).await;
    assert_eq!(refused(&answer, 422, "invalid-fields")["errors"], http["errors"]);
    there.accepted("crew", "orchestrator.ingest.events", &event(most - 100)).await;
    far.close().await;
    caller.accepted("crew", "orchestrator.ingest.tasks", &task(45_000)).await;
    site.fleet.route().await;
    let claimed = caller.accepted("crew", CLAIM, &json!({"worker": "w1"})).await;
    assert_eq!(outcomes(&claimed["tasks"]).len(), 1);

    office.close().await;
    site.finish().await;
}

#[tokio::test]
async fn a_change_of_a_large_task_over_nats_is_answered_without_its_large_members() {
    let nats = Nats::configured(|_| "max_payload: 65536\n".to_owned()).await;
    let (site, office, caller) = open(&nats).await;
    let body = json!({"type": "faq", "payload": {"x": "y".repeat(100_000)}});
    let task = json!({"task_id": site.submit(&body).await["task_id"]});
    let status = json!({"task_id": task["task_id"], "status": "cancelled"});

    let problem = caller.call("crew", "orchestrator.tasks.get", &task).await;
    refused(&problem, 413, "answer-too-large");
    for (verb, body, end) in [
        ("cancel", &task, "cancelled"),
        ("retry", &task, "pending"),
        ("status", &status, "cancelled"),
    ] {
        let answer = caller.accepted("crew", &format!("orchestrator.tasks.{verb}"), body).await;
        assert_eq!((&answer["task_id"], &answer["status"]), (&task["task_id"], &json!(end)));
        assert!(answer.get("payload").is_none(), "{verb}");
    }

    office.close().await;
    site.finish().await;
}

/// What the bytes of a task may be far from what its payload has: names, errors, approvals, comments, changes.
async fn heavy(site: &Site, nth: usize) {
    let text = ["\u{1}", "\u{7f}", "\"", "😀", "/", "x"][nth % 6];
    let (long, name) = (text.repeat(600), "n".repeat(64));
    let body = json!({
        "type": "deploy", "payload": {"x": text.repeat(nth * 7 % 400)}, "metadata": {&name: long},
        "sla_target": text.repeat(40), "sla_deadline": "2100-01-01T00:00:00Z",
        "trace_id": "t".repeat(32), "priority": "P0", "max_retries": 5,
    });
    let task = site.submit(&body).await;
    let path = format!("/approvals/{}/approve", approval_of(&task));
    let change = json!({"x": text.repeat(500)});
    let decision = json!({"comment": long, "payload": change});
    site.post("judge", &path, &decision).await.accepted(200);
    if nth.is_multiple_of(2) {
        return;
    }
    // With an error, and a question that was answered.
    let held = site.claim_one("ops_agent").await;
    let path = format!("/tasks/{}", id_of(&held["task"]));
    let error = text.repeat(9_000);
    let proof = |held: &Value| json!({"attempt": held["attempt"], "lease": held["lease"]});
    let mut failure = proof(&held);
    (failure["error"], failure["retry_after_ms"]) = (json!(error), json!(0));
    site.post("crew", &format!("{path}/fail"), &failure).await.accepted(200);
    while site.fleet.engine.promote().await.unwrap().moved > 0 {}
    let held = site.claim_one("ops_agent").await;
    let path = format!("/tasks/{}", id_of(&held["task"]));
    let mut question = proof(&held);
    (question["reason"], question["action"]) = (json!(long), json!({"x": long}));
    let asked = site.post("crew", &format!("{path}/approval"), &question).await;
    if asked.status != 201 {
        // The same task came again, whose agent asked a moment ago.
        asked.refused(429, "asked-too-soon");
        site.post("crew", &format!("{path}/release"), &proof(&held)).await.accepted(200);
        return;
    }
    let asked = asked.json();
    let path = format!("/approvals/{}/approve", approval_of(&asked));
    let decision = json!({"comment": long, "digest": asked["digest"]});
    site.post("judge", &path, &decision).await.accepted(200);
}

#[tokio::test]
async fn claim_answer_stays_within_its_limit_for_any_tasks() {
    let nats = Nats::configured(|_| "max_payload: 98304\n".to_owned()).await;
    let site = Site::over(Fleet::build().partitions(2).start().await).await;
    let (office, caller) = (Office::open(&site.fleet, &nats).await, Caller::of(&nats).await);
    for nth in 0..24 {
        heavy(&site, nth).await;
    }
    site.fleet.route().await;
    let waiting = site.get("reader", "/agents/ops_agent").await.accepted(200)["depth"].clone();

    let (mut claimed, mut most) = (0, 0);
    loop {
        let claim = json!({"worker": "w1", "max": 100});
        let subject = "orchestrator.agents.ops_agent.claim";
        let answer = caller.call("crew", subject, &claim).await;
        let tasks = answer.json()["tasks"].as_array().map(Vec::len);
        let Some(tasks) = tasks else { panic!("{answer:?}") };
        assert!(answer.body.len() <= 98_304 - HEADERS, "{}", answer.body.len());
        if tasks == 0 {
            break;
        }
        (claimed, most) = (claimed + tasks, most.max(answer.body.len()));
    }

    assert_eq!(json!(claimed), waiting);
    assert!(claimed > 10 && most > 98_304 / 2, "{claimed} {most}");
    office.close().await;
    site.finish().await;
}
