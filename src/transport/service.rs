//! Answers requests over NATS like requests over HTTP.
//!
//! * `<prefix>.agents.<agent>.claim` and `.results` are `POST /agents/<agent>/claim` and
//!   `/results`; a dot in the agent's name is written `%2E`.
//! * `<prefix>.tasks.<verb>` with `task_id` in the body is the call on `/tasks/<task_id>/<verb>`;
//!   `get` is `GET /tasks/<task_id>`.
//! * `<prefix>.ingest.tasks` is `POST /tasks`.
//! * `<prefix>.ingest.events` is `POST /events/publish`.
//!
//! The body is the same JSON; if the call over HTTP has no body, its members are the query. The
//! headers `Authorization`, `X-API-Key`, `Orchestrator-Signature`, `Idempotency-Key`,
//! `traceparent`, `tracestate`, `X-Request-Id` and `Content-Encoding` mean the same. An answer has
//! the header `Orchestrator-Status` with the status of HTTP (`Status` belongs to NATS itself:
//! clients read a 503 there as "no responders"); a refusal also has the headers of the NATS service
//! protocol. Several processes share the requests as one queue group.
//!
//! A request that waits ends once its requester has disconnected from NATS, and what an answer
//! hands over goes back if no subscriber gets the answer: see [`super::echo`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::{self, Request, ServiceExt};
use async_nats::{Client, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream::SelectAll};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::echo::Echo;
use super::request::{Call, TaskVerb, read};
use super::signature::with_signed;
use super::{Credentials, Error, Settings};
use crate::runtime::receipt::Receipt;

/// How many requests of one lane are answered at once; more wait in the buffers of NATS. It is far
/// above what one caller may have waiting (`http.max_waits_per_principal`), so that no caller
/// delays the others.
const AT_ONCE: usize = 10_000;

/// How long reading the requests that arrived before a stop may take. It ends at once unless NATS
/// is disconnected.
const DRAIN: Duration = Duration::from_secs(1);

/// The header of an answer that carries its HTTP status.
const STATUS: &str = "Orchestrator-Status";

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The body of the answer, which is JSON.
    pub body: Bytes,
    /// What to do if the answer does not arrive; `None` if it hands nothing over.
    pub receipt: Option<Receipt>,
}

/// The room in a message for the headers of an answer and for what surrounds its tasks, in bytes.
const HEADERS: usize = 2_048;

/// Answers a call, or refuses a malformed request, whose fault the text describes. The number is
/// how many bytes the body of the answer may have.
pub type Handler = Arc<
    dyn Fn(Result<Call, String>, usize) -> Pin<Box<dyn Future<Output = Answer> + Send>>
        + Send
        + Sync,
>;

/// Answers requests over NATS until it is stopped.
pub struct Service {
    client: Client,
    echo: Echo,
    echoes: Subscriber,
    service: service::Service,
    verbs: Arc<[TaskVerb]>,
    needs_signature: bool,
    /// Claims; results, which may claim too; and the rest: many waiting claims must not delay a
    /// heartbeat.
    lanes: [SelectAll<service::endpoint::Endpoint>; 3],
}

impl Service {
    /// Subscribes, which also provides discovery, ping and statistics (`$SRV.*`).
    ///
    /// * `settings`: with the first token of the subjects, which is also the name of the service and
    ///   of its queue group.
    /// * `verbs`: the calls on a task, each of which has a subject.
    pub async fn start(
        client: &Client,
        settings: &Settings,
        verbs: Vec<TaskVerb>,
    ) -> Result<Self, Error> {
        let prefix = &settings.prefix;
        let needs_signature = settings.credentials == Credentials::Signed;
        let started = client
            .service_builder()
            .description("MorningAI Orchestrator")
            .queue_group(prefix)
            .start(prefix, env!("CARGO_PKG_VERSION"));
        let service = started.await.map_err(Error::Service)?;
        let mut subjects = vec![
            (0, "claim".to_owned(), format!("{prefix}.agents.*.claim")),
            (1, "results".to_owned(), format!("{prefix}.agents.*.results")),
            (2, "ingest-tasks".to_owned(), format!("{prefix}.ingest.tasks")),
            (2, "ingest-events".to_owned(), format!("{prefix}.ingest.events")),
        ];
        for verb in &verbs {
            subjects.push((2, verb.name.clone(), format!("{prefix}.tasks.{}", verb.name)));
        }
        let mut lanes: [SelectAll<_>; 3] = Default::default();
        for (lane, name, subject) in subjects {
            let endpoint = service.endpoint_builder().name(name).add(subject).await;
            lanes[lane].push(endpoint.map_err(Error::Service)?);
        }
        let (echo, echoes) = Echo::start(client).await?;
        let (client, verbs) = (client.clone(), verbs.into());
        Ok(Self { client, echo, echoes, service, verbs, needs_signature, lanes })
    }

