//! Events on subjects and in the stream: what they say, and what may stand in their way.

use async_nats::jetstream::stream;
use orchestrator::domain::submission::NewTask;
use orchestrator::engine::Engine;
use orchestrator::runtime::chain::Chain;
use orchestrator::transport;
use orchestrator::workers::Worker;

use crate::harness::{
    BOUND, Fleet, Message, Nats, STREAM, channel_of, eventually, json, new_event,
};

use super::{Listener, bridge_of, fails_with, no_lag, settle, supervised};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const TRACESTATE: &str = r#"congo="t61 rc", rojo=a\b"#;

/// Asserts that the headers say of the event what its body says.
fn assert_cloud_event(message: &Message) {
    let event = message.json();
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let header = |name: &str| message.header(name).map(str::to_owned);
    assert_eq!(message.subject, format!("orchestrator.events.{}", text("event_type").unwrap()));
    assert_eq!(header("Nats-Msg-Id"), text("event_id"));
    assert_eq!(header("ce-id"), text("event_id"));
    assert_eq!(header("ce-specversion").as_deref(), Some("1.0"));
    assert_eq!(header("ce-type"), text("event_type"));
    assert_eq!(
        header("ce-source"),
        text("source_agent").map(|source| format!("/orchestrator/{source}"))
    );
    assert_eq!(header("ce-time"), text("timestamp"));
    assert_eq!(header("ce-subject"), text("task_id"));
    for name in ["content-type", "ce-datacontenttype"] {
        assert_eq!(header(name).as_deref(), Some("application/json"), "{name}");
    }
    for name in ["traceparent", "tracestate"] {
        assert_eq!(header(&format!("ce-{name}")), header(name), "{name}");
        assert_eq!(header(name), event["metadata"][name].as_str().map(str::to_owned), "{name}");
    }
}

/// A traced task is submitted and claimed, and an event is published: four events.
async fn live_a_little(fleet: &Fleet) {
    let trace = |new: &mut NewTask| {
        new.spec.traceparent = Some(TRACEPARENT.to_owned());
        new.spec.tracestate = Some(TRACESTATE.to_owned());
    };
    fleet.submit_with("faq", trace).await;
    fleet.claim_one().await;
    fleet.engine.publish(&fleet.people.agent, new_event("pr.merged")).await.unwrap();
}

#[tokio::test]
async fn two_fleets_on_one_bus_differ_in_the_source_of_events() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    let mut settings = fleet.engine.settings().clone();
    settings.events.source = "urn:fleet:eu".to_owned();
    let mut subjects = Listener::to(&nats, "orchestrator.events.>").await;
    let bridge = bridge_of(&fleet.engine_with(settings), &nats.settings()).await;

    fleet.submit("faq").await;
    settle(&bridge).await;

    let message = subjects.next().await;
    assert_eq!(message.header("ce-source"), Some("urn:fleet:eu/orchestrator"));
    fleet.finish().await;
}

#[tokio::test]
async fn an_event_is_on_its_subject_and_in_the_stream_as_redis_subscribers_get_it() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    let mut channels = fleet.redis.subscribe(&channel_of("*")).await;
    let mut subjects = Listener::to(&nats, "orchestrator.events.>").await;
    let bridge = supervised(&fleet, &nats.settings()).await;

    live_a_little(&fleet).await;

    let mut heard = Vec::new();
    for _ in 0..5 {
        let (message, (_, text)) = (subjects.next().await, channels.next().await);
        assert_eq!(message.body, text);
        assert_cloud_event(&message);
        heard.push(message);
    }
    let types: Vec<_> = heard.iter().map(|message| message.header("ce-type").unwrap()).collect();
    assert_eq!(
        types,
        ["task.created", "task.assigned", "agent.online", "task.started", "pr.merged"]
    );
    let traces: Vec<_> = heard.iter().map(|message| message.header("traceparent")).collect();
    assert_eq!(traces, [Some(TRACEPARENT), Some(TRACEPARENT), None, Some(TRACEPARENT), None]);
    let states: Vec<_> = heard.iter().map(|message| message.header("tracestate")).collect();
    assert_eq!(states, [Some(TRACESTATE), Some(TRACESTATE), None, Some(TRACESTATE), None]);
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, 5);
    let kept: Vec<_> =
        nats.stream().await.into_iter().map(|message| (message.body, message.headers)).collect();
    assert!(
        kept.iter()
            .zip(&heard)
            .all(|(kept, heard)| kept.0 == heard.body && kept.1 == heard.headers)
    );
    bridge.finish(BOUND).await;
    fleet.finish().await;
}

#[tokio::test]
async fn without_jetstream_listeners_get_the_same_events() {
    let declined = |nats: &Nats| transport::Settings { jetstream: false, ..nats.settings() };
    let (plain, able) = (Nats::plain().await, Nats::start().await);
    for (nats, settings) in [(&plain, plain.settings()), (&able, declined(&able))] {
        let fleet = Fleet::start().await;
        let mut subjects = Listener::to(nats, "orchestrator.events.>").await;
        let bridge = bridge_of(&fleet.engine, &settings).await;

        live_a_little(&fleet).await;
        settle(&bridge).await;

        for event in fleet.events().await {
            let message = subjects.next().await;
            assert_cloud_event(&message);
            assert_eq!(message.id(), event.id.to_string());
        }
        no_lag(&fleet.engine).await;
        assert_eq!(nats.stream_size().await, None);
        fleet.finish().await;
    }
}

