//! The HTTP gateway: translation only. A handler decodes a request, makes one call to the engine
//! and encodes the result; it decides nothing.
//!
//! A request passes, from the outside in: [`sockets`] (its connection), [`front`] (its id, the form
//! of refusals), CORS if configured, [`auth`] (the caller and the scope), [`json`] and [`request`]
//! (the body, with every fault at once), the handler, and on the way out [`view`]. Only [`error`]
//! knows which status a refusal has. [`ui`] serves the page for people, which calls this API.

mod accept;
mod agents;
mod answer;
mod approvals;
mod auth;
mod body;
mod bounds;
mod described;
mod error;
mod event_page;
mod events;
mod field;
mod framework;
mod front;
mod health;
mod inside;
mod json;
mod json_body;
mod metrics;
pub mod openapi;
mod oversight;
mod part;
mod peer;
mod readable;
mod request;
mod server;
mod session;
mod settings;
mod shares;
mod sockets;
mod stream;
mod tasks;
mod text;
mod traffic;
mod ui;
mod understood;
mod unknown;
mod view;

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::HeaderName;
use poem::middleware::Cors;
use poem::{Endpoint, EndpointExt, IntoEndpoint};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::{self, Engine};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;

use auth::Guard;
use body::MaxBody;
use front::{RefusalLayer, RequestIdLayer};
use request::Limits;
use traffic::Traffic;
use ui::{HeadersLayer, PageLayer};
use understood::RequestCheck;

pub use inside::Inside;
pub use server::Gateway;
pub use settings::{Auth, Error, Http, Settings, UnknownMembers};

/// Every group of handlers; the API document is generated from these types.
type Apis = (
    health::Health,
    metrics::Metrics,
    tasks::Tasks,
    agents::Agents,
    approvals::Approvals,
    oversight::Oversight,
    events::Events,
    session::Session,
);

/// What the handlers of most calls share.
#[derive(Clone)]
struct Shared {
    /// The engine, which does the work.
    engine: Engine,
    /// The limits that request bodies are checked against.
    limits: Limits,
}

/// Builds the whole API over `engine`. `/health/ready` returns 503 once `stop` is cancelled.
///
/// # Errors
///
/// A credential is missing, weak or malformed, or a CORS origin is malformed.
fn endpoint(
    engine: Engine,
    settings: &Settings,
    stop: CancellationToken,
    traffic: Arc<Traffic>,
) -> Result<BoxEndpoint<'static>, Error> {
    let shared = Shared { limits: Limits::from(engine.settings()), engine };
    let engine = &shared.engine;
    let apis: Apis = (
        health::Health { engine: engine.clone(), stop, counted: Default::default() },
        metrics::Metrics {
            engine: engine.clone(),
            is_on: settings.http.metrics,
            last: Mutex::default(),
            traffic,
        },
        tasks::Tasks(shared.clone()),
        agents::Agents(shared.clone()),
        approvals::Approvals(shared.clone()),
        oversight::Oversight(shared.clone()),
        events::Events {
            shared: shared.clone(),
            heartbeat: Duration::from_millis(settings.http.heartbeat_ms),
        },
        session::Session,
    );
    shield(openapi::service(apis).into_endpoint(), settings)
}

/// Records in the audit log which credentials changed since the last start of a gateway. Waits for
/// an unavailable store until `stop` is cancelled.
async fn note_credentials(
    engine: &Engine,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let credentials = auth::credentials(&settings.auth)?;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match engine.note_credentials(&credentials).await {
            Err(error @ engine::Error::Unavailable(_)) if backoff.failures() == 0 => {
                tracing::warn!(
                    error = %Chain(&error),
                    "store unavailable, credentials not noted yet"
                );
            }
            Err(engine::Error::Unavailable(_)) => {}
            done => return done.map_err(Error::Store),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

/// Wraps `api` in the layers that every call passes: authentication, refusals, CORS.
fn shield(
    api: impl Endpoint + 'static,
    settings: &Settings,
) -> Result<BoxEndpoint<'static>, Error> {
    let guard = Arc::new(Guard::new(&settings.auth)?);
    let policy = settings.http.unknown_members;
    let guarded = api.data(guard).data(MaxBody(settings.http.max_body_bytes)).data(policy);
    let checked = RequestCheck { inner: guarded.map_to_response(), policy };
    let refusing = RefusalLayer(PageLayer { inner: checked, is_on: settings.http.ui });
    let refusing = HeadersLayer(refusing);
    Ok(match cors(&settings.http.cors_origins)? {
        // The outer layer is for what CORS itself refuses; with the inner one a script can read
        // the problem.
        Some(cors) => RequestIdLayer(RefusalLayer(refusing.with(cors))).boxed(),
        None => RequestIdLayer(refusing).boxed(),
    })
}

const SENT_HEADERS: [&str; 8] = [
    "authorization",
    auth::API_KEY_HEADER,
    "content-type",
    "idempotency-key",
    "traceparent",
    front::REQUEST_ID,
    "accept",
    events::LAST_EVENT_ID,
];

const READ_HEADERS: [&str; 8] = [
    front::REQUEST_ID,
    "location",
    "idempotency-replayed",
    "retry-after",
    "www-authenticate",
    "link",
    event_page::HAS_MORE,
    event_page::HAS_GAP,
];

/// The CORS layer for these origins; `None` if there are none. Other origins call without cookies,
/// so credentials are not allowed and `*` is harmless.
fn cors(origins: &[String]) -> Result<Option<Cors>, Error> {
    if origins.is_empty() {
        return Ok(None);
    }
    if let Some(bad) = origins.iter().find(|origin| !is_origin(origin)) {
        let why =
            format!("holds `{bad}`; an origin is `https://host[:port]` without a path, or `*`");
        return Err(Error::refused("http.cors_origins", why));
    }
    let cors = Cors::new().allow_credentials(false).max_age(3_600);
    let cors = ["GET", "POST", "PATCH", "DELETE"].into_iter().fold(cors, Cors::allow_method);
    let cors = SENT_HEADERS.map(HeaderName::from_static).into_iter().fold(cors, Cors::allow_header);
    let cors =
        READ_HEADERS.map(HeaderName::from_static).into_iter().fold(cors, Cors::expose_header);
    let is_any = origins.iter().any(|origin| origin == "*");
    Ok(Some(if is_any { cors.allow_origins_fn(|_| true) } else { cors.allow_origins(origins) }))
}

/// Whether `text` is `*` or a scheme and a host without a path.
fn is_origin(text: &str) -> bool {
    let Some((_, host)) = text.split_once("://") else { return text == "*" };
    !host.is_empty() && !host.contains('/')
}

#[cfg(test)]
mod tests;
