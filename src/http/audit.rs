//! The audit log: who did what that somebody must answer for.

use poem_openapi::OpenApi;
use poem_openapi::param::Query;

use crate::domain::audit::AuditFilter;
use crate::engine::Engine;

use super::auth::{Admin, Caller};
use super::error::Refusal;
use super::json::Json;
use super::openapi::Tag;
use super::tasks::DEFAULT_PAGE;
use super::text::{PageLimit, Text};
use super::view::AuditPage;

/// The calls on the audit log.
pub struct Audit {
    /// Does the work.
    pub engine: Engine,
}

#[OpenApi(tag = "Tag::Operation")]
impl Audit {
    /// See who did what
    ///
    /// Every decision on an approval, cancel, retry, pause, resume and change of credentials, newest first. Each entry
    /// is bound to the one before it by its hash, so that nobody can change one, take one out or put one in without
    /// changing every hash after it. Nothing but `retention.audit_ms` removes an entry. A page may be short though more
    /// follow: go by `next_cursor`.
    #[oai(path = "/admin/audit", method = "get", operation_id = "read_audit_log")]
    async fn read(
        &self,
        _caller: Caller<Admin>,
        /// Only what this actor did, such as `user:alice` or `key:ops`.
        actor: Query<Option<String>>,
        /// Only this action, such as `approve`.
        action: Query<Option<String>>,
        /// Only what was done to this, such as `task:019ab3c4-7d2e-7000-8000-0000000000a0`.
        subject: Query<Option<String>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<Text<PageLimit>>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditPage>, Refusal> {
        let filter = AuditFilter { actor: actor.0, action: action.0, subject: subject.0 };
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0.0);
        let refused = |error| Refusal::of_parameter("cursor", error);
        let page = self.engine.audit(&filter, limit, cursor.0.as_deref()).await;
        Ok(Json(page.map_err(refused)?.into()))
    }
}
