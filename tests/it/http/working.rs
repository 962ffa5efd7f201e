//! What agents do: claim, extend, report, in single calls and in many-in-one.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Site, id_of, new_body, report_on};

/// A task that `crew` holds: its id, and what the claim was answered with.
async fn report(site: &Site, id: &str, verb: &str, body: Value) -> crate::harness::Answer {
    site.post("crew", &format!("/tasks/{id}/{verb}"), &body).await
}

#[tokio::test]
async fn a_claim_hands_out_the_most_urgent_first_each_under_a_lease() {
    let site = Site::without_approvals().await;
    for priority in ["P3", "P1", "P0", "P2"] {
        site.submit(&json!({"type": "faq", "payload": {}, "priority": priority})).await;
    }
    site.fleet.route().await;

    let claim = json!({"worker": "w1", "max": 3, "wait_ms": 0, "lease_ms": 5_000});
    let claimed = site.post("crew", "/agents/faq_agent/claim", &claim).await.accepted(200);

    let tasks = claimed["tasks"].as_array().unwrap();
    let priorities: Vec<_> =
        tasks.iter().map(|one| one["task"]["priority"].as_str().unwrap()).collect();
    assert_eq!(priorities, ["P0", "P1", "P2"]);
    for one in tasks {
        assert_eq!((&one["attempt"], &one["task"]["attempt"]), (&json!(1), &json!(1)));
        assert_eq!(
            (&one["task"]["status"], &one["task"]["assigned_to"]),
            (&json!("in_progress"), &json!("faq_agent"))
        );
        assert!(
            one["lease_expires_at"].as_str().unwrap() > one["task"]["started_at"].as_str().unwrap(),
            "{one}"
        );
    }
    site.finish().await;
}