    /// Answers until `stop` is cancelled, then accepts no more requests and finishes those that
    /// arrived.
    pub async fn run(self, handler: Handler, stop: CancellationToken) {
        let Self { client, echo, echoes, service, verbs, needs_signature, lanes } = self;
        let responder = Responder { client, echo, verbs, needs_signature, handler };
        let answers = TaskTracker::new();
        let answering = async {
            let lanes = join_all(lanes.map(|lane| serve(lane, &responder, &answers)));
            tokio::pin!(lanes);
            if stop.run_until_cancelled(&mut lanes).await.is_none() {
                if let Err(error) = service.stop().await {
                    tracing::debug!(%error, "the NATS service did not stop cleanly");
                }
                if timeout(DRAIN, lanes).await.is_err() {
                    tracing::debug!("not all requests from before the stop arrived in time");
                }
            }
            answers.close();
            answers.wait().await;
        };
        tokio::select! {
            () = answering => {}
            () = responder.echo.listen(echoes) => {}
        }
    }
}

/// What the answers to all requests need. It is cheap to clone.
#[derive(Clone)]
struct Responder {
    client: Client,
    echo: Echo,
    verbs: Arc<[TaskVerb]>,
    needs_signature: bool,
    handler: Handler,
}

/// Answers the requests of one lane until there are no more.
async fn serve(
    mut lane: SelectAll<service::endpoint::Endpoint>,
    responder: &Responder,
    answers: &TaskTracker,
) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let (Ok(place), Some(request)) =
        (Arc::clone(&at_once).acquire_owned().await, lane.next().await)
    {
        let responder = responder.clone();
        answers.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = responder.answer(&request) => answer,
                () = responder.echo.is_gone(request.message.reply.as_ref()) => {
                    tracing::debug!("the requester disconnected before the answer");
                    return;
                }
            };
            drop(place);
            responder.send(&request, answer).await;
        });
    }
}

impl Responder {
    async fn answer(&self, request: &Request) -> Answer {
        let message = &request.message;
        // A prefix has no dot.
        let tokens: Vec<_> = message.subject.split('.').skip(1).collect();
        let headers = message.headers.as_ref();
        let call = read(&tokens, &self.verbs, headers, message.payload.clone())
            .and_then(|call| with_signed(call, message, self.needs_signature));
        (self.handler)(call, room_of(&self.client)).await
    }

    /// Sends the answer. If it has a receipt and no subscriber gets it, what it hands over goes
    /// back.
    async fn send(&self, request: &Request, answer: Answer) {
        let Answer { status, body, receipt } = answer;
        let mut headers = HeaderMap::new();
        headers.insert(STATUS, status.to_string());
        headers.insert("content-type", "application/json");
        if status >= 400 {
            headers.insert("Nats-Service-Error-Code", status.to_string());
            headers.insert("Nats-Service-Error", title(&body));
        }
        let sent = match (receipt, request.message.reply.clone()) {
            (Some(receipt), Some(reply)) => {
                let delivered = self.echo.is_delivered(reply, headers, body).await;
                if let Ok(true) = delivered {
                    receipt.confirm();
                }
                delivered.map(drop)
            }
            // A caller that gave no reply subject wants no answer, and nothing is handed over to
            // it.
            (_, _) => request.respond_with_headers(Ok(body), headers).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "answer over NATS not sent");
        }
    }
}

/// How many bytes the body of an answer may have with the server that the client is connected to.
pub fn room_of(client: &Client) -> usize {
    client.server_info().max_payload.saturating_sub(HEADERS)
}

/// The title of a problem, for tools that show only the error header.
fn title(body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
    }
    serde_json::from_slice::<Problem>(body)
        .map_or_else(|_| "refused".to_owned(), |problem| problem.title)
}
