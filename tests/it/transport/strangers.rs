//! A locked-down NATS server, as `docs/nats.md` describes it: strangers neither read nor answer requests.

use async_nats::{Client, ConnectOptions};
use futures_util::{FutureExt, StreamExt};
use orchestrator::runtime::secret::Secret;
use orchestrator::transport::Settings;
use serde_json::json;

use crate::harness::{BOUND, Fleet, Nats, jetstream_in, new_body};

use super::{CLAIM, Caller, Office, no_lag, supervised};

/// The users of the documentation: `dev_agent` there is `faq_agent` here, beside a second agent.
fn documented(home: &std::path::Path) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/nats.md");
    let page = std::fs::read_to_string(page).unwrap();
    let start = page.find("authorization {").expect("a configuration in docs/nats.md");
    let block = &page[start..];
    let config = &block[..block.find("```").unwrap()];
    let agent = &config[config.find("    { user: dev_agent").unwrap()..];
    let agent = &agent[..agent.find("    # ").unwrap()];
    let other = agent.replace("dev_agent", "stranger");
    let config = config.replace("  ]\n}", &format!("{other}  ]\n}}"));
    let config = config.replace("dev_agent", "faq_agent");
    let passwords = ["BRIDGE", "DEV_AGENT", "STRANGER", "READER"];
    let config = passwords
        .iter()
        .fold(config, |text, user| text.replace(&format!("${user}_PASSWORD"), "s3cret"));
    format!("{}{config}", jetstream_in(home))
}

/// A connection of this user, whose inboxes begin with its name.
async fn user(nats: &Nats, name: &str) -> Client {
    let options = ConnectOptions::with_user_and_password(name.to_owned(), "s3cret".to_owned());
    let options = options.custom_inbox_prefix(format!("_INBOX.{name}"));
    options.connect(nats.url()).await.unwrap()
}

#[tokio::test]
async fn stranger_can_neither_read_a_request_nor_answer_one() {
    let fleet = Fleet::build().without_approvals().start().await;
    let nats = Nats::configured(documented).await;
    let settings =
        Settings { user: "bridge".to_owned(), password: Secret::new("s3cret"), ..nats.settings() };
    let office = Office::of(&fleet.engine, &settings).await;
    let bridge = supervised(&fleet, &settings).await;
    let stranger = user(&nats, "stranger").await;
    let mut heard = Vec::new();
    for subject in
        [">", "orchestrator.>", "orchestrator.agents.>", "_INBOX.>", "_INBOX.faq_agent.>"]
    {
        heard.push((subject, stranger.subscribe(subject).await.unwrap()));
    }
    stranger.flush().await.unwrap();
    let agent = Caller(user(&nats, "faq_agent").await);
    let mut inbox = agent.0.subscribe("_INBOX.faq_agent.forged").await.unwrap();
    agent.0.flush().await.unwrap();

    agent.accepted("crew", "orchestrator.ingest.tasks", &new_body("faq")).await;
    fleet.route().await;
    let held = agent.accepted("crew", CLAIM, &json!({"worker": "w1"})).await;
    stranger.publish("_INBOX.faq_agent.forged", "forged".into()).await.unwrap();
    stranger.flush().await.unwrap();
    agent.0.flush().await.unwrap();

    assert_eq!(held["tasks"].as_array().unwrap().len(), 1, "{held}");
    for (subject, mut messages) in heard {
        let read = messages.next().now_or_never();
        assert!(!matches!(read, Some(Some(_))), "the stranger read {read:?} of {subject}");
    }
    let forged = inbox.next().now_or_never();
    assert!(forged.is_none(), "the stranger answered: {forged:?}");
    no_lag(&fleet.engine).await;
    bridge.finish(BOUND).await;
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn reader_of_the_documentation_hears_events_only() {
    let fleet = Fleet::build().without_approvals().start().await;
    let nats = Nats::configured(documented).await;
    let settings =
        Settings { user: "bridge".to_owned(), password: Secret::new("s3cret"), ..nats.settings() };
    let reader = user(&nats, "reader").await;
    let mut events = reader.subscribe("orchestrator.events.>").await.unwrap();
    reader.flush().await.unwrap();
    let bridge = supervised(&fleet, &settings).await;

    fleet.submit("faq").await;

    let event = crate::harness::within("an event", events.next()).await.unwrap();
    assert_eq!(event.subject.as_str(), "orchestrator.events.task.created");
    bridge.finish(BOUND).await;
    fleet.finish().await;
}
