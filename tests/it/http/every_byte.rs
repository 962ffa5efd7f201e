//! One reader for one thing: every reader gets exactly what the gateway accepts, byte for byte.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::harness::{Answer, Block, Nats, Site, channel_of};
use crate::transport::{Listener, bridge_of, settle};

/// How many texts are made up, besides those that are named.
const TEXTS: usize = 60;

/// What readers are known to stumble over.
const NAMED: [&str; 10] = [
    "{}",
    "{ \n\t}",
    r#"{"traceparent":1e400}"#,
    r#"{"traceparent":"a","traceparent":"b"}"#,
    r#"{"\ud800":1,"\udc00\ud800":["\ud83d"]}"#,
    r#"{"external":false,"ext\u0065rnal":{"a":1}}"#,
    "{\n  \"pretty\": [\n    1,\n    2\n  ]\n}",
    "{\"event_type\":\"x\",\"task_id\":7,\"source_agent\":null,\"data\":\"\\ndata: x\\n\\n\"}",
    r#"{"big":-123456789012345678901234567890.5E-999,"zero":-0.0,"nul":"\u0000","é":"\u2028 😀"}"#,
    r#"{"":null,"a":1,"a":2,"deep":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"#,
];

/// The space between two tokens. A carriage return is another story: no event stream can deliver one.
fn space() -> impl Strategy<Value = String> {
    "[ \t\n]{0,2}"
}

fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[ -!#-\\[\\]-~é😀\u{7f}\u{2028}]{0,4}",
        "\\\\u[0-9a-fA-F]{4}",
        "\\\\u[dD][89abcdefABCDEF][0-9a-f]{2}",
        "\\\\[\"\\\\/bfnrt]",
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn leaf() -> impl Strategy<Value = String> {
    let word = |word: &str| Just(word.to_owned());
    prop_oneof![
        word("null"),
        word("true"),
        string(),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
    ]
}

fn list(open: char, items: Vec<String>, spaces: Vec<String>, close: char) -> String {
    let spaced = |nth: usize| spaces.get(nth % spaces.len().max(1)).cloned().unwrap_or_default();
    let items = items.iter().enumerate();
    let items: Vec<_> =
        items.map(|(nth, item)| format!("{}{item}{}", spaced(nth), spaced(nth + 1))).collect();
    format!("{open}{}{}{close}", spaced(0), items.join(","))
}

fn member(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key =
        prop_oneof![Just("\"traceparent\"".to_owned()), Just("\"external\"".to_owned()), string()];
    (key, space(), value).prop_map(|(key, space, value)| format!("{key}{space}:{space}{value}"))
}

fn object() -> impl Strategy<Value = String> {
    let value = leaf().prop_recursive(4, 24, 4, |inner| {
        let spaces = || prop::collection::vec(space(), 1..3);
        let array = (prop::collection::vec(inner.clone(), 0..4), spaces());
        let object = (prop::collection::vec(member(inner), 0..4), spaces());
        prop_oneof![
            array.prop_map(|(items, spaces)| list('[', items, spaces, ']')),
            object.prop_map(|(items, spaces)| list('{', items, spaces, '}')),
        ]
    });
    (prop::collection::vec(member(value), 0..5), prop::collection::vec(space(), 1..3))
        .prop_map(|(items, spaces)| list('{', items, spaces, '}'))
}

fn texts() -> Vec<String> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut texts = NAMED.map(str::to_owned).to_vec();
    texts.extend((0..TEXTS).map(|_| object().new_tree(&mut runner).unwrap().current()));
    texts
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    has_more: bool,
    next_cursor: String,
}

/// What comes back for this text, which the key `crew` sends as JSON.
async fn send(site: &Site, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    site.call("crew", Method::POST, path).body(body).send().await
}

