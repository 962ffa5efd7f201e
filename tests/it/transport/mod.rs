//! NATS: events out, requests in, over a private `nats-server` of each test.

mod answers;
mod auth;
mod bridges;
pub mod credentials;
mod events;
mod matrix;
mod outages;
mod prefixes;
mod rates;
mod refusals;
mod requests;
mod sharing;
mod signed;
mod strangers;
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use orchestrator::app::bridge::task_verbs;
use orchestrator::domain::principal::Origin;
use orchestrator::engine::Engine;
use orchestrator::http::{Http, Inside, Settings};
use orchestrator::transport::{self, Answer, Call, Handler, Publisher, Service};
use orchestrator::workers::supervisor::Pulse;
use orchestrator::workers::{Bridge, Supervisor, Worker};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Fleet, Message, Nats, auth, eventually, key_of, within};

/// Where tasks of `faq_agent` are claimed.
pub const CLAIM: &str = "orchestrator.agents.faq_agent.claim";

/// A bridge of this engine.
pub async fn bridge_of(engine: &Engine, settings: &transport::Settings) -> Bridge {
    let client = transport::connect(settings).await.unwrap();
    Bridge::new(
        engine.clone(),
        Publisher::new(client, settings.clone(), &engine.settings().events.source),
    )
}

/// A bridge of this fleet that runs.
pub async fn supervised(fleet: &Fleet, settings: &transport::Settings) -> Supervisor {
    fleet.supervise(bridge_of(&fleet.engine, settings).await)
}

/// Has the bridge step, through faults, until there is nothing left to do.
pub async fn settle(bridge: &Bridge) {
    eventually("the bridge has nothing left to do", async || match bridge.step().await {
        Ok(orchestrator::workers::Step::Idle) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Waits until the bridge is not behind the log.
pub async fn no_lag(engine: &Engine) {
    eventually("the bridge has caught up", async || match engine.bridge_lag_ms().await {
        Ok(Some(0)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// How the bridge under this supervisor is doing.
pub fn pulse(supervisor: &Supervisor) -> Pulse {
    supervisor.pulses().remove("bridge").unwrap()
}

/// Waits until the bridge fails for a reason that holds `why`.
pub async fn fails_with(supervisor: &Supervisor, why: &str) {
    eventually(&format!("the bridge fails: {why}"), async || match pulse(supervisor).failing {
        Some(reason) if reason.contains(why) => Ok(()),
        other => Err(other),
    })
    .await;
}

/// Waits until this long after `began`.
pub async fn passed(began: Instant, wait: Duration) {
    let look = async || if began.elapsed() > wait { Ok(()) } else { Err(began.elapsed()) };
    eventually("some time has passed", look).await;
}

/// A client that listens to a subject, or a pattern of them.
pub struct Listener(async_nats::Subscriber);

impl Listener {
    pub async fn to(nats: &Nats, subject: &str) -> Self {
        let client = nats.client().await;
        let subscriber = client.subscribe(subject.to_owned()).await.unwrap();
        // Until the server has answered, it may not have heard.
        client.flush().await.unwrap();
        Self(subscriber)
    }

    pub async fn next(&mut self) -> Message {
        within("a message", self.0.next()).await.unwrap().into()
    }
}

/// What calls over NATS need: the fleet, its NATS, an office that answers there, and a caller.
pub async fn open(fleet: Fleet, nats: Nats) -> (Fleet, Nats, Office, Caller) {
    let (office, caller) = (Office::open(&fleet, &nats).await, Caller::of(&nats).await);
    (fleet, nats, office, caller)
}

/// A process that answers requests over NATS.
pub struct Office {
    stop: CancellationToken,
    running: JoinSet<()>,
    begun: Arc<AtomicUsize>,
    /// Its connection: what was said last leaves only while there is one.
    _client: transport::Client,
}

impl Office {
    pub async fn open(fleet: &Fleet, nats: &Nats) -> Self {
        Self::of(&fleet.engine, &nats.settings()).await
    }

    /// One of this engine, told this about NATS.
    pub async fn of(engine: &Engine, settings: &transport::Settings) -> Self {
        // Many tests call without a valid credential.
        let http = Http { max_failed_logins_per_minute: 0, ..Http::default() };
        Self::told(engine, settings, http).await
    }

    /// One of this engine, told this about NATS and about the limits of the API.
    pub async fn told(engine: &Engine, nats: &transport::Settings, http: Http) -> Self {
        let stop = CancellationToken::new();
        let settings = Settings { http, auth: auth() };
        let api = Inside::new(engine.clone(), &settings, stop.clone(), Origin::Nats);
        let api = api.await.unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&begun);
        let handler: Handler = Arc::new(move |call: Result<Call, String>, room: usize| {
            let api = api.clone();
            counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let (status, body, receipt) = match call {
                    Ok(call) => {
                        let Call { method, path, headers, body } = call;
                        api.answer(&method, &path, &headers, body, room).await
                    }
                    Err(why) => api.refuse(why).await,
                };
                Answer { status, body, receipt }
            })
        });
        let client = transport::connect(nats).await.unwrap();
        let service = Service::start(&client, nats, task_verbs()).await.unwrap();
        // Subscribed, as far as the server knows.
        client.flush().await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(service.run(handler, stop.clone()));
        Self { stop, running, begun, _client: client }
    }

    /// Waits until it has begun to answer this many requests.
    pub async fn has_begun(&self, wanted: usize) {
        eventually(&format!("{wanted} requests are begun"), async || {
            match self.begun.load(Ordering::Relaxed) {
                begun if begun >= wanted => Ok(()),
                begun => Err(begun),
            }
        })
        .await;
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has answered what it had begun.
    pub async fn close(mut self) {
        self.stop.cancel();
        within("the end of the service", self.running.join_next()).await;
    }
}

/// An agent or another system that calls over NATS.
#[derive(Clone)]
pub struct Caller(pub async_nats::Client);

impl Caller {
    pub async fn of(nats: &Nats) -> Self {
        Self(nats.client().await)
    }

    /// What comes back for these bytes and headers.
    pub async fn ask(&self, subject: &str, headers: &[(&str, &str)], body: &str) -> Message {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let exchange = self.0.request_with_headers(subject.to_owned(), map, body.to_owned().into());
        within("an answer", exchange).await.unwrap().into()
    }

    /// What comes back for the key of this name.
    pub async fn call(&self, name: &str, subject: &str, body: &Value) -> Message {
        self.ask(subject, &[("X-API-Key", &key_of(name))], &body.to_string()).await
    }

    /// The body of what was accepted.
    pub async fn accepted(&self, name: &str, subject: &str, body: &Value) -> Value {
        let answer = self.call(name, subject, body).await;
        assert!(
            matches!(answer.header("Orchestrator-Status"), Some("200" | "201" | "202")),
            "{subject} {body}: {answer:?}"
        );
        assert_eq!(answer.header("Nats-Service-Error"), None, "{answer:?}");
        answer.json()
    }
}

/// Asserts that this is a refusal in the form that all have; returns the problem.
#[track_caller]
pub fn refused(answer: &Message, status: u16, cause: &str) -> Value {
    let status = status.to_string();
    assert_eq!(answer.header("Orchestrator-Status"), Some(status.as_str()), "{answer:?}");
    assert_eq!(answer.header("Nats-Service-Error-Code"), Some(status.as_str()), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:orchestrator:problem:{cause}"), "{answer:?}");
    assert_eq!(answer.header("Nats-Service-Error"), problem["title"].as_str(), "{answer:?}");
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{answer:?}");
    problem
}
