//! Submissions: one, many, again; and what is stored of them.

use orchestrator::http::UnknownMembers;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fleet, Site, id_of};

fn faq() -> Value {
    json!({"type": "faq", "payload": {"question": "why?"}})
}

#[tokio::test]
async fn an_accepted_submission_says_where_the_task_is_and_all_of_what_it_is() {
    let site = Site::open().await;
    let parent = site.submit(&faq()).await;
    let body = json!({
        "type": "bugfix", "payload": {"repo": "shop"}, "priority": "P3", "source": "crew", "metadata": {"pr": 7},
        "sla_target": "4h", "sla_deadline": "2100-01-02T03:04:05Z", "alert_threshold": 50,
        "sla_start_deadline": "2100-01-01T03:04:05Z",
        "parent_task_id": parent["task_id"], "trace_id": "trace-1", "max_retries": 5, "timeout_ms": 60_000,
    });

    let call = site.call("crew", Method::POST, "/tasks").header("x-request-id", "my-own-id");
    let answer = call.json(&body).send().await;

    let task = answer.accepted(201);
    assert_eq!(answer.header("location"), Some(&*format!("/tasks/{}", id_of(&task))));
    assert_eq!(answer.header("x-request-id"), Some("my-own-id"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    for name in [
        "type",
        "payload",
        "priority",
        "source",
        "metadata",
        "parent_task_id",
        "trace_id",
        "max_retries",
    ] {
        assert_eq!(task[name], body[name], "{name}");
    }
    let sla = json!({"target": "4h", "deadline": "2100-01-02T03:04:05.000Z", "alert_threshold": 50, "state": "on_track",
        "start_deadline": "2100-01-01T03:04:05.000Z", "start_state": "on_track"});
    assert_eq!((&task["sla"], &task["timeout_ms"]), (&sla, &json!(60_000)));
    assert_eq!((&task["status"], &task["submitted_by"]), (&json!("pending"), &json!("key:crew")));
    for (name, value) in [("attempt", 0), ("retry_count", 0), ("lost_count", 0)] {
        assert_eq!(task[name], value, "{name}");
    }
    for name in [
        "scheduled_for",
        "started_at",
        "completed_at",
        "error",
        "result",
        "progress",
        "approval_id",
    ] {
        assert!(
            task.as_object().unwrap().contains_key(name) && task[name].is_null(),
            "{name}: {task}"
        );
    }
    let mut read = site.get("reader", answer.header("location").unwrap()).await.accepted(200);
    assert_eq!(read["why_waiting"].take()["reason"], "router");
    assert_eq!(read, task);
    site.finish().await;
}

#[tokio::test]
async fn what_is_left_out_is_as_the_contract_says() {
    let site = Site::open().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let call = site.call("crew", Method::POST, "/tasks").header("traceparent", traceparent);
    // Several headers are one list.
    let call = call.header("tracestate", "congo=\"t61 x\"").header("tracestate", "rojo=1");
    let task = call.json(&faq()).send().await.accepted(201);

    assert_eq!(
        (&task["priority"], &task["source"], &task["max_retries"]),
        (&json!("P2"), &json!("user"), &json!(3))
    );
    assert_eq!(task["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(task["traceparent"], traceparent);
    assert_eq!(task["tracestate"], "congo=\"t61 x\",rojo=1");
    let created = task["created_at"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z'), "{created}");
    site.finish().await;
}

#[tokio::test]
async fn a_delayed_task_is_scheduled_and_says_for_when() {
    let site = Site::open().await;
    let mut body = faq();
    body["delay_ms"] = json!(3_600_000);
    let task = site.submit(&body).await;
    assert_eq!(
        (&task["status"], task["scheduled_for"].is_string()),
        (&json!("scheduled"), true),
        "{task}"
    );

    let mut body = faq();
    body["run_at"] = json!("2100-01-01T00:00:00+01:00");
    let task = site.submit(&body).await;

    assert_eq!(task["scheduled_for"], "2099-12-31T23:00:00.000Z");
    site.finish().await;
}

#[tokio::test]
async fn payload_metadata_and_result_come_back_byte_for_byte() {
    let site = Site::open().await;
    let numbers = r#""big":123456789012345678901234567890,"f":1.0,"e":-1E+2"#;
    let texts = r#""u":"\u00e9é\ud83d\ude00","n":"\u0000""#;
    let payload = &format!(r#"{{ "z":1,"a" : [ ],{numbers},"o":{{}},{texts},"dup":1,"dup":2 }}"#);
    let metadata = "{\n\t\"keep\": [1.10, null , true]\r\n}";
    let body = format!(r#"{{"type":"faq","payload":{payload},"metadata":{metadata}}}"#);
    let submitted = site.call("crew", Method::POST, "/tasks").body(body).send().await;
    let id = submitted.accepted(201)["task_id"].as_str().unwrap().to_owned();

    site.fleet.route().await;
    let claimed = site.post("crew", "/agents/faq_agent/claim", &json!({"worker": "w1"})).await;
    let lease = claimed.json()["tasks"][0]["lease"].clone();
    let result = r#"[ 1.000, "\/", 1e400, {"b":2,"a":1} ]"#;
    let report = format!(r#"{{"attempt":1,"lease":{lease},"result": {result} }}"#);
    site.call("crew", Method::POST, &format!("/tasks/{id}/complete"))
        .body(report)
        .send()
        .await
        .accepted(200);
    let read = site.get("reader", &format!("/tasks/{id}")).await;
    let listed =
        site.get("reader", "/tasks?status=completed&include=payload,metadata,result").await;

    for (what, answer) in
        [("submitted", &submitted), ("claimed", &claimed), ("read", &read), ("listed", &listed)]
    {
        assert!(
            answer.body.contains(&format!("\"payload\":{payload},")),
            "{what}: {}",
            answer.body
        );
        assert!(
            answer.body.contains(&format!("\"metadata\":{metadata},")),
            "{what}: {}",
            answer.body
        );
    }
    assert!(read.body.contains(&format!("\"result\":{result},")), "{}", read.body);
    site.finish().await;
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once_and_nothing_is_stored() {
    let site = Site::open().await;
    let body = json!({
        "type": "fax", "payload": [], "metadata": "x", "priority": "P9", "source": "No Name", "sla_target": "",
        "sla_deadline": "tomorrow", "alert_threshold": 101, "delay_ms": -1, "run_at": 7, "parent_task_id": "7",
        "trace_id": "a b", "max_retries": 101, "timeout_ms": 999, "idempotency_key": "a b",
    });
    let mut fields: Vec<_> =
        body.as_object().unwrap().keys().map(|name| format!("/{name}")).collect();
    fields.sort();

    let answer = site.unchanged(site.post("crew", "/tasks", &body)).await;

    assert_eq!(answer.pointers(), fields);
    assert!(answer.body.contains("kb_update"), "the known types are listed: {answer:?}");
    assert_eq!(
        site.unchanged(site.post("crew", "/tasks", &json!({}))).await.pointers(),
        ["/payload", "/type"]
    );
    site.finish().await;
}

#[tokio::test]
async fn a_repeated_submission_is_answered_with_what_became_of_the_task() {
    let site = Site::open().await;
    let body = faq().to_string();
    let submit = async |body: &str| {
        let call = site.call("crew", Method::POST, "/tasks").header("idempotency-key", "order-7!");
        call.body(body).send().await
    };
    let first = submit(&body).await;
    let task = first.accepted(201);
    site.claim_one("faq_agent").await;

    let again = site.unchanged(submit(&body)).await;

    let now = again.accepted(200);
    assert_eq!((&now["task_id"], &now["payload"]), (&task["task_id"], &task["payload"]));
    assert_eq!((&task["status"], &now["status"]), (&json!("pending"), &json!("in_progress")));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = faq().to_string().replace("why", "who");
    site.unchanged(submit(&other)).await.refused(422, "idempotency-mismatch");
    site.finish().await;
}

#[tokio::test]
async fn the_same_submission_in_another_spelling_is_no_other_one() {
    let lenient =
        |http: &mut orchestrator::http::Http| http.unknown_members = UnknownMembers::Ignore;
    let site = Site::told(Fleet::start().await, lenient).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let single = |body: &str| {
        let call = site.call("crew", Method::POST, "/tasks").header("idempotency-key", "k");
        call.body(body.to_owned()).send()
    };
    let first =
        r#"{"type":"faq","payload":{"n":1.0,"m":[9007199254740993,"\u00e9"]},"priority":"P2"}"#;
    let again = "{ \"priority\":\"\\u00502\",\n\"payload\": {\"m\":[9007199254740993.0 , \"é\"], \"n\":1}, \"type\":\"faq\"}";
    let other = first.replace("9007199254740993", "9007199254740992");
    let id = single(first).await.accepted(201)["task_id"].take();

    assert_eq!(single(again).await.accepted(200)["task_id"], id);
    single(&other).await.refused(422, "idempotency-mismatch");
    let with_deep = first.replacen('{', &format!(r#"{{"x":{deep},"#), 1);
    single(&with_deep).await.refused(422, "idempotency-mismatch");

    let batch = async |item: &str| {
        let item = item.replacen('{', r#"{"idempotency_key":"b","#, 1);
        let call = site.call("crew", Method::POST, "/tasks/batch");
        call.body(format!(r#"{{"tasks":[{item}]}}"#)).send().await.accepted(200)["results"][0]
            .take()
    };
    let id = batch(first).await["task"]["task_id"].take();
    site.claim_one("faq_agent").await;
    site.claim_one("faq_agent").await;
    let replay = batch(again).await;
    assert_eq!((&replay["status"], &replay["task"]["task_id"]), (&json!(200), &id));
    assert_eq!(replay["task"]["status"], "in_progress");
    assert_eq!(batch(&other).await["status"], 422);
    site.finish().await;
}

#[tokio::test]
async fn a_promise_in_words_that_mean_no_time_is_refused() {
    let site = Site::open().await;
    for (words, is_time) in
        [("1h30m", true), ("PT1H30M", true), ("1h 30m", false), ("1.5h", false), ("soon", false)]
    {
        let mut body = faq();
        body["sla_target"] = json!(words);
        let answer = site.post("crew", "/tasks", &body).await;
        if is_time {
            assert!(answer.accepted(201)["sla"]["deadline"].is_string(), "{words}: {answer:?}");
        } else {
            assert_eq!(answer.pointers(), ["/sla_target"], "{words}");
        }
        body["sla_deadline"] = json!("2100-01-01T00:00:00Z");
        assert_eq!(site.submit(&body).await["sla"]["target"], words);
    }
    site.finish().await;
}

#[tokio::test]
async fn a_key_belongs_to_the_caller_who_used_it() {
    let site = Site::open().await;
    let submit = async |name| {
        let call = site.call(name, Method::POST, "/tasks").header("idempotency-key", "mine");
        call.json(&faq()).send().await.accepted(201)["task_id"].clone()
    };

    assert_ne!(submit("crew").await, submit("rival").await);

    site.finish().await;
}

#[tokio::test]
async fn a_bad_item_of_a_batch_does_not_refuse_the_others() {
    let site = Site::open().await;
    let keyed = json!({"type": "faq", "payload": {}, "idempotency_key": "k"});
    let urgent = json!({"type": "faq", "payload": {}, "priority": "P0"});
    let orphan = json!({"type": "faq", "payload": {}, "parent_task_id": "x"});
    let batch = json!({"tasks": [faq(), {"type": 1}, keyed, 7, keyed, urgent, orphan]});

    let answer = site.post("crew", "/tasks/batch", &batch).await.accepted(200);

    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> =
        results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 201, 422, 200, 201, 422], "{answer}");
    assert_eq!(results[2]["task"]["task_id"], results[4]["task"]["task_id"]);
    assert_eq!(results[5]["task"]["status"], "blocked");
    let pointers: Vec<_> =
        [1, 3, 6].map(|nth| results[nth]["problem"]["errors"][0]["pointer"].clone()).into();
    assert_eq!(pointers, ["/tasks/1/type", "/tasks/3", "/tasks/6/parent_task_id"]);
    assert!(
        results.iter().all(|one| one["task"].is_null() != one["problem"].is_null()),
        "{answer}"
    );
    assert_eq!(site.get("reader", "/stats").await.json()["queue"]["total_tasks"], 3);
    site.finish().await;
}

#[tokio::test]
async fn a_batch_has_1_to_1000_items() {
    let site = Site::open().await;

    for count in [0, 1_001] {
        let batch = json!({"tasks": vec![faq(); count]});
        assert_eq!(
            site.unchanged(site.post("crew", "/tasks/batch", &batch)).await.pointers(),
            ["/tasks"]
        );
    }
    for body in [json!({}), json!({"tasks": {}}), json!({"tasks": null})] {
        assert_eq!(
            site.unchanged(site.post("crew", "/tasks/batch", &body)).await.pointers(),
            ["/tasks"]
        );
    }
    let most = site
        .post("crew", "/tasks/batch", &json!({"tasks": vec![faq(); 1_000]}))
        .await
        .accepted(200);

    assert!(most["results"].as_array().unwrap().iter().all(|result| result["status"] == 201));
    site.finish().await;
}

#[tokio::test]
async fn a_payload_that_is_too_large_or_too_deep_is_a_wrong_field() {
    let site = Site::open().await;
    let large = format!(r#"{{"type": "faq", "payload": {{"a": "{}"}}}}"#, "x".repeat(1_048_576));
    let deep = |depth: usize| {
        format!(
            r#"{{"type": "faq", "payload": {{"a": {}{}}}}}"#,
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };

    for body in [large, deep(65), deep(100_000)] {
        let answer =
            site.unchanged(site.call("crew", Method::POST, "/tasks").body(body).send()).await;
        assert_eq!(answer.pointers(), ["/payload"]);
    }
    site.call("crew", Method::POST, "/tasks").body(deep(64)).send().await.accepted(201);
    site.finish().await;
}