async fn lag(engine: &Engine) -> u64 {
    engine.bridge_lag_ms().await.unwrap().unwrap()
}

#[tokio::test]
async fn stream_of_wrong_subjects_is_named_and_only_bridge_waits_for_repair() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    let wrong = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["else.>".to_owned()],
        ..stream::Config::default()
    };
    nats.make_stream(wrong.clone()).await;
    let bridge = supervised(&fleet, &nats.settings()).await;

    live_a_little(&fleet).await;
    fails_with(&bridge, "does not take `orchestrator.events.>`; add that to its subjects").await;
    let before = lag(&fleet.engine).await;
    fleet.advance(std::time::Duration::from_secs(3));
    live_a_little(&fleet).await;

    assert!(lag(&fleet.engine).await >= before + 3_000);
    assert_eq!(nats.stream_size().await, Some(0));
    let repaired = stream::Config { subjects: vec!["orchestrator.events.>".to_owned()], ..wrong };
    let jetstream = async_nats::jetstream::new(nats.client().await);
    jetstream.update_stream(repaired).await.unwrap();
    no_lag(&fleet.engine).await;
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, 9);
    fleet.finish().await;
}

/// Publishes a large event between two small ones, and asserts that all arrive, the large one as a stub.
async fn large_ones_go_as_stubs(nats: &Nats) {
    let fleet = Fleet::start().await;
    let large = format!(r#"{{"n":"{}"}}"#, "x".repeat(20_000));
    for payload in [r#"{"n":1}"#, &large, r#"{"n":3}"#] {
        let mut event = new_event("kb.updated");
        event.payload = json(payload);
        fleet.engine.publish(&fleet.people.agent, event).await.unwrap();
    }

    settle(&bridge_of(&fleet.engine, &nats.settings()).await).await;

    nats.holds_the_log_of(&fleet.redis, 1).await;
    let stream = nats.stream().await;
    stream.iter().for_each(assert_cloud_event);
    let payloads: Vec<_> =
        stream.iter().map(|message| message.json()["payload"]["n"].clone()).collect();
    assert_eq!(payloads, [1.into(), serde_json::Value::Null, 3.into()]);
    assert_eq!(stream[1].json()["metadata"]["is_truncated"], true);
    assert_eq!(fleet.engine.figures().await.unwrap().truncated_events, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn event_above_server_limit_goes_without_payload_and_delays_no_event() {
    large_ones_go_as_stubs(&Nats::told("max_payload: 16384\n").await).await;
}

#[tokio::test]
async fn event_above_stream_limit_goes_without_its_payload() {
    let nats = Nats::start().await;
    let small = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["orchestrator.events.>".to_owned()],
        max_message_size: 8_192,
        ..stream::Config::default()
    };
    nats.make_stream(small).await;

    large_ones_go_as_stubs(&nats).await;
}

#[tokio::test]
async fn every_partition_is_carried() {
    let (fleet, nats) = (Fleet::build().partitions(4).start().await, Nats::start().await);
    let bridge = supervised(&fleet, &nats.settings()).await;
    for _ in 0..20 {
        fleet.submit_many("faq", 20).await;
        fleet.route().await;
    }

    no_lag(&fleet.engine).await;

    assert_eq!(nats.holds_the_log_of(&fleet.redis, 4).await, 800);
    drop(bridge);
    fleet.finish().await;
}

#[tokio::test]
async fn deleted_stream_is_created_again() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    let bridge = bridge_of(&fleet.engine, &nats.settings()).await;
    live_a_little(&fleet).await;
    settle(&bridge).await;
    async_nats::jetstream::new(nats.client().await).delete_stream(STREAM).await.unwrap();

    fleet.submit("faq").await;
    settle(&bridge).await;

    let kept: Vec<_> = nats.stream().await.iter().map(|message| message.id().to_owned()).collect();
    let last = fleet.events().await.pop().unwrap();
    assert_eq!(kept, [last.id.to_string()]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_bridge_without_a_nats_says_so_and_starts_to_carry_when_there_is_one() {
    let (fleet, mut nats) = (Fleet::start().await, Nats::start().await);
    nats.kill();
    let bridge = bridge_of(&fleet.engine, &nats.settings()).await;
    live_a_little(&fleet).await;

    let error = bridge.step().await.unwrap_err();

    assert_eq!(Chain(&error).to_string(), "events wait in the log: NATS is disconnected");
    nats.start_again().await;
    settle(&bridge).await;
    eventually("all of it", async || match nats.stream_size().await {
        Some(5) => Ok(()),
        size => Err(size),
    })
    .await;
    fleet.finish().await;
}
