//! Humans decide, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Site, approval_of, id_of, report_on};

/// A task that waits for a human: its id and the path of its approval.
async fn blocked(site: &Site) -> (String, String) {
    let task = site.submit(&json!({"type": "faq", "payload": {}, "priority": "P0"})).await;
    assert_eq!(task["status"], "blocked", "{task}");
    let approval = task["approval_id"].as_str().unwrap();
    (id_of(&task), format!("/approvals/{approval}"))
}

async fn status_of(site: &Site, id: &str) -> Value {
    site.get("reader", &format!("/tasks/{id}")).await.accepted(200)["status"].clone()
}

#[tokio::test]
async fn approved_task_is_claimable_and_its_approval_names_the_approver() {
    let site = Site::open().await;
    let (id, path) = blocked(&site).await;
    let pending = site.get("reader", &path).await.accepted(200);
    assert_eq!((&pending["status"], &pending["rule"]), (&json!("pending"), &json!("urgent")));
    assert_eq!(
        (&pending["requested_by"], &pending["task"]["task_id"]),
        (&json!("key:crew"), &json!(id))
    );
    assert!(pending["expires_at"].is_string() && pending["decided_by"].is_null(), "{pending}");

    let decided = site
        .post("judge", &format!("{path}/approve"), &json!({"comment": "go"}))
        .await
        .accepted(200);

    assert_eq!((&decided["status"], &decided["comment"]), (&json!("approved"), &json!("go")));
    assert_eq!(
        (&decided["decided_by"], &decided["task"]["status"]),
        (&json!("key:judge"), &json!("pending"))
    );
    assert!(decided["decided_at"].is_string(), "{decided}");
    assert_eq!(site.claim_one("faq_agent").await["task"]["task_id"], id);
    site.finish().await;
}

#[tokio::test]
async fn a_task_that_was_rejected_is_cancelled_with_the_reason() {
    let site = Site::open().await;
    let reject = async |query: &str, body: Option<Value>| {
        let (id, path) = blocked(&site).await;
        let call = site.call("judge", Method::POST, &format!("{path}/reject{query}"));
        let answer =
            if let Some(body) = body { call.json(&body).send().await } else { call.send().await };
        let decided = answer.accepted(200);
        assert_eq!(
            (&decided["status"], status_of(&site, &id).await),
            (&json!("rejected"), json!("cancelled"))
        );
        decided["comment"].clone()
    };

    assert_eq!(reject("", Some(json!({"reason": "too risky"}))).await, "too risky");
    assert_eq!(reject("", Some(json!({"comment": "too late"}))).await, "too late");
    assert_eq!(reject("?reason=too%20early", None).await, "too early");
    assert_eq!(reject("?reason=query", Some(json!({"reason": "body"}))).await, "body");
    assert_eq!(reject("", None).await, Value::Null);
    site.finish().await;
}

