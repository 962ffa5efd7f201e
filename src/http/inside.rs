//! The same API for callers that do not come over HTTP: their requests pass the same layers.

use std::sync::Arc;

use bytes::Bytes;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, Uri};
use poem::{Endpoint, Request};

use tokio_util::sync::CancellationToken;

use crate::domain::principal::Origin;
use crate::engine::Engine;

use super::{Error, Settings};

/// The whole API, to be called from inside the process. Cheap to clone.
#[derive(Clone)]
pub struct Inside {
    api: Arc<BoxEndpoint<'static>>,
    origin: Origin,
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
        let endpoint = super::endpoint(engine.clone(), settings, stop.clone())?;
        super::note_credentials(&engine, settings, &stop).await?;
        Ok(Self { api: Arc::new(endpoint), origin })
    }

    /// Answers one request: status and body. A path or header that HTTP could not carry is answered with 400.
    ///
    /// * `path`: percent-encoded where needed.
    /// * `body`: JSON, or empty.
    pub async fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> (u16, Bytes) {
        let (Ok(method), Ok(uri)) = (method.parse::<Method>(), path.parse::<Uri>()) else {
            return (400, Bytes::new());
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .content_type("application/json")
            .extension(self.origin);
        for (name, value) in headers
            .iter()
            .filter(|(_, value)| value.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
        {
            request = request.header(*name, value.as_str());
        }
        let response = self.api.get_response(request.body(body)).await;
        let status = response.status().as_u16();
        // What we wrote ourselves can be read.
        (status, response.into_body().into_bytes().await.unwrap_or_default())
    }
}
