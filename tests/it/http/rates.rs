//! Rates of callers: how many calls of each class a caller may make, and what it learns of that.

use std::sync::Arc;

use orchestrator::domain::call_class::CallClass;
use orchestrator::domain::ids::{Partition, TaskId};
use orchestrator::engine::{self, Admission, Engine, Rates};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Fleet, Site, engine_told, key, new_body};

/// A fleet with these limits, whose windows are of ten seconds.
fn limited(change: impl FnOnce(&mut engine::Limits)) -> Builder {
    Fleet::build().settings(|settings| change(&mut settings.limits))
}

/// What a header of an answer says in numbers.
fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}")).parse().unwrap()
}

/// The answers to the first of these callers whose calls all fell into one window.
async fn in_one_window(work: impl AsyncFn(&'static str) -> Vec<Answer>) -> Vec<Answer> {
    for name in ["crew", "rival", "root"] {
        let answers = work(name).await;
        let resets = answers.iter().map(|answer| number(answer, "x-ratelimit-reset"));
        if resets.is_sorted_by(|earlier, later| earlier >= later) {
            return answers;
        }
    }
    panic!("three windows ended meanwhile");
}

#[tokio::test]
async fn a_caller_over_its_rate_learns_when_to_return() {
    let site = Site::over(limited(|limits| limits.read_per_second = 1).start().await).await;

    let answers = in_one_window(async |name| {
        let mut answers = Vec::new();
        for _ in 0..11 {
            answers.push(site.get(name, "/stats").await);
        }
        answers
    })
    .await;

    for (nth, answer) in answers[..10].iter().enumerate() {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"read\";q=10;w=10"));
        assert_eq!(number(answer, "x-ratelimit-limit"), 10);
        assert_eq!(number(answer, "x-ratelimit-remaining"), 9 - nth as u64);
    }
    let over = &answers[10];
    over.refused(429, "rate-limited");
    let wait = number(over, "retry-after");
    assert!((1..=10).contains(&wait), "{over:?}");
    let rate = format!("\"read\";r=0;t={wait}");
    assert_eq!(over.header("ratelimit"), Some(rate.as_str()));
    // Other callers and other classes have limits of their own.
    site.get("judge", "/stats").await.accepted(200);
    site.post("crew", "/tasks", &new_body("faq")).await.accepted(201);
    site.finish().await;
}

/// A body with so many submissions.
fn batch(items: usize) -> Value {
    json!({"tasks": vec![new_body("faq"); items]})
}

#[tokio::test]
async fn a_call_with_many_items_counts_each_of_them() {
    let limits = |limits: &mut engine::Limits| {
        (limits.write_per_second, limits.claim_per_second) = (1, 1);
    };
    let site = Site::over(limited(limits).start().await).await;
    let report = json!({"task_id": TaskId::new(Partition(0)).to_string(), "attempt": 1,
        "lease": "x", "outcome": "completed"});
    let outcomes = json!({"outcomes": vec![report; 9]});

    let submitted = in_one_window(async |name| {
        let mut answers = Vec::new();
        for items in [8, 3, 2] {
            answers.push(site.post(name, "/tasks/batch", &batch(items)).await);
        }
        answers
    })
    .await;
    let reported = in_one_window(async |name| {
        let path = "/agents/faq_agent/results";
        vec![site.post(name, path, &outcomes).await, site.post(name, path, &outcomes).await]
    })
    .await;

    submitted[0].accepted(200);
    submitted[1].refused(429, "rate-limited");
    // The refused batch has counted as one call, as any call does.
    submitted[2].refused(429, "rate-limited");
    reported[0].accepted(200);
    reported[1].refused(429, "rate-limited");
    site.finish().await;
}

#[tokio::test]
async fn a_batch_larger_than_a_window_needs_a_whole_one() {
    let site = Site::over(limited(|limits| limits.write_per_second = 1).start().await).await;

    let answers = in_one_window(async |name| {
        let first = site.post(name, "/tasks/batch", &batch(50)).await;
        vec![first, site.post(name, "/tasks/batch", &batch(50)).await]
    })
    .await;

    answers[0].accepted(200);
    answers[1].refused(429, "rate-limited");
    site.finish().await;
}

