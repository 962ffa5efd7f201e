//! The calls without a credential: liveness, readiness, the version and the API document.

use std::time::{Duration, Instant};

use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

use super::answer::Json;
use super::openapi::{self, Tag};
use super::view::QueueView;

/// How long `/health` shows the same numbers of tasks: any client may call it, and counting costs
/// more than the rest of it.
const COUNT_LASTS: Duration = Duration::from_secs(1);

/// The calls that need no credential.
pub struct Health {
    /// The engine, which knows whether the store takes writes.
    pub engine: Engine,
    /// Cancelled once the process is asked to stop.
    pub stop: CancellationToken,
    /// The numbers of tasks that were counted last, and when.
    pub counted: Mutex<Option<(Instant, QueueView)>>,
}

/// The name and version of this service.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ServiceInfo")]
pub struct Service {
    /// The name of the service, always `MorningAI Orchestrator`.
    pub service: String,
    /// The version of the service.
    pub version: String,
    /// The status of the service, always `running`.
    pub status: String,
}

/// The health of the service.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Health")]
pub struct HealthView {
    /// Either healthy or unhealthy.
    pub status: String,
    /// Either connected or disconnected.
    pub redis: String,
    /// The version of the service.
    pub version: String,
    /// How many tasks there are, counted within the last second; null if the store did not answer,
    /// or if this call does not count them.
    pub queue_stats: Option<QueueView>,
    /// How far the bridge to NATS is behind the event log, in milliseconds of the log's time; null
    /// if no bridge ever ran, or if this call does not check it.
    pub bridge_lag_ms: Option<u64>,
}

/// The health of the service.
#[derive(ApiResponse)]
pub enum HealthResponse {
    /// The service is healthy.
    #[oai(status = 200)]
    Healthy(Json<HealthView>),
    /// The service is unhealthy, or is stopping.
    #[oai(status = 503)]
    Unhealthy(Json<HealthView>),
}

impl HealthResponse {
    fn new(is_healthy: bool, is_connected: bool, bridge_lag_ms: Option<u64>) -> Self {
        let view = HealthView {
            status: if is_healthy { "healthy" } else { "unhealthy" }.to_owned(),
            redis: if is_connected { "connected" } else { "disconnected" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queue_stats: None,
            bridge_lag_ms,
        };
        if is_healthy { Self::Healthy(Json(view)) } else { Self::Unhealthy(Json(view)) }
    }

    fn with(mut self, queue: Option<QueueView>) -> Self {
        let (Self::Healthy(Json(view)) | Self::Unhealthy(Json(view))) = &mut self;
        view.queue_stats = queue;
        self
    }
}

/// The API document as a page.
#[derive(ApiResponse)]
pub enum Page {
    /// A page that loads nothing from other sites.
    #[oai(status = 200, content_type = "text/html; charset=utf-8")]
    Html(Binary<&'static str>),
}

/// The API document as JSON.
#[derive(ApiResponse)]
pub enum DocumentJson {
    /// The document in OpenAPI 3.0.
    #[oai(status = 200, content_type = "application/json")]
    Json(Binary<&'static str>),
}

/// The API document as YAML.
#[derive(ApiResponse)]
pub enum DocumentYaml {
    /// The document in OpenAPI 3.0.
    #[oai(status = 200, content_type = "application/yaml")]
    Yaml(Binary<&'static str>),
}

#[OpenApi(tag = "Tag::Service")]
impl Health {
    /// Get the name and version
    ///
    /// Needs no credential.
    #[oai(path = "/", method = "get", operation_id = "get_service")]
    async fn service(&self) -> Json<Service> {
        Json(Service {
            service: "MorningAI Orchestrator".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: "running".to_owned(),
        })
    }

    /// Check the health
    ///
    /// Healthy means that the store accepts writes. The answer also has the numbers of tasks.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self) -> HealthResponse {
        let is_connected = self.engine.is_ready().await;
        let queue = if is_connected { self.queue().await } else { None };
        HealthResponse::new(is_connected, is_connected, None).with(queue)
    }

    /// Check that the process is alive
    ///
    /// Depends on no other system: restart the process if this call gets no answer, and only then.
    #[oai(path = "/health/live", method = "get", operation_id = "get_liveness")]
    async fn live(&self) -> HealthResponse {
        HealthResponse::new(true, self.engine.has_answered_lately(), None)
    }

    /// Check that the process is ready for requests
    ///
    /// 503 while the store accepts no writes, and from the moment that the process is asked to
    /// stop.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn ready(&self) -> HealthResponse {
        let is_connected = self.engine.is_ready().await;
        // A bridge that is behind does not affect how this process answers.
        let lag =
            if is_connected { self.engine.bridge_lag_ms().await.ok().flatten() } else { None };
        HealthResponse::new(is_connected && !self.stop.is_cancelled(), is_connected, lag)
    }

    /// Read and try the API
    #[oai(path = "/docs", method = "get", operation_id = "get_docs")]
    async fn docs(&self) -> Page {
        Page::Html(Binary(&openapi::PAGE))
    }

    /// Get this document as JSON
    #[oai(path = "/openapi.json", method = "get", operation_id = "get_openapi_json")]
    async fn document_json(&self) -> DocumentJson {
        DocumentJson::Json(Binary(&openapi::JSON))
    }

    /// Get this document as YAML
    #[oai(path = "/openapi.yaml", method = "get", operation_id = "get_openapi_yaml")]
    async fn document_yaml(&self) -> DocumentYaml {
        DocumentYaml::Yaml(Binary(&openapi::YAML))
    }
}

impl Health {
    /// Returns how many tasks there are. Callers that come together share one count.
    async fn queue(&self) -> Option<QueueView> {
        let mut counted = self.counted.lock().await;
        if let Some((at, queue)) = &*counted
            && at.elapsed() < COUNT_LASTS
        {
            return Some(queue.clone());
        }
        let queue = QueueView::from(&self.engine.stats().await.ok()?);
        *counted = Some((Instant::now(), queue.clone()));
        Some(queue)
    }
}
