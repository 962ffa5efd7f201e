//! How large a request may be, and how large its answer is.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fleet, Site, key, new_body};

/// A body whose list `name` has this many items.
fn list_of(name: &str, item: &str, count: usize) -> String {
    format!(r#"{{"{name}": [{}]}}"#, vec![item; count].join(","))
}

#[tokio::test]
async fn three_million_empty_outcomes_are_one_fault() {
    let site = Site::open().await;

    for (path, name, most) in [
        ("/agents/faq_agent/results", "outcomes", 1_000),
        ("/tasks/batch", "tasks", 1_000),
        ("/approvals/decide", "decisions", 100),
    ] {
        for (item, count) in [("{}", 3_000_000), ("null", 10_000), ("[[]]", 10_000)] {
            let body = list_of(name, item, count);
            let call = site.call("root", Method::POST, path).body(body);
            let answer = site.unchanged(call.send()).await;

            assert!(answer.body.len() < 1_000, "{path}: {}", answer.body.len());
            if answer.status != 413 {
                assert_eq!(answer.pointers(), [format!("/{name}")], "{answer:?}");
            }
        }
        let longest = list_of(name, "{}", most + 1);
        let answer = site.call("root", Method::POST, path).body(longest).send().await;
        let problem = answer.refused(422, "invalid-fields");
        assert_eq!(problem["errors"][0]["detail"], format!("must have at most {most} items"));
    }
    site.finish().await;
}

#[tokio::test]
async fn list_of_faulty_items_reports_the_first_hundred_faults() {
    let site = Site::open().await;
    let faults_of = |problem: &Value| problem["errors"].as_array().map_or(0, Vec::len);

    let outcomes = list_of("outcomes", "{}", 1_000);
    let call = site.call("crew", Method::POST, "/agents/faq_agent/results").body(outcomes);
    let problem = call.send().await.refused(422, "invalid-fields");
    assert_eq!(faults_of(&problem), 101, "{problem}");
    assert_eq!(problem["errors"][100]["detail"], "has 3900 more faults");

    let batch = list_of("tasks", "{}", 1_000);
    let answer = site.call("crew", Method::POST, "/tasks/batch").body(batch).send().await;
    let results = answer.accepted(200)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 1_000);
    assert!(results.iter().all(|result| result["status"] == 422));
    let faults: usize = results.iter().map(|result| faults_of(&result["problem"])).sum();
    assert_eq!(faults, 100);
    assert!(answer.body.len() < 400_000, "{}", answer.body.len());
    site.finish().await;
}

/// Texts of as many characters as are allowed, each of which takes many bytes where it is kept.
fn heavy_texts(chars: usize) -> [String; 4] {
    ["\u{1}", "\u{7f}", "😀", "\""].map(|character| character.repeat(chars))
}

/// How many bytes of a task stand in this hash.
async fn kept(site: &Site, hash: &str, id: &str) -> usize {
    site.fleet.redis.ask(&["HSTRLEN", &key(hash), id]).await
}