#[tokio::test]
async fn second_decision_is_refused_with_the_first_approver_and_its_time() {
    let site = Site::open().await;
    let (_, path) = blocked(&site).await;
    let first =
        site.call("judge", Method::POST, &format!("{path}/approve")).send().await.accepted(200);

    let refused = async {
        for (name, verb) in [
            ("second_judge", "approve"),
            ("second_judge", "reject"),
            ("judge", "approve"),
            ("root", "reject"),
        ] {
            let answer = site.post(name, &format!("{path}/{verb}"), &json!({})).await;
            let problem = answer.refused(409, "already-decided");
            assert_eq!(problem["approval_status"], "approved");
            assert_eq!(
                (&problem["decided_by"], &problem["decided_at"]),
                (&first["decided_by"], &first["decided_at"])
            );
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn concurrent_decisions_one_wins() {
    let site = Site::open().await;
    for _ in 0..20 {
        let (_, path) = blocked(&site).await;

        let (yes, no) = (format!("{path}/approve"), format!("{path}/reject"));
        let body = json!({});
        let (one, other) =
            tokio::join!(site.post("judge", &yes, &body), site.post("second_judge", &no, &body));

        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
        let loser = if one.status == 409 { one } else { other };
        loser.refused(409, "already-decided");
    }
    site.finish().await;
}

#[tokio::test]
async fn callers_cannot_decide_on_their_own_task_even_as_admin() {
    let site = Site::open().await;
    let body = json!({"type": "faq", "payload": {}, "priority": "P0"});
    let task = site.post("root", "/tasks", &body).await.accepted(201);
    let path = format!("/approvals/{}", approval_of(&task));

    let refused = async {
        site.post("root", &format!("{path}/approve"), &json!({}))
            .await
            .refused(403, "own-submission");
    };
    site.unchanged(refused).await;

    site.post("judge", &format!("{path}/approve"), &json!({})).await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn wrong_fields_of_a_decision_are_refused_and_it_stays_open() {
    let site = Site::open().await;
    let (id, path) = blocked(&site).await;

    let refused = async {
        let body = json!({"comment": 5, "payload": [], "digest": "abc"});
        let pointers = ["/comment", "/digest", "/payload"];
        assert_eq!(
            site.post("judge", &format!("{path}/approve"), &body).await.pointers(),
            pointers
        );
        let body = json!({"comment": "x".repeat(1_001)});
        assert_eq!(
            site.post("judge", &format!("{path}/approve"), &body).await.pointers(),
            ["/comment"]
        );
        let body = json!({"reason": [], "comment": 1});
        assert_eq!(
            site.post("judge", &format!("{path}/reject"), &body).await.pointers(),
            ["/comment", "/reason"]
        );
        let long = format!("{path}/reject?reason={}", "x".repeat(1_001));
        assert_eq!(site.post("judge", &long, &json!({})).await.pointers(), ["/reason"]);
    };
    site.unchanged(refused).await;
    assert_eq!(status_of(&site, &id).await, "blocked");
    site.finish().await;
}

#[tokio::test]
async fn approvals_are_listed_by_status_and_in_pages() {
    let site = Site::open().await;
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(blocked(&site).await.1);
    }
    site.post("judge", &format!("{}/approve", paths[0]), &json!({})).await.accepted(200);
    site.post("judge", &format!("{}/reject", paths[1]), &json!({})).await.accepted(200);
    let list = async |path: &str| {
        let page = site.get("reader", path).await.accepted(200);
        let items = page["items"].as_array().unwrap().clone();
        let mut ids: Vec<_> =
            items.iter().map(|item| format!("/approvals/{}", approval_of(item))).collect();
        ids.sort_by_key(|id| paths.iter().position(|path| path == id));
        (ids, page["next_cursor"].clone())
    };

    assert_eq!(list("/approvals").await, (paths.clone(), Value::Null));
    assert_eq!(list("/approvals?status=pending").await.0, paths[2..]);
    assert_eq!(list("/approvals/pending").await.0, paths[2..]);
    assert_eq!(list("/approvals?status=approved").await.0, paths[..1]);
    assert_eq!(list("/approvals?status=rejected").await.0, paths[1..2]);
    assert_eq!(list("/approvals/history").await.0, paths[..2]);
    assert_eq!(list("/approvals?status=expired").await.0, Vec::<String>::new());
    let (first, cursor) = list("/approvals?limit=3").await;
    let (rest, end) =
        list(&format!("/approvals?limit=3&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((first.len(), rest.len(), end), (3, 1, Value::Null));
    site.finish().await;
}

#[tokio::test]
async fn many_are_decided_in_one_call_and_each_is_answered_for_itself() {
    let site = Site::open().await;
    let (first, yes) = blocked(&site).await;
    let (second, no) = blocked(&site).await;
    let id = |path: &str| path.trim_start_matches("/approvals/").to_owned();
    let unknown = "019ab3c4-7d2f-7000-8000-00000000aa00";

    let body = json!({"decisions": [
        {"approval_id": id(&yes), "decision": "approve", "comment": "go"},
        {"approval_id": id(&no), "decision": "reject", "comment": "no"},
        {"approval_id": unknown, "decision": "approve"},
        {"approval_id": id(&yes), "decision": "perhaps", "digest": "x"},
        {"approval_id": id(&yes), "decision": "reject", "payload": {}},
        {"approval_id": id(&yes), "decision": "approve"},
    ]});
    let results =
        site.post("judge", "/approvals/decide", &body).await.accepted(200)["results"].clone();

    let statuses: Vec<_> =
        results.as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 404, 422, 422, 409], "{results}");
    assert_eq!(
        (&results[0]["approval"]["comment"], &results[1]["approval"]["status"]),
        (&json!("go"), &json!("rejected"))
    );
    let pointers = |nth: usize| {
        let errors = results[nth]["problem"]["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pointers(3), ["/decisions/3/decision", "/decisions/3/digest"]);
    assert_eq!(pointers(4), ["/decisions/4/payload"]);
    assert_eq!(
        (status_of(&site, &first).await, status_of(&site, &second).await),
        (json!("pending"), json!("cancelled"))
    );
    for (who, status) in [("crew", 403), ("reader", 403)] {
        assert_eq!(site.post(who, "/approvals/decide", &body).await.status, status);
    }
    let many =
        json!({"decisions": vec![json!({"approval_id": unknown, "decision": "approve"}); 101]});
    assert_eq!(site.post("judge", "/approvals/decide", &many).await.pointers(), ["/decisions"]);
    site.finish().await;
}

#[tokio::test]
async fn an_agent_asks_and_finds_the_answer_on_its_next_claim() {
    let site = Site::open().await;
    let (id, held) = site.hold().await;
    let path = format!("/tasks/{id}/approval");

    let wrong = json!({"attempt": 1, "lease": "x", "reason": "", "on_rejection": "perhaps", "expires_after_ms": 5});
    let pointers = site.post("crew", &path, &wrong).await.pointers();
    assert_eq!(pointers, ["/expires_after_ms", "/on_rejection", "/reason"]);
    let ask = json!({"reason": "drop a column?", "action": {"sql": "ALTER …"}});
    let ask = report_on(&held, ask);
    let asked = site.post("crew", &path, &ask).await;

    assert_eq!(
        (asked.status, asked.json()["task"]["status"].clone()),
        (201, json!("blocked")),
        "{asked:?}"
    );
    let approval = asked.header("location").unwrap();
    let shown = site.get("judge", approval).await.accepted(200);
    assert_eq!((&shown["kind"], &shown["action"]["sql"]), (&json!("ask"), &json!("ALTER …")));
    let yes = json!({"comment": "only tonight", "digest": shown["digest"]});
    site.post("judge", &format!("{approval}/approve"), &yes).await.accepted(200);
    let again = site.claim_one("faq_agent").await;
    let answer = &again["task"]["approval"];
    assert_eq!(
        (&answer["status"], &answer["comment"]),
        (&json!("approved"), &json!("only tonight"))
    );
    assert_eq!(again["attempt"], 2);
    site.post("crew", &path, &ask).await.refused(409, "lease-lost");
    site.finish().await;
}

#[tokio::test]
async fn a_changed_payload_is_shown_beside_the_one_that_was_submitted() {
    let site = Site::open().await;
    let body = json!({"type": "deploy", "payload": {"replicas": 40}});
    let task = site.post("crew", "/tasks", &body).await.accepted(201);
    let path = format!("/approvals/{}", approval_of(&task));
    let digest = site.get("judge", &path).await.accepted(200)["digest"].clone();

    let wrong = json!({"payload": {"replicas": 4}, "digest": "0".repeat(64)});
    let refused = site
        .post("judge", &format!("{path}/approve"), &wrong)
        .await
        .refused(409, "content-changed");
    assert_eq!(refused["digest"], digest);
    let edit = json!({"payload": {"replicas": 4}, "digest": digest});
    site.post("judge", &format!("{path}/approve"), &edit).await.accepted(200);

    let seen = site.get("crew", &format!("/tasks/{}", id_of(&task))).await.accepted(200);
    assert_eq!(seen["payload"], json!({"replicas": 4}));
    let edit = &seen["approval"]["edit"];
    assert_eq!(
        (&edit["by"], &edit["original_payload"]),
        (&json!("key:judge"), &json!({"replicas": 40}))
    );
    assert_eq!(edit["changes"], json!([{"pointer": "/replicas", "before": 40, "after": 4}]));
    site.finish().await;
}
