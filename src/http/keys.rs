//! The calls on managed API keys.

use std::collections::BTreeSet;

use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, OpenApi};
use uuid::Uuid;

use crate::domain::folded::folded;

use super::Shared;
use super::answer::Json;
use super::auth::{Admin, Caller};
use super::error::Refusal;
use super::json_body::{Body, OptionalBody};
use super::openapi::Tag;
use super::request::{CreateKey, Empty, RotateKey};
use super::settings::Auth;
use super::tasks::DEFAULT_PAGE;
use super::text::PageLimit;
use super::view::{KeyPage, KeySecretView, KeyView};

/// The calls on managed API keys.
pub struct Keys {
    shared: Shared,
    /// The names of the keys and certificates in the settings, [`folded`].
    configured: BTreeSet<String>,
}

impl Keys {
    /// The calls of a gateway with these settings.
    pub(super) fn new(shared: Shared, settings: &Auth) -> Self {
        let certificates = settings.certificates.iter().map(|entry| &entry.name);
        let names = settings.api_keys.keys().chain(certificates);
        Self { shared, configured: names.map(|name| folded(name)).collect() }
    }
}

/// The answer to the creation of a key.
#[derive(ApiResponse)]
pub enum CreateKeyResponse {
    /// The key is valid on every gateway within a second.
    #[oai(status = 201)]
    Created(Json<KeySecretView>),
}

#[OpenApi(tag = "Tag::Keys")]
impl Keys {
    /// List managed keys
    ///
    /// The oldest first, with those that ended, until their audit entries are removed. Keys of the
    /// configuration are not managed.
    #[oai(path = "/admin/keys", method = "get", operation_id = "list_keys")]
    async fn list(
        &self,
        _caller: Caller<Admin>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<PageLimit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<Uuid>>,
    ) -> Result<Json<KeyPage>, Refusal> {
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        Ok(Json(self.shared.engine.managed_keys(limit, cursor.0).await?.into()))
    }

    /// Create a key
    ///
    /// The answer alone has the secret, of which only SHA-256 is stored. A key whose answer is lost
    /// can be rotated. A restricted key cannot create keys.
    #[oai(path = "/admin/keys", method = "post", operation_id = "create_key")]
    async fn create(
        &self,
        caller: Caller<Admin>,
        body: Body<CreateKey>,
    ) -> Result<CreateKeyResponse, Refusal> {
        let new = body.read(|key, faults| key.into_key(faults))?;
        let created = self.shared.engine.create_key(&caller, new, &self.configured).await?;
        Ok(CreateKeyResponse::Created(Json(created.into())))
    }

    /// Rotate a key
    ///
    /// Gives the key a new secret. The old one stays valid for `grace_seconds`, then its open calls
    /// and sessions end. A restricted key cannot rotate keys.
    #[oai(path = "/admin/keys/:id/rotate", method = "post", operation_id = "rotate_key")]
    async fn rotate(
        &self,
        caller: Caller<Admin>,
        /// The key.
        id: Path<Uuid>,
        body: OptionalBody<RotateKey>,
    ) -> Result<Json<KeySecretView>, Refusal> {
        let (grace_ms, expires_at) = body.read(RotateKey::into_parts)?;
        let rotated = self.shared.engine.rotate_key(&caller, id.0, grace_ms, expires_at).await?;
        Ok(Json(rotated.into()))
    }

    /// Revoke a key
    ///
    /// Within a second every gateway refuses the key, over HTTP and NATS, and ends its event
    /// streams, its waiting calls and its browser sessions. Revoking it again changes nothing.
    #[oai(path = "/admin/keys/:id", method = "delete", operation_id = "revoke_key")]
    async fn revoke(
        &self,
        caller: Caller<Admin>,
        /// The key.
        id: Path<Uuid>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<KeyView>, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(Json(self.shared.engine.revoke_key(&caller, id.0).await?.into()))
    }
}
