//! Requests over NATS, answered like requests over HTTP.
//!
//! | subject | is |
//! |---|---|
//! | `orchestrator.agents.<agent>.claim`, `.results` | `POST /agents/<agent>/claim`, `/results` |
//! | `orchestrator.tasks.<verb>` with `task_id` in the body | `POST /tasks/<task_id>/<verb>`; `get` is `GET /tasks/<task_id>` |
//! | `orchestrator.ingest.tasks` | `POST /tasks` |
//! | `orchestrator.ingest.events` | `POST /events/publish` |
//!
//! The body is the same JSON; the headers `Authorization`, `X-API-Key`, `Idempotency-Key`, `traceparent` and
//! `X-Request-Id` mean the same. An answer has the header `Status` with HTTP's status, and a refusal the headers of the
//! NATS service protocol besides. Several processes share the work as one queue group.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::{self, Request, ServiceExt};
use async_nats::{Client, HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream::SelectAll};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, ROOT};

/// How many requests of one lane are answered at once; more wait in NATS's own buffers.
const AT_ONCE: usize = 1_000;

/// How long requests that came before a stop may take to be read. They end at once unless NATS is away just then.
const DRAIN: Duration = Duration::from_secs(1);

/// The headers that mean the same over NATS as over HTTP.
const HEADERS: [&str; 5] =
    ["Authorization", "X-API-Key", "Idempotency-Key", "traceparent", "X-Request-Id"];

/// The verbs of `orchestrator.tasks.<verb>`.
const VERBS: [&str; 7] = ["get", "heartbeat", "complete", "fail", "release", "cancel", "retry"];

/// A request, in the words of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path, percent-encoded where needed.
    pub path: String,
    /// Those of the five headers that were sent.
    pub headers: Vec<(&'static str, String)>,
    /// The body as it came.
    pub body: Bytes,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, as HTTP counts.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
}

/// Whoever answers.
pub type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// Answers requests until it is stopped.
pub struct Service {
    service: service::Service,
    /// Claims, results, which may claim too, and the rest: many claims that wait must not hold up a heartbeat.
    lanes: [SelectAll<service::endpoint::Endpoint>; 3],
}

impl Service {
    /// Subscribes; discovery, ping and statistics (`$SRV.*`) come with it.
    ///
    /// # Errors
    ///
    /// [`Error::Service`] if NATS refuses.
    pub async fn start(client: &Client) -> Result<Self, Error> {
        let started = client
            .service_builder()
            .description("MorningAI Orchestrator")
            .start(ROOT, env!("CARGO_PKG_VERSION"));
        let service = started.await.map_err(Error::Service)?;
        let mut subjects = vec![
            (0, "claim".to_owned(), format!("{ROOT}.agents.*.claim")),
            (1, "results".to_owned(), format!("{ROOT}.agents.*.results")),
            (2, "ingest-tasks".to_owned(), format!("{ROOT}.ingest.tasks")),
            (2, "ingest-events".to_owned(), format!("{ROOT}.ingest.events")),
        ];
        subjects.extend(VERBS.map(|verb| (2, verb.to_owned(), format!("{ROOT}.tasks.{verb}"))));
        let mut lanes: [SelectAll<_>; 3] = Default::default();
        for (lane, name, subject) in subjects {
            lanes[lane].push(
                service.endpoint_builder().name(name).add(subject).await.map_err(Error::Service)?,
            );
        }
        Ok(Self { service, lanes })
    }

    /// Answers until `stop`, then takes no more and finishes what has come.
    pub async fn run(self, handler: Handler, stop: CancellationToken) {
        let answers = TaskTracker::new();
        let lanes = join_all(self.lanes.map(|lane| serve(lane, &handler, &answers)));
        tokio::pin!(lanes);
        if stop.run_until_cancelled(&mut lanes).await.is_none() {
            if let Err(error) = self.service.stop().await {
                tracing::debug!(%error, "the NATS service stopped with a fault");
            }
            if timeout(DRAIN, lanes).await.is_err() {
                tracing::debug!("what NATS had for us did not all come in time");
            }
        }
        answers.close();
        answers.wait().await;
    }
}

/// Answers the requests of one lane until there are no more.
async fn serve(
    mut lane: SelectAll<service::endpoint::Endpoint>,
    handler: &Handler,
    answers: &TaskTracker,
) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let (Ok(place), Some(request)) =
        (Arc::clone(&at_once).acquire_owned().await, lane.next().await)
    {
        let handler = Arc::clone(handler);
        answers.spawn(async move {
            answer(&request, &handler).await;
            drop(place);
        });
    }
}

