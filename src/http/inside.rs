//! The same API for callers that do not come over HTTP: their requests pass the same layers.

use std::sync::Arc;

use bytes::Bytes;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderName, HeaderValue, Method, Uri};
use poem::{Endpoint, Request, Response};
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
    pub async fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> (u16, Bytes, Option<Receipt>) {
        let (Ok(method), Ok(uri)) = (method.parse::<Method>(), path.parse::<Uri>()) else {
            return self.refuse("No call has this path.").await;
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .content_type("application/json")
            .extension(self.origin)
            .extension(Peer::new(Arc::clone(&self.traffic), None))
            .body(body);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes());
            let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) else {
                let why = format!("The header `{name}` has a character that no header can carry.");
                return self.refuse(why).await;
            };
            request.headers_mut().append(name, value);
        }
        read(self.api.get_response(request).await).await
    }

    /// Refuses what is no request: as [`Self::answer`] does.
    pub async fn refuse(&self, why: impl Into<String>) -> (u16, Bytes, Option<Receipt>) {
        let id = Uuid::now_v7().to_string();
        read(Refusal::unreadable(why).into_response_for(&id)).await
    }
}

/// Status, body and receipt of an answer. What we wrote ourselves can be read.
async fn read(mut response: Response) -> (u16, Bytes, Option<Receipt>) {
    let status = response.status().as_u16();
    let receipt = response.extensions_mut().remove::<Receipt>();
    (status, response.into_body().into_bytes().await.unwrap_or_default(), receipt)
}