#[tokio::test]
async fn opening_streams_has_a_limit_of_its_own() {
    let site = Site::over(limited(|limits| limits.stream_per_second = 1).start().await).await;
    let open = async |path: &str| {
        let call = site.call("crew", Method::GET, path).header("accept", "text/event-stream");
        call.0.send().await.unwrap().status().as_u16()
    };
    // Both calls that open a stream count.
    let mut statuses = Vec::new();
    for path in ["/events", "/events/stream"].into_iter().cycle().take(21) {
        statuses.push(open(path).await);
    }

    assert!(statuses[..10].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    site.get("crew", "/events").await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn a_class_without_a_limit_is_not_counted() {
    let site = Site::over(limited(|limits| limits.read_per_second = 0).start().await).await;

    let answer = site.get("crew", "/stats").await;

    assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    assert_eq!(answer.header("x-ratelimit-limit"), None);
    site.finish().await;
}

/// How many of `wanted` calls a process lets pass, and whether all of them fell into one window.
async fn admitted(rates: &Rates, caller: &Arc<str>, wanted: u64) -> (u64, bool) {
    let (mut count, mut rest, mut is_one) = (0, u64::MAX, true);
    for _ in 0..wanted {
        let standing = match rates.admit(caller, CallClass::Write, 1, 0).await {
            Admission::Admitted(standing) => {
                count += 1;
                standing
            }
            Admission::Refused(standing) => standing,
            Admission::Unlimited => panic!("no limit"),
        };
        is_one &= standing.rest_ms <= rest;
        rest = standing.rest_ms;
    }
    (count, is_one)
}

#[tokio::test]
async fn three_gateways_together_keep_the_rate_of_a_caller() {
    let told = |settings: &mut engine::Settings| settings.limits.write_per_second = 100;
    let fleet = Fleet::build().settings(told).start().await;
    let url = fleet.redis.url();
    let others: [Engine; 2] = [engine_told(url, told).await, engine_told(url, told).await];
    let gateways = [fleet.engine.rates(), others[0].rates(), others[1].rates()];

    let mut all = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let caller = Arc::from(format!("key:{name}"));
        let calls = gateways.map(|rates| admitted(rates, &caller, 3_500));
        let counts = futures_util::future::join_all(calls).await;
        if counts.iter().all(|(_, is_one)| *is_one) {
            all.extend(counts);
            break;
        }
    }

    let total: u64 = all.iter().map(|(count, _)| count).sum();
    assert!((900..=1_000).contains(&total), "{all:?}");
    // What is counted goes away with the window.
    let keys: Vec<String> = fleet.redis.ask(&["KEYS", &key("rate:*")]).await;
    for key in &keys {
        let left: i64 = fleet.redis.ask(&["PTTL", key]).await;
        assert!(left == -2 || (0..=10_000).contains(&left), "{key}: {left}");
    }
    assert!(!keys.is_empty());
    fleet.finish().await;
}

#[tokio::test]
async fn a_process_counts_alone_while_the_store_is_away() {
    let told = |settings: &mut engine::Settings| settings.limits.write_per_second = 100;
    let mut fleet = Fleet::build().settings(told).durable().start().await;
    fleet.redis.stop().await;
    let caller: Arc<str> = "key:crew".into();

    let (count, _) = admitted(fleet.engine.rates(), &caller, 1_000).await;

    assert!((100..1_000).contains(&count), "{count} calls passed");
    fleet.redis.start_again().await;
    fleet.finish().await;
}

#[tokio::test]
async fn every_guarded_call_counts_in_the_class_that_the_document_names() {
    let document = orchestrator::http::openapi::document();
    let site = Site::open().await;
    for operation in super::operations::Operation::guarded() {
        let method = operation.method.as_str().to_lowercase();
        let described: &Value = &document["paths"][&operation.template][method];
        let class = described["x-rate-limit-class"].as_str().unwrap();

        let answer = operation.call(&site, Some("root")).await;

        let policy = answer.header("ratelimit-policy").unwrap_or_default();
        assert!(policy.starts_with(&format!("\"{class}\";")), "{}: {policy}", operation.id);
        let headers = &described["responses"]["429"]["headers"];
        assert!(headers["Retry-After"].is_object(), "{}", operation.id);
        assert!(headers["RateLimit-Policy"].is_object(), "{}", operation.id);
    }
    site.finish().await;
}