#[tokio::test]
async fn a_claim_or_report_with_wrong_fields_names_them_all_and_changes_nothing() {
    let site = Site::open().await;
    let (id, _) = site.hold().await;
    let claim = json!({"worker": "W 1", "max": 101, "wait_ms": 60_001, "lease_ms": 999});
    let claim_faults = ["/lease_ms", "/max", "/wait_ms", "/worker"];

    let refused = async {
        assert_eq!(
            site.post("crew", "/agents/faq_agent/claim", &claim).await.pointers(),
            claim_faults
        );
        assert_eq!(
            site.post("crew", "/agents/faq_agent/claim", &json!({"max": 0})).await.pointers(),
            ["/max", "/worker"]
        );
        let heartbeat =
            json!({"attempt": -1, "progress": {"percent": 101, "message": ""}, "extend_ms": 1});
        let faults = ["/attempt", "/extend_ms", "/lease", "/progress/message", "/progress/percent"];
        assert_eq!(report(&site, &id, "heartbeat", heartbeat).await.pointers(), faults);
        let fail = json!({"attempt": "1", "lease": 1, "error": 5, "retryable": "no", "retry_after_ms": -1});
        let faults = ["/attempt", "/error", "/lease", "/retry_after_ms", "/retryable"];
        assert_eq!(report(&site, &id, "fail", fail).await.pointers(), faults);
        for verb in ["complete", "release"] {
            assert_eq!(
                report(&site, &id, verb, json!({})).await.pointers(),
                ["/attempt", "/lease"]
            );
        }
        let outcomes = json!({"outcomes": [{}, {"task_id": id, "attempt": 1, "lease": "x", "outcome": "done"}], "claim": {"max": 0}});
        let faults = [
            "/claim/max",
            "/claim/worker",
            "/outcomes/0/attempt",
            "/outcomes/0/lease",
            "/outcomes/0/outcome",
            "/outcomes/0/task_id",
            "/outcomes/1/outcome",
        ];
        assert_eq!(
            site.post("crew", "/agents/faq_agent/results", &outcomes).await.pointers(),
            faults
        );
        let one = json!({"task_id": id, "attempt": 1, "lease": "x", "outcome": "completed"});
        let many = json!({"outcomes": vec![one; 1_001]});
        assert_eq!(
            site.post("crew", "/agents/faq_agent/results", &many).await.pointers(),
            ["/outcomes"]
        );
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_sign_of_life_extends_the_lease_and_shows_how_far_the_agent_is() {
    let site = Site::open().await;
    let (id, held) = site.hold().await;
    let progress = json!({"percent": 12.5, "message": "reading"});

    let heartbeat = report_on(&held, json!({"progress": progress, "extend_ms": 3_600_000}));
    let lease = report(&site, &id, "heartbeat", heartbeat).await.accepted(200);

    let task = site.get("reader", &format!("/tasks/{id}")).await.accepted(200);
    assert_eq!(task["progress"], progress);
    assert!(lease["lease_expires_at"].as_str().unwrap() > task["started_at"].as_str().unwrap());
    site.finish().await;
}

#[tokio::test]
async fn each_outcome_leads_where_it_should_and_may_be_repeated() {
    let site = Site::open().await;
    for (verb, body, status) in [
        ("complete", json!({"result": {"answer": 42}}), "completed"),
        ("fail", json!({"error": "it broke", "retryable": false}), "failed"),
        ("fail", json!({"error": "it broke", "retry_after_ms": 60_000}), "scheduled"),
        ("release", json!({}), "assigned"),
    ] {
        let (id, held) = site.hold().await;
        let body = report_on(&held, body);

        let reported = report(&site, &id, verb, body.clone()).await.accepted(200);
        let again = site.unchanged(report(&site, &id, verb, body)).await.accepted(200);

        assert_eq!(reported, json!({"task_id": id, "attempt": 1, "status": status}));
        assert_eq!(again, reported);
        let task = site.get("reader", &format!("/tasks/{id}")).await.accepted(200);
        assert_eq!(task["retry_count"], u64::from(status == "scheduled"), "{task}");
        assert_eq!(task["error"].is_string(), verb == "fail", "{task}");
        assert_eq!(
            task["completed_at"].is_string(),
            ["completed", "failed"].contains(&status),
            "{task}"
        );
        // Out of the way of the next one.
        if status == "assigned" {
            site.claim_one("faq_agent").await;
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn a_transition_that_a_status_does_not_allow_is_refused_naming_the_status() {
    let site = Site::open().await;
    let (done, held) = site.hold().await;
    report(&site, &done, "complete", report_on(&held, json!({}))).await.accepted(200);
    let waiting = id_of(&site.submit(&new_body("faq")).await);

    let refused = async {
        for (id, verb, body, status) in [
            (&done, "cancel", json!({}), "completed"),
            (&done, "retry", json!({}), "completed"),
            (&waiting, "retry", json!({}), "pending"),
        ] {
            let answer = report(&site, id, verb, body).await;
            let problem = answer.refused(409, "illegal-transition");
            assert_eq!(problem["task_status"], status, "{answer:?}");
            assert!(problem["detail"].as_str().unwrap().contains(status), "{answer:?}");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn late_report_is_refused_with_lease_lost_and_the_current_attempt() {
    let site = Site::open().await;
    let (id, first) = site.hold().await;
    let first = report_on(&first, json!({}));
    report(&site, &id, "release", first.clone()).await.accepted(200);
    let second = report_on(&site.claim_one("faq_agent").await, json!({}));

    let refused = async {
        for verb in ["heartbeat", "complete", "fail"] {
            let problem = report(&site, &id, verb, first.clone()).await.refused(409, "lease-lost");
            assert_eq!(problem["current_attempt"], 2, "{problem}");
        }
        let mut future = second.clone();
        future["attempt"] = json!(3);
        report(&site, &id, "complete", future).await.refused(409, "lease-lost");
    };
    site.unchanged(refused).await;
    report(&site, &id, "complete", second.clone()).await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn agent_of_a_cancelled_task_gets_task_cancelled_on_its_next_call() {
    let site = Site::open().await;
    let (id, held) = site.hold().await;
    let cancelled = report(&site, &id, "cancel", json!({"reason": "no need"})).await.accepted(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["error"]),
        (&json!("cancelled"), &json!("no need"))
    );

    let refused = async {
        for verb in ["heartbeat", "complete", "fail", "release"] {
            let problem = report(&site, &id, verb, report_on(&held, json!({})))
                .await
                .refused(409, "task-cancelled");
            assert_eq!(problem["task_status"], "cancelled");
        }
    };
    site.unchanged(refused).await;
    let again = report(&site, &id, "retry", json!({})).await.accepted(200);
    assert_eq!((&again["status"], &again["retry_count"]), (&json!("pending"), &json!(0)));
    site.finish().await;
}

#[tokio::test]
async fn results_call_applies_each_outcome_and_claims_the_next_tasks() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 5).await;
    site.fleet.route().await;
    let claim = json!({"worker": "w1", "max": 3});
    let claimed = site.post("crew", "/agents/faq_agent/claim", &claim).await.accepted(200);
    let outcome = |nth: usize, attempt: u32, more: Value| {
        let held = &claimed["tasks"][nth];
        let mut outcome = report_on(held, more);
        (outcome["task_id"], outcome["attempt"]) =
            (held["task"]["task_id"].clone(), json!(attempt));
        outcome
    };

    let outcomes = json!({
        "outcomes": [
            outcome(0, 1, json!({"outcome": "completed", "result": [1]})),
            outcome(1, 9, json!({"outcome": "completed"})),
            {"task_id": "019ab3c4-0000-7000-8000-000077120000", "attempt": 1, "lease": "x", "outcome": "completed"},
            outcome(1, 1, json!({"outcome": "failed", "error": "no", "retryable": false})),
            outcome(2, 1, json!({"outcome": "released"})),
        ],
        "claim": {"worker": "w1", "max": 10},
    });
    let answer = site.post("crew", "/agents/faq_agent/results", &outcomes).await.accepted(200);

    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str()).collect();
    assert_eq!(
        statuses,
        [Some("completed"), None, None, Some("failed"), Some("assigned")],
        "{answer}"
    );
    assert_eq!(results[1]["problem"]["type"], "urn:orchestrator:problem:lease-lost");
    assert_eq!(results[2]["problem"]["type"], "urn:orchestrator:problem:unknown-task");
    assert_eq!(answer["claimed"]["tasks"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(answer["claim_problem"], Value::Null);
    let without = site
        .post("crew", "/agents/faq_agent/results", &json!({"outcomes": []}))
        .await
        .accepted(200);
    assert_eq!(without, json!({"results": [], "claimed": null, "claim_problem": null}));
    site.finish().await;
}

#[tokio::test]
async fn the_acceptance_of_an_outcome_does_not_wait_for_the_next_task() {
    let site = Site::open().await;
    let (id, held) = site.hold().await;
    let mut outcome = report_on(&held, json!({"outcome": "completed"}));
    outcome["task_id"] = json!(id);
    let claim = json!({"worker": "w1", "wait_ms": 60_000});

    let began = Instant::now();
    let outcomes = json!({"outcomes": [outcome], "claim": claim});
    let answer = site.post("crew", "/agents/faq_agent/results", &outcomes).await.accepted(200);

    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(answer["results"][0]["status"], "completed");
    assert_eq!(answer["claimed"], json!({"tasks": []}));
    site.finish().await;
}

#[tokio::test]
async fn a_cancellation_takes_no_body_or_a_reason_and_refuses_anything_else() {
    let site = Site::open().await;
    let (id, _) = site.hold().await;
    let path = format!("/tasks/{id}/cancel");

    for reason in [json!(5), json!("x".repeat(1_001))] {
        assert_eq!(
            site.unchanged(site.post("crew", &path, &json!({"reason": reason}))).await.pointers(),
            ["/reason"]
        );
    }
    site.call("crew", Method::POST, &path).send().await.accepted(200);

    site.call("crew", Method::POST, &path).send().await.refused(409, "illegal-transition");
    site.finish().await;
}
