//! The HTTP gateway: translation only. A handler decodes a request, makes one call to the engine
//! and encodes the result; it decides nothing.
//!
//! A request passes, from the outside in: [`sockets`] (its connection), [`front`] (its id, the form
//! of refusals), CORS if configured, [`auth`] (the caller and the scope), [`json`] and [`request`]
//! (the body, with every fault at once), the handler, and on the way out [`view`]. Only [`error`]
//! knows which status a refusal has. [`ui`] serves the page for people, which calls this API;
//! [`sign_in`] has an identity provider sign them in.

mod accept;
mod agents;
mod answer;
mod approvals;
mod auth;
mod body;
mod bounds;
mod bulks;
mod certificates;
mod described;
mod end;
mod entrance;
mod error;
mod event_page;
mod events;
mod failures;
mod field;
mod framework;
mod front;
pub mod fuzz;
mod health;
mod inside;
mod json;
mod json_body;
mod keys;
mod metrics;
pub mod openapi;
mod origin;
mod origins;
mod oversight;
mod part;
mod peer;
mod protection;
mod rates;
mod readable;
mod request;
mod server;
mod session;
mod settings;
mod shares;
mod sign_in;
mod sockets;
mod stream;
mod tasks;
mod text;
mod traces;
mod traffic;
mod ui;
mod understood;
mod unknown;
mod view;

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, IntoEndpoint};
use tokio_util::sync::CancellationToken;

use crate::engine::{self, Engine, KeyRing};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;

use auth::{EndLayer, Guard};
use body::MaxBody;
use entrance::EntranceLayer;
use front::{RefusalLayer, RequestIdLayer};
use origins::{OriginLayer, Origins};
use rates::RatesLayer;
use request::Limits;
use sign_in::SignInLayer;
use ui::{PageLayer, PolicyLayer};
use understood::RequestCheck;

pub use auth::fault_of_certificates;
pub use inside::Inside;
pub use server::Gateway;
pub use settings::{
    Auth, CertificateSetting, Error, ForwardedHeader, Http, Settings, UnknownMembers,
};

/// Every group of handlers; the API document is generated from these types.
type Apis = (
    health::Health,
    metrics::Metrics,
    tasks::Tasks,
    bulks::Bulks,
    agents::Agents,
    approvals::Approvals,
    oversight::Oversight,
    events::Events,
    keys::Keys,
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
/// * `metrics`: what `/metrics` shows; `None` if it is not served.
///
/// # Errors
///
/// A credential is missing, weak or malformed, or a CORS origin is malformed.
async fn endpoint(
    engine: Engine,
    settings: &Settings,
    stop: CancellationToken,
    metrics: Option<Arc<metrics::Source>>,
) -> Result<BoxEndpoint<'static>, Error> {
    let managed = key_ring(&engine, &stop).await?;
    let shared = Shared { limits: Limits::from(engine.settings()), engine };
    let engine = &shared.engine;
    let apis: Apis = (
        health::Health { engine: engine.clone(), stop, counted: Default::default() },
        metrics::Metrics(metrics),
        tasks::Tasks(shared.clone()),
        bulks::Bulks(shared.clone()),
        agents::Agents(shared.clone()),
        approvals::Approvals(shared.clone()),
        oversight::Oversight(shared.clone()),
        events::Events {
            shared: shared.clone(),
            heartbeat: Duration::from_millis(settings.http.heartbeat_ms),
        },
        keys::Keys::new(shared.clone(), &settings.auth),
        session::Session(shared.clone()),
    );
    let rates = engine.rates().clone();
    let engine = Some(engine.clone());
    let apis = openapi::service(apis).into_endpoint().data(rates);
    shield(apis, settings, engine, Some(managed))
}

/// Reads the managed keys. Waits for an unavailable store until `stop` is cancelled.
async fn key_ring(engine: &Engine, stop: &CancellationToken) -> Result<KeyRing, Error> {
    until_available(stop, "managed keys not read yet", async || engine.key_ring().await).await
}

/// Records in the audit log which credentials changed since the last start of a gateway. Waits for
/// an unavailable store until `stop` is cancelled.
async fn note_credentials(
    engine: &Engine,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let credentials = auth::credentials(&settings.auth)?;
    let note = async || engine.note_credentials(&credentials).await;
    match until_available(stop, "credentials not noted yet", note).await {
        Err(Error::Store(engine::Error::Unavailable(_))) if stop.is_cancelled() => Ok(()),
        done => done,
    }
}

/// Makes a call again until the store answers or `stop` is cancelled. Logs once what waits.
async fn until_available<T>(
    stop: &CancellationToken,
    waiting: &str,
    call: impl AsyncFn() -> Result<T, engine::Error>,
) -> Result<T, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        let error = match call().await {
            Err(error @ engine::Error::Unavailable(_)) => error,
            done => return done.map_err(Error::Store),
        };
        if backoff.failures() == 0 {
            tracing::warn!(error = %Chain(&error), "store unavailable, {waiting}");
        }
        tokio::select! {
            () = stop.cancelled() => return Err(Error::Store(error)),
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

/// Wraps `api` in the layers that every call passes: authentication, refusals, CORS.
///
/// * `engine`: records refused calls of operators. `None` if nothing is recorded.
fn shield(
    api: impl Endpoint + 'static,
    settings: &Settings,
    engine: Option<Engine>,
    managed: Option<KeyRing>,
) -> Result<BoxEndpoint<'static>, Error> {
    let guard = Arc::new(Guard::new(&settings.auth, managed)?);
    let policy = settings.http.unknown_members;
    let guarded =
        api.data(Arc::clone(&guard)).data(MaxBody(settings.http.max_body_bytes)).data(policy);
    let ending = EndLayer(guarded.map_to_response());
    let checked = RequestCheck { inner: ending, policy };
    let is_on = settings.http.ui;
    let page = SignInLayer { inner: PageLayer { inner: checked, is_on }, guard, is_on };
    let refusing = RefusalLayer(page);
    let refusing = EntranceLayer::new(PolicyLayer(refusing), &settings.http, engine);
    let refusing = RatesLayer(refusing);
    Ok(match Origins::of(&settings.http.cors_origins)? {
        // Outside of refusals, so that a script can read the problem.
        Some(origins) => RequestIdLayer(OriginLayer { inner: refusing, origins }).boxed(),
        None => RequestIdLayer(refusing).boxed(),
    })
}

#[cfg(test)]
mod tests;