async fn answer(request: &Request, handler: &Handler) {
    let message = &request.message;
    let answer = match read(&message.subject, message.headers.as_ref(), message.payload.clone()) {
        Ok(call) => handler(call).await,
        Err(answer) => answer,
    };
    let mut headers = HeaderMap::new();
    headers.insert("Status", answer.status.to_string());
    headers.insert("content-type", "application/json");
    if answer.status >= 400 {
        headers.insert("Nats-Service-Error-Code", answer.status.to_string());
        headers.insert("Nats-Service-Error", title(&answer.body));
    }
    // A caller that gave no reply subject, or is gone, wants no answer.
    if let Err(error) = request.respond_with_headers(Ok(answer.body), headers).await {
        tracing::debug!(%error, "an answer over NATS could not be sent");
    }
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

/// The request in the words of HTTP, or the refusal of one that has none.
fn read(subject: &str, headers: Option<&HeaderMap>, body: Bytes) -> Result<Call, Answer> {
    let header = |name: &'static str| {
        let is_it = |sent: &str| sent.eq_ignore_ascii_case(name);
        headers?.iter().find(|(sent, _)| is_it(sent.as_ref())).map(|(_, values)| (name, values))
    };
    let text = |(name, values): (_, &Vec<HeaderValue>)| Some((name, values.first()?.to_string()));
    let headers = HEADERS.into_iter().filter_map(header).filter_map(text).collect();
    let post = |path: String| Call { method: "POST", path, headers, body: body.clone() };
    match subject.split('.').collect::<Vec<_>>().as_slice() {
        // An agent's name may hold no dot here: a token of the subject is one word.
        [_, "agents", agent, verb @ ("claim" | "results")] => {
            Ok(post(format!("/agents/{}/{verb}", encoded(agent))))
        }
        [_, "ingest", "tasks"] => Ok(post("/tasks".to_owned())),
        [_, "ingest", "events"] => Ok(post("/events/publish".to_owned())),
        [_, "tasks", verb] => {
            let id = task_id(&body)?;
            Ok(match *verb {
                "get" => Call { method: "GET", body: Bytes::new(), ..post(format!("/tasks/{id}")) },
                verb => post(format!("/tasks/{id}/{verb}")),
            })
        }
        _ => Err(refusal(404, "not-found", "There is nothing here", "No call has this subject.")),
    }
}

/// The `task_id` of the body.
fn task_id(body: &Bytes) -> Result<uuid::Uuid, Answer> {
    #[derive(Deserialize)]
    struct Body {
        task_id: uuid::Uuid,
    }
    let detail = "The body must be a JSON object whose `task_id` is the task's UUID.";
    let read = serde_json::from_slice::<Body>(body);
    read.map(|body| body.task_id)
        .map_err(|_| refusal(400, "unreadable", "The request cannot be read", detail))
}

fn refusal(status: u16, word: &str, title: &str, detail: &str) -> Answer {
    let kind = format!("urn:orchestrator:problem:{word}");
    let problem =
        serde_json::json!({ "type": kind, "title": title, "status": status, "detail": detail });
    Answer { status, body: problem.to_string().into() }
}

/// A token of a subject as a segment of a path.
fn encoded(token: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    token
        .bytes()
        .map(
            |byte| {
                if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_path_and_hostile_tokens_stay_in_their_segment() {
        let path = |subject: &str, body: &'static str| {
            read(subject, None, Bytes::from(body)).map(|call| call.path)
        };
        let id = "01a20558-059e-77b3-a1d4-242afd96db00";

        assert_eq!(
            path("orchestrator.agents.dev_agent.claim", "{}").unwrap(),
            "/agents/dev_agent/claim"
        );
        assert_eq!(
            path("orchestrator.agents.a/b?c.claim", "{}").unwrap(),
            "/agents/a%2Fb%3Fc/claim"
        );
        let body = r#"{"task_id": "01a20558-059e-77b3-a1d4-242afd96db00", "attempt": 1}"#;
        assert_eq!(
            path("orchestrator.tasks.complete", body).unwrap(),
            format!("/tasks/{id}/complete")
        );
        assert_eq!(path("orchestrator.tasks.complete", "{}").unwrap_err().status, 400);
        assert_eq!(path("orchestrator.else", "{}").unwrap_err().status, 404);
    }

    #[test]
    fn the_name_of_a_header_is_read_without_regard_to_case() {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "secret");
        headers.insert("X-Other", "1");

        let call = read("orchestrator.ingest.tasks", Some(&headers), Bytes::new()).unwrap();

        assert_eq!(call.headers, [("X-API-Key", "secret".to_owned())]);
    }
}