/// Every event of these types in pages, each as it stands there.
async fn pages(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = "0-0-0".to_owned();
    loop {
        let query = format!("?types=kb.updated&limit=200&after={after}");
        let text =
            site.events(&query, &[("accept", "application/json")]).await.text().await.unwrap();
        let page: Page = serde_json::from_str(&text).unwrap();
        found.extend(page.items.iter().map(|item| item.get().to_owned()));
        after = page.next_cursor;
        if !page.has_more {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_as_an_event_reaches_every_reader_byte_for_byte() {
    let (site, nats) = (Site::open().await, Nats::start().await);
    let bridge = bridge_of(&site.fleet.engine, &nats.settings()).await;
    let mut listener = Listener::to(&nats, "orchestrator.events.kb.updated").await;
    let mut subscriber = site.fleet.redis.subscribe(&channel_of("kb.updated")).await;
    let mut live = site.stream("?types=kb.updated", &[]).await;
    let texts = texts();
    for text in &texts {
        let body = format!(r#"{{"event_type":"kb.updated","payload":{text},"metadata":{text}}}"#);
        let answer = send(&site, "/events/publish", body).await;
        assert_eq!(answer.status, 202, "{text}: {answer:?}");
    }
    settle(&bridge).await;
    let paged = pages(&site).await;
    let mut past = site.stream("?types=kb.updated&after=0-0-0", &[]).await;

    assert_eq!(paged.len(), texts.len());
    for (event, text) in paged.iter().zip(&texts) {
        assert!(event.contains(&format!(r#""payload":{text},"metadata":{{"#)), "{text}\n{event}");
        let has_own = !text.contains("external") && !text.contains("ext\\u0065rnal");
        let separator = if text[1..].trim_start() == "}" { "" } else { "," };
        let metadata = format!(r#""metadata":{{"external":true{separator}{}}}"#, &text[1..]);
        assert!(!has_own || event.ends_with(&metadata), "{text}\n{event}");
        let (_, told) = subscriber.next().await;
        assert_eq!(told, *event);
        assert_eq!(listener.next().await.body, *event);
        for reader in [&mut live, &mut past] {
            let Block { data, .. } = reader.next().await;
            assert_eq!(data, *event);
        }
    }
    drop((live, past));
    site.finish().await;
}

#[tokio::test]
async fn a_carriage_return_between_tokens_is_a_line_feed_for_every_reader() {
    let site = Site::open().await;
    let mut live = site.stream("", &[]).await;
    let text = "{\"payload\":{\r\n \"a\":\r1}, \"event_type\":\"kb.updated\",\"metadata\":{\r}}";

    assert_eq!(send(&site, "/events/publish", text).await.status, 202);

    let paged = pages(&site).await;
    assert!(paged[0].ends_with("\"payload\":{\n \"a\":\n1},\"metadata\":{\"external\":true\n}}"));
    assert_eq!(live.next().await.data, paged[0]);
    drop(live);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_of_a_task_comes_back_byte_for_byte() {
    let site = Site::without_approvals().await;
    for text in texts() {
        let body = format!(r#"{{"type":"faq","payload":{text},"metadata":{text}}}"#);
        let answer = send(&site, "/tasks", body).await;
        let submitted = answer.body;
        assert_eq!(answer.status, 201, "{text}: {submitted}");
        site.fleet.route().await;
        let claim = r#"{"worker":"MacBook-Pro.local"}"#;
        let claimed = send(&site, "/agents/faq_agent/claim", claim).await.body;
        for answer in [&submitted, &claimed] {
            assert!(answer.contains(&format!(r#""payload":{text},"#)), "{text}\n{answer}");
            assert!(answer.contains(&format!(r#""metadata":{text},"#)), "{text}\n{answer}");
        }
        let (_, id) = claimed.split_once(r#""task_id":""#).unwrap();
        let id = id[..36].to_owned();
        let lease = lease_of(&claimed);
        let report = format!(r#"{{"attempt":1,"lease":"{lease}","result":{text}}}"#);
        let done = send(&site, &format!("/tasks/{id}/complete"), report).await;
        assert_eq!(done.status, 200, "{text}");
        let got = site.get("crew", &format!("/tasks/{id}")).await.body;
        assert!(got.contains(&format!(r#""payload":{text},"#)), "{text}\n{got}");
        assert!(got.contains(&format!(r#""result":{text}"#)), "{text}\n{got}");
    }
    site.finish().await;
}

/// The lease of the only task that was claimed.
fn lease_of(claimed: &str) -> &str {
    let (_, lease) = claimed.split_once(r#""lease":""#).unwrap();
    &lease[..22]
}

#[tokio::test]
async fn a_report_with_half_an_emoji_gets_through() {
    let site = Site::open().await;
    let task = site.fleet.submit("faq").await;
    site.fleet.route().await;
    let claimed = send(&site, "/agents/faq_agent/claim", r#"{"worker":"w1"}"#).await.body;
    let lease = lease_of(&claimed);

    let message = r#"{"percent":5,"message":"at \ud83d"}"#;
    let beat = format!(r#"{{"attempt":1,"lease":"{lease}","progress":{message}}}"#);
    let beat = send(&site, &format!("/tasks/{}/heartbeat", task.id), beat).await;
    let error = r#""it broke \ud83d","retryable":false"#;
    let failure = format!(r#"{{"attempt":1,"lease":"{lease}","error":{error}}}"#);
    let failed = send(&site, &format!("/tasks/{}/fail", task.id), failure).await;

    assert_eq!((beat.status, failed.status), (200, 200));
    let failed = site.fleet.task(task.id).await;
    assert_eq!(failed.error.as_deref(), Some("it broke \u{fffd}"));
    assert_eq!(failed.progress.unwrap().message.as_deref(), Some("at \u{fffd}"));
    site.finish().await;
}

#[tokio::test]
async fn patterns_and_numbers_are_bounded() {
    let site = Site::open().await;
    let patterns = |count: usize| vec!["deploy.*"; count].join(",");
    let json = [("accept", "application/json")];

    assert_eq!(site.events(&format!("?types={}", patterns(64)), &json).await.status(), 200);
    assert_eq!(site.events(&format!("?types={}", patterns(65)), &json).await.status(), 400);
    let long = format!("?types=a.{}", "b".repeat(200));
    assert_eq!(site.events(&long, &json).await.status(), 400);
    for (digits, status) in [(400, 202), (401, 422)] {
        let number = "1".repeat(digits);
        let body = format!(r#"{{"event_type":"pr.merged","payload":{{"n":[{number}]}}}}"#);
        assert_eq!(send(&site, "/events/publish", body).await.status, status);
    }
    site.finish().await;
}
