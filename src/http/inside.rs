//! The API for callers inside the process: their requests pass the same layers as over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderName, HeaderValue, Method, Uri};
use poem::{Endpoint, Request, Response};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::principal::Origin;
use crate::engine::Engine;
use crate::runtime::receipt::Receipt;

use super::error::Refusal;
use super::metrics::Source;
use super::peer::Peer;
use super::traffic::Traffic;
use super::{Error, Settings};

/// The whole API, for calls from inside the process. It is cheap to clone.
#[derive(Clone)]
pub struct Inside {
    api: Arc<BoxEndpoint<'static>>,
    origin: Origin,
    traffic: Arc<Traffic>,
}

impl Inside {
    /// Builds the API over `engine`, and notes in the audit log which credentials changed.
    ///
    /// * `origin`: where the calls come from, for the audit log.
    ///
    /// # Errors
    ///
    /// A credential is missing, weak or malformed, a setting is refused, or the store refuses.
    pub async fn new(
        engine: Engine,
        settings: &Settings,
        stop: CancellationToken,
        origin: Origin,
    ) -> Result<Self, Error> {
        let traffic = Traffic::new(&settings.http);
        let source = Source::new(engine.clone(), Arc::clone(&traffic));
        let metrics = Source::on_api(&source, &settings.http);
        let endpoint = super::endpoint(engine.clone(), settings, stop.clone(), metrics).await?;
        super::note_credentials(&engine, settings, &stop).await?;
        Ok(Self { api: Arc::new(endpoint), origin, traffic })
    }

    /// Answers one request: returns status, body, and the receipt of what the answer hands over, if
    /// it does.
    ///
    /// * `path`: with its query, percent-encoded where needed.
    /// * `body`: JSON, or empty.
    /// * `room`: how many bytes the body of the answer may have. A larger answer becomes a refusal;
    ///   if the call changed something, it is sent without its large members instead.
    pub async fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
        room: usize,
    ) -> (u16, Bytes, Option<Receipt>) {
        let is_read = method == "GET";
        let (Ok(method), Ok(uri)) = (method.parse::<Method>(), path.parse::<Uri>()) else {
            return self.refuse("The path is not valid.").await;
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .content_type("application/json")
            .extension(self.origin)
            .extension(Peer::over_nats(Arc::clone(&self.traffic), room))
            .body(body);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes());
            let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) else {
                let why = format!("The header `{name}` has a character that no header can carry.");
                return self.refuse(why).await;
            };
            request.headers_mut().append(name, value);
        }
        let (status, body, receipt) = read(self.api.get_response(request).await).await;
        if body.len() <= room {
            return (status, body, receipt);
        }
        let short = shortened(&body).filter(|short| !is_read && short.len() <= room);
        if let Some(short) = short {
            return (status, short, receipt);
        }
        tracing::warn!(bytes = body.len(), room, "answer too large for NATS");
        let id = Uuid::now_v7().to_string();
        read(Refusal::answer_too_large(body.len(), room, is_read).into_response_for(&id)).await
    }

    /// Refuses what is not a valid request; the result is as of [`Self::answer`].
    pub async fn refuse(&self, why: impl Into<String>) -> (u16, Bytes, Option<Receipt>) {
        let id = Uuid::now_v7().to_string();
        read(Refusal::unreadable(why).into_response_for(&id)).await
    }
}

/// The members of answers that may be large: what was submitted, and what belongs to it.
const LARGE: [&str; 7] = ["payload", "metadata", "result", "approval", "action", "edit", "task"];

/// The answer without its large members; `None` if it is not an object.
fn shortened(body: &[u8]) -> Option<Bytes> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    members.retain(|name, _| !LARGE.contains(&name.as_str()));
    serde_json::to_vec(&members).ok().map(Bytes::from)
}

/// Reads status, body and receipt of an answer; a body made in this process can always be read.
async fn read(mut response: Response) -> (u16, Bytes, Option<Receipt>) {
    let status = response.status().as_u16();
    let receipt = response.extensions_mut().remove::<Receipt>();
    (status, response.into_body().into_bytes().await.unwrap_or_default(), receipt)
}