#[tokio::test]
async fn a_reason_is_refused_where_it_is_too_large_as_it_is_kept() {
    let site = Site::open().await;
    for (text, is_taken) in [
        ("x".repeat(1_000), true),
        ("😀".repeat(1_000), true),
        ("\u{1}".repeat(682), true),
        ("\u{1}".repeat(683), false),
        ("\u{7f}".repeat(683), false),
        ("x".repeat(1_001), false),
    ] {
        let task = site.submit(&new_body("deploy")).await;
        let approval = task["approval_id"].as_str().unwrap();
        let path = format!("/approvals/{approval}/reject");
        let answer = site.post("judge", &path, &json!({"reason": text})).await;
        if is_taken {
            assert_eq!(answer.accepted(200)["comment"], text);
        } else {
            assert_eq!(answer.pointers(), ["/reason"]);
            let detail = &answer.json()["errors"][0]["detail"];
            assert!(
                detail.as_str().unwrap().contains("must have 1 to 1000 characters"),
                "{detail}"
            );
        }
    }
    for text in heavy_texts(64) {
        let body = json!({"type": "faq", "payload": {}, "sla_target": text, "sla_deadline": "2100-01-01T00:00:00Z"});
        let is_heavy = text.len() * if text.starts_with('😀') { 1 } else { 6 } > 256;
        let answer = site.post("crew", "/tasks", &body).await;
        if is_heavy && !text.starts_with('"') {
            assert_eq!(answer.pointers(), ["/sla_target"], "{text:?}");
        } else {
            assert_eq!(answer.accepted(201)["sla"]["target"], text);
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn an_error_that_is_too_large_is_cut_and_its_report_gets_through() {
    let site = Site::without_approvals().await;
    for text in heavy_texts(20_000) {
        let task = site.submit(&json!({"type": "faq", "payload": {}, "max_retries": 0})).await;
        let id = task["task_id"].as_str().unwrap();
        let held = site.claim_one("faq_agent").await;

        let progress = json!({"percent": 1, "message": text});
        let heartbeat = json!({"attempt": 1, "lease": held["lease"], "progress": progress});
        site.post("crew", &format!("/tasks/{id}/heartbeat"), &heartbeat).await.accepted(200);
        assert!(kept(&site, "progress", id).await < 2_048 + 100);
        let report = json!({"attempt": 1, "lease": held["lease"], "error": text});
        site.post("crew", &format!("/tasks/{id}/fail"), &report).await.accepted(200);
        assert!(kept(&site, "records", id).await < 8_192 + 1_000);

        let task = site.get("crew", &format!("/tasks/{id}")).await.accepted(200);
        for shown in [&task["error"], &task["progress"]["message"]] {
            let (shown, mark) = (shown.as_str().unwrap(), "… (cut)");
            assert!(shown.ends_with(mark) && text.starts_with(shown.trim_end_matches(mark)));
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn a_list_carries_payloads_only_when_it_is_asked_to() {
    let site = Site::open().await;
    let body = json!({"type": "deploy", "payload": {"n": 1}, "metadata": {"m": 2}, "sla_target": "by lunch time", "sla_deadline": "2100-01-01T00:00:00Z"});
    let task = site.submit(&body).await;
    let approval = task["approval_id"].as_str().unwrap();
    let first = async |path: &str| {
        let page = site.get("reader", path).await.accepted(200);
        page["items"][0].as_object().unwrap().clone()
    };

    let plain = first("/tasks").await;
    for member in ["payload", "metadata", "result"] {
        assert!(!plain.contains_key(member), "{plain:?}");
    }
    assert_eq!(plain["sla"]["target"], "by lunch time");
    assert!(plain["approval"].get("action").is_none());
    let some = first("/tasks?include=metadata,result").await;
    assert!(!some.contains_key("payload") && some["metadata"] == json!({"m": 2}), "{some:?}");
    assert_eq!(some["result"], Value::Null);
    assert_eq!(first("/tasks?include=payload").await["payload"], json!({"n": 1}));
    for path in ["/tasks?include=everything", "/tasks?include=", "/approvals?include=metadata"] {
        site.get("reader", path).await.refused(400, "unreadable-request");
    }

    let edit = json!({"payload": {"n": 2}});
    site.post("judge", &format!("/approvals/{approval}/approve"), &edit).await.accepted(200);
    for (path, is_shown) in [("/approvals", false), ("/approvals?include=payload", true)] {
        let found = first(path).await;
        assert_eq!(found.contains_key("action"), is_shown, "{found:?}");
        assert_eq!(found["edit"]["by"], "key:judge");
        assert_eq!(found["edit"].get("original_payload").is_some(), is_shown, "{found:?}");
    }
    let whole = site.get("reader", &format!("/approvals/{approval}")).await.accepted(200);
    assert_eq!(whole["edit"]["original_payload"], json!({"n": 1}));
    assert_eq!(whole["task"]["payload"], json!({"n": 2}));
    site.finish().await;
}

/// The largest page: a mebibyte, and an item that reaches beyond it.
const LARGEST_PAGE: usize = (1 << 20) + 450_000;

/// Every item of the pages from `path` on, none of which is larger than it may be; and how many pages that were.
async fn walk(site: &Site, path: &str) -> (Vec<Value>, usize) {
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let call = site.call("reader", Method::GET, &format!("{path}{cursor}"));
        let answer = call.header("accept", "application/json").send().await;
        assert!(answer.body.len() < LARGEST_PAGE, "{}", answer.body.len());
        let page = answer.accepted(200);
        found.extend(page["items"].as_array().unwrap().clone());
        pages += 1;
        let has_more = page.get("has_more").is_none_or(|more| more == true);
        let Some(next) = page["next_cursor"].as_str().filter(|_| has_more) else {
            return (found, pages);
        };
        let name = if page.get("has_more").is_some() { "after" } else { "cursor" };
        cursor = format!("&{name}={next}");
    }
}

#[tokio::test]
async fn a_page_of_large_items_is_short_and_the_next_ones_have_the_rest() {
    for partitions in [1, 3] {
        let site = Site::over(Fleet::build().partitions(partitions).start().await).await;
        let large = "x".repeat(400_000);
        for _ in 0..8 {
            site.submit(&json!({"type": "faq", "payload": {"large": large}})).await;
        }
        for _ in 0..40 {
            let event =
                json!({"event_type": "deploy.started", "payload": {"x": "y".repeat(60_000)}});
            site.post("crew", "/events/publish", &event).await.accepted(202);
        }

        let (tasks, pages) = walk(&site, "/tasks?limit=200&include=payload").await;
        assert_eq!((tasks.len(), pages > 2), (8, true), "{pages} pages");
        assert!(tasks.iter().all(|task| task["payload"]["large"] == large));
        let (tasks, pages) = walk(&site, "/tasks?limit=200").await;
        assert_eq!((tasks.len(), pages), (8, 1));
        let (events, pages) = walk(&site, "/events?limit=200&types=deploy.*").await;
        assert_eq!((events.len(), pages > 2), (40, true), "{pages} pages");
        site.finish().await;
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused() {
    let site = Site::open().await;
    let event = |payload: usize, metadata: usize| {
        json!({"event_type": "deploy.started", "payload": {"a": "x".repeat(payload)},
            "metadata": {"a": "x".repeat(metadata)}})
    };

    site.post("crew", "/events/publish", &event(40_000, 25_000)).await.accepted(202);
    for (payload, metadata) in [(66_000, 0), (0, 66_000), (40_000, 26_000)] {
        let answer = site.post("crew", "/events/publish", &event(payload, metadata)).await;
        assert_eq!(answer.pointers(), ["/payload"]);
    }
    site.finish().await;
}

#[tokio::test]
async fn who_publishes_too_much_waits_and_others_do_not() {
    let build =
        Fleet::build().settings(|settings| settings.events.publish_bytes_per_minute = 100_000);
    let site = Site::over(build.start().await).await;
    let event = json!({"event_type": "deploy.started", "payload": {"a": "x".repeat(30_000)}});
    let publish = async |name: &str| site.post(name, "/events/publish", &event).await;

    for _ in 0..3 {
        publish("crew").await.accepted(202);
    }
    let answer = publish("crew").await;
    answer.refused(429, "share-used");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    publish("rival").await.accepted(202);
    let share = key("share:key:crew");
    let ends_in: i64 = site.fleet.redis.ask(&["PTTL", &share]).await;
    assert!((1..=60_000).contains(&ends_in), "{ends_in}");
    // The minute is over.
    site.fleet.redis.ask::<i64>(&["PEXPIRE", &share, "0"]).await;
    publish("crew").await.accepted(202);
    site.finish().await;
}

#[tokio::test]
async fn a_batch_of_heavy_events_becomes_entries_of_bounded_size_in_order() {
    let site = Site::without_approvals().await;
    let task = json!({"type": "faq", "payload": {}, "max_retries": 0});
    let batch = json!({"tasks": vec![task; 100]});
    site.post("crew", "/tasks/batch", &batch).await.accepted(200);
    site.fleet.route().await;
    let claim = json!({"worker": "w1", "max": 100});
    let claimed = site.post("crew", "/agents/faq_agent/claim", &claim).await.accepted(200);
    let held = claimed["tasks"].as_array().unwrap();
    let failed = |one: &Value| {
        json!({"task_id": one["task"]["task_id"], "attempt": 1, "lease": one["lease"], "outcome": "failed",
            "error": "e".repeat(8_000)})
    };
    let outcomes = json!({"outcomes": held.iter().map(failed).collect::<Vec<_>>()});

    let answer = site.post("crew", "/agents/faq_agent/results", &outcomes).await.accepted(200);

    assert!(answer["results"].as_array().unwrap().iter().all(|one| one["status"] == "failed"));
    let command = ["XRANGE", &key("events"), "-", "+"];
    let entries: Vec<(String, Vec<String>)> = site.fleet.redis.ask(&command).await;
    let sizes = entries.iter().map(|(_, fields)| fields.iter().map(String::len).sum::<usize>());
    assert!(sizes.max().unwrap() < 70_000);
    let (events, _) = walk(&site, "/events?limit=200&types=task.failed").await;
    let told: Vec<_> = events.iter().map(|event| &event["task_id"]).collect();
    let asked: Vec<_> = held.iter().map(|one| &one["task"]["task_id"]).collect();
    assert_eq!(told, asked);
    site.finish().await;
}
