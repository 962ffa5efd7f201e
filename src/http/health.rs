//! Whether the service lives and whether it can be sent requests; what it is and how it is used.

use bytes::Bytes;
use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

use super::json::Json;
use super::openapi::{self, Tag};

/// The calls that need no credential.
pub struct Health {
    /// Asked for the store.
    pub engine: Engine,
    /// Whether the process is about to end.
    pub stop: CancellationToken,
}

/// What this is.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Service {
    /// Always `MorningAI Orchestrator`.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Always `running`.
    pub status: String,
}

/// How the service is.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Health")]
pub struct HealthView {
    /// healthy or unhealthy.
    pub status: String,
    /// connected or disconnected.
    pub redis: String,
    /// Its version.
    pub version: String,
    /// How far the bridge to NATS is behind the event log, in milliseconds of the log's time; null: no bridge ever
    /// ran, or it was not asked.
    pub bridge_lag_ms: Option<u64>,
}

/// How the service is.
#[derive(ApiResponse)]
pub enum HealthResponse {
    /// It is well.
    #[oai(status = 200)]
    Healthy(Json<HealthView>),
    /// It is not.
    #[oai(status = 503)]
    Unhealthy(Json<HealthView>),
}

impl HealthResponse {
    fn new(is_healthy: bool, is_connected: bool, bridge_lag_ms: Option<u64>) -> Self {
        let view = HealthView {
            status: if is_healthy { "healthy" } else { "unhealthy" }.to_owned(),
            redis: if is_connected { "connected" } else { "disconnected" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bridge_lag_ms,
        };
        if is_healthy { Self::Healthy(Json(view)) } else { Self::Unhealthy(Json(view)) }
    }
}

/// This document as a page.
#[derive(ApiResponse)]
pub enum Page {
    /// A page that needs no other.
    #[oai(status = 200, content_type = "text/html; charset=utf-8")]
    Html(Binary<Bytes>),
}

/// This document as JSON.
#[derive(ApiResponse)]
pub enum DocumentJson {
    /// OpenAPI 3.0.
    #[oai(status = 200, content_type = "application/json")]
    Json(Binary<Bytes>),
}

/// This document as YAML.
#[derive(ApiResponse)]
pub enum DocumentYaml {
    /// OpenAPI 3.0.
    #[oai(status = 200, content_type = "application/yaml")]
    Yaml(Binary<Bytes>),
}

#[OpenApi(tag = "Tag::Service")]
impl Health {
    /// See what this is
    #[oai(path = "/", method = "get", operation_id = "get_service")]
    async fn service(&self) -> Json<Service> {
        Json(Service {
            service: "MorningAI Orchestrator".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: "running".to_owned(),
        })
    }

    /// See how the service is
    ///
    /// Healthy means that the store takes writes.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self) -> HealthResponse {
        let is_connected = self.engine.is_ready().await;
        HealthResponse::new(is_connected, is_connected, None)
    }

    /// See whether the process lives
    ///
    /// Asks nobody: restart the process when this does not answer, and only then.
    #[oai(path = "/health/live", method = "get", operation_id = "get_liveness")]
    async fn live(&self) -> HealthResponse {
        HealthResponse::new(true, self.engine.has_answered_lately(), None)
    }

    /// See whether requests may be sent here
    ///
    /// 503 while the store takes no writes, and from the moment that the process is asked to stop.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn ready(&self) -> HealthResponse {
        let is_connected = self.engine.is_ready().await;
        // A bridge that is behind makes this process no less able to answer.
        let lag =
            if is_connected { self.engine.bridge_lag_ms().await.ok().flatten() } else { None };
        HealthResponse::new(is_connected && !self.stop.is_cancelled(), is_connected, lag)
    }

    /// Read and try the API
    #[oai(path = "/docs", method = "get", operation_id = "get_docs")]
    async fn docs(&self) -> Page {
        Page::Html(Binary(openapi::page()))
    }

    /// Get this document as JSON
    #[oai(path = "/openapi.json", method = "get", operation_id = "get_openapi_json")]
    async fn document_json(&self) -> DocumentJson {
        DocumentJson::Json(Binary(openapi::json()))
    }

    /// Get this document as YAML
    #[oai(path = "/openapi.yaml", method = "get", operation_id = "get_openapi_yaml")]
    async fn document_yaml(&self) -> DocumentYaml {
        DocumentYaml::Yaml(Binary(openapi::yaml_bytes()))
    }
}
