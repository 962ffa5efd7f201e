//! The call on the audit log: who did what.

use poem_openapi::OpenApi;
use poem_openapi::param::Query;

use crate::domain::audit::AuditFilter;
use crate::engine::Engine;

use super::answer::Json;
use super::auth::{Admin, Caller};
use super::error::Refusal;
use super::openapi::Tag;
use super::tasks::DEFAULT_PAGE;
use super::text::PageLimit;
use super::view::AuditPage;

/// The calls on the audit log.
pub struct Audit {
    /// The engine, which does the work.
    pub engine: Engine,
}

#[OpenApi(tag = "Tag::Operation")]
impl Audit {
    /// Read the audit log
    ///
    /// Every decision on an approval, cancel, retry, pause, resume and change of credentials,
    /// newest first. The hash of each entry covers the previous entry's hash, so no entry can be
    /// changed, removed or inserted without changing every hash after it. Only `retention.audit_ms`
    /// removes entries. A page may be short and still have a next one: follow `next_cursor`.
    #[oai(path = "/admin/audit", method = "get", operation_id = "read_audit_log")]
    async fn read(
        &self,
        _caller: Caller<Admin>,
        /// Only actions of this actor, such as `user:alice` or `key:ops`.
        actor: Query<Option<String>>,
        /// Only actions of this kind, such as `approve`.
        action: Query<Option<String>>,
        /// Only actions on this subject, such as `task:019ab3c4-7d2e-7000-8000-0000000000a0`.
        subject: Query<Option<String>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<PageLimit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditPage>, Refusal> {
        let filter = AuditFilter { actor: actor.0, action: action.0, subject: subject.0 };
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let page = self
            .engine
            .audit(&filter, limit, cursor.0.as_deref())
            .await
            .map_err(|error| Refusal::of_parameter("cursor", error))?;
        Ok(Json(page.into()))
    }
}
