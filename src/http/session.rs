//! The calls on the session of a browser: who is calling, sign in, sign out.

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;

use crate::domain::name::Name;
use crate::domain::principal::{Principal, Role, Scope};

use super::Shared;
use super::answer::Json;
use super::auth::{self, Caller, TasksRead};
use super::error::Refusal;
use super::json_body::OptionalBody;
use super::openapi::Tag;
use super::request::Empty;

/// The calls on the session of a browser.
pub struct Session(pub(super) Shared);

/// Who is calling.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "BrowserSession")]
pub struct SessionView {
    /// The caller, as timelines and approvals name it, such as `key:ops` or `user:alice`.
    pub caller: String,
    /// The role of the caller.
    pub role: Role,
    /// The tenant to which the caller is bound; absent if it sees all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// What the caller may do, as in `x-required-scopes` of this document.
    pub scopes: Vec<String>,
}

impl From<&Principal> for SessionView {
    fn from(caller: &Principal) -> Self {
        let scopes = Scope::ALL.iter().filter(|scope| caller.may(**scope));
        Self {
            caller: caller.to_string(),
            role: caller.role(),
            tenant: caller.tenant().cloned(),
            scopes: scopes.map(|scope| scope.as_str().to_owned()).collect(),
        }
    }
}

/// The answer to a sign-in and to a sign-out.
#[derive(ApiResponse)]
pub enum SessionResponse {
    /// The session has begun or ended.
    #[oai(status = 200)]
    Done(
        Json<SessionView>,
        /// The cookie of the session: `HttpOnly`, `SameSite=Strict`, and on TLS `Secure`.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

/// The `Set-Cookie` of a new session.
pub struct Opened(String);

impl<'a> FromRequest<'a> for Opened {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(auth::open_session(request)?))
    }
}

/// The `Set-Cookie` that ends a session.
pub struct Closed(String);

impl<'a> FromRequest<'a> for Closed {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(auth::close_session(request)))
    }
}

#[OpenApi(tag = "Tag::Session")]
impl Session {
    /// Get who is calling
    ///
    /// Names the caller that the credential or the session of this request stands for, and its role.
    #[oai(path = "/session", method = "get", operation_id = "get_session")]
    async fn get(&self, caller: Caller<TasksRead>) -> Json<SessionView> {
        Json((&*caller).into())
    }

    /// Sign in
    ///
    /// Exchanges the API key or token of this request for a cookie, with which a browser calls
    /// instead. The session ends with the credential, after 12 hours, with the token's `exp`, or by
    /// a sign-out, whichever comes first. Every gateway of the deployment accepts it. A write with
    /// the cookie is refused unless the browser says that a page of the gateway itself sent it
    /// (`Sec-Fetch-Site`, `Origin`).
    #[oai(path = "/session", method = "post", operation_id = "sign_in")]
    async fn sign_in(
        &self,
        caller: Caller<TasksRead>,
        opened: Opened,
        body: OptionalBody<Empty>,
    ) -> Result<SessionResponse, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(SessionResponse::Done(Json((&*caller).into()), opened.0))
    }

    /// Sign out
    ///
    /// Ends every session of the caller, in every browser: on this gateway at once, on all others
    /// within a second, with their event streams and waiting calls. Removes the cookie.
    #[oai(path = "/session", method = "delete", operation_id = "sign_out")]
    async fn sign_out(
        &self,
        caller: Caller<TasksRead>,
        closed: Closed,
        body: OptionalBody<Empty>,
    ) -> Result<SessionResponse, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        self.0.engine.sign_out(&caller).await?;
        Ok(SessionResponse::Done(Json((&*caller).into()), closed.0))
    }
}
