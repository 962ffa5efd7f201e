//! The same API for callers that do not come over HTTP: their requests pass the same layers.

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
use super::peer::Peer;
use super::traffic::Traffic;
use super::{Error, Settings};

/// The whole API, to be called from inside the process. Cheap to clone.
#[derive(Clone)]
pub struct Inside {
    api: Arc<BoxEndpoint<'static>>,
    origin: Origin,
    traffic: Arc<Traffic>,
}

impl Inside {
    /// The API over `engine`; notes in the audit log what has changed about the credentials.
    ///
    /// * `origin`: where its callers are, for that log.
    ///
    /// # Errors
    ///
    /// A credential is missing or weak, a setting is refused, or the store refuses.
    pub async fn new(
        engine: Engine,
        settings: &Settings,
        stop: CancellationToken,
        origin: Origin,
    ) -> Result<Self, Error> {
        let traffic = Traffic::new(&settings.http);
        let shared = Arc::clone(&traffic);
        let endpoint = super::endpoint(engine.clone(), settings, stop.clone(), shared)?;
        super::note_credentials(&engine, settings, &stop).await?;
        Ok(Self { api: Arc::new(endpoint), origin, traffic })
    }

    /// Answers one request: status, body, and the receipt of what it hands over, if it does.
    ///
    /// * `path`: with its query, percent-encoded where needed.
    /// * `body`: JSON, or empty.
    /// * `room`: how many bytes the body of the answer may have. One that has more becomes a refusal, or is answered
    ///   without its large members where the call has changed something.
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
            return self.refuse("No call has this path.").await;
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

    /// Refuses what is no request: as [`Self::answer`] does.
    pub async fn refuse(&self, why: impl Into<String>) -> (u16, Bytes, Option<Receipt>) {
        let id = Uuid::now_v7().to_string();
        read(Refusal::unreadable(why).into_response_for(&id)).await
    }
}

/// The members of answers that may be large: what was submitted, and what belongs to it.
const LARGE: [&str; 7] = ["payload", "metadata", "result", "approval", "action", "edit", "task"];

/// The answer without its large members; `None`: it is no object.
fn shortened(body: &[u8]) -> Option<Bytes> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    members.retain(|name, _| !LARGE.contains(&name.as_str()));
    serde_json::to_vec(&members).ok().map(Bytes::from)
}

/// Status, body and receipt of an answer. What we wrote ourselves can be read.
async fn read(mut response: Response) -> (u16, Bytes, Option<Receipt>) {
    let status = response.status().as_u16();
    let receipt = response.extensions_mut().remove::<Receipt>();
    (status, response.into_body().into_bytes().await.unwrap_or_default(), receipt)
}
