//! How a request is refused: only this module knows which status a refusal has.
//!
//! An error of the engine or the framework, and a panic, becomes a [`Refusal`] and leaves as
//! `application/problem+json` (RFC 9457). A 5xx tells the client nothing about the inside; the log
//! does.

use std::error::Error as StdError;
use std::fmt;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::domain::approval::ApprovalStatus;
use crate::domain::lifecycle::State;
use crate::domain::principal::{Role, Scope};
use crate::engine::{self, Fault};

mod cause;
mod limits;
mod refused;

use self::cause::Cause;
use super::answer::respond;
use super::text::Time;

/// How many seconds after a 429 or 503 to try again: about as long as a failover of the store
/// takes.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Why a request was refused, as a problem document of RFC 9457.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Problem {
    /// The cause, a stable URI such as `urn:orchestrator:problem:lease-lost`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// The title of the cause, the same for every occurrence.
    pub title: String,
    /// The HTTP status of the answer, or of the item that it belongs to.
    pub status: u16,
    /// What happened in this case and what the client can do about it.
    pub detail: String,
    /// The id of the request, which the log lines of the request carry too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every field of the body that is wrong, each with its place; empty for other causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[oai(default)]
    pub errors: Vec<FieldError>,
    /// The status of the task, if the cause is the task's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status: Option<State>,
    /// The newest attempt of the task, if the caller's attempt is no longer current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_attempt: Option<u32>,
    /// The status of the approval, if the approval is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_status: Option<ApprovalStatus>,
    /// The digest of the content that the approval is now about, if that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Who decided, if the approval is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When the approval was decided, if it is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Time>,
}

/// One field of a body that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct FieldError {
    /// A JSON Pointer to the field in the body; empty if the whole body is wrong.
    pub pointer: String,
    /// What is wrong with the field and what is expected instead.
    pub detail: String,
}

/// A request that was refused: the cause, and the problem document that the client gets.
#[derive(Debug)]
pub struct Refusal {
    cause: Cause,
    problem: Box<Problem>,
    allow: Option<String>,
    /// How many seconds to wait before trying again, for a 429.
    retry_after: Option<u32>,
}

impl From<Vec<Fault>> for Refusal {
    fn from(faults: Vec<Fault>) -> Self {
        Self::invalid(faults)
    }
}

impl Refusal {
    fn new(cause: Cause, detail: impl Into<String>) -> Self {
        let (word, title) = cause.word_and_title();
        let problem = Problem {
            kind: format!("urn:orchestrator:problem:{word}"),
            title: title.to_owned(),
            status: cause.status().as_u16(),
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            task_status: None,
            current_attempt: None,
            approval_status: None,
            digest: None,
            decided_by: None,
            decided_at: None,
        };
        Self { cause, problem: Box::new(problem), allow: None, retry_after: None }
    }

    /// 400: the request cannot be read at all; `detail` says why.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Cause::Unreadable, detail)
    }

    /// 400: the query parameter or header `name` is wrong; `reason` continues the sentence that
    /// begins with its name.
    pub fn parameter(name: &str, reason: &str) -> Self {
        Self::unreadable(format!("The query parameter or header `{name}` {reason}."))
    }

    /// Turns an engine error into a refusal. An invalid field becomes a 400 for the query parameter
    /// or header `name`.
    pub fn of_parameter(name: &str, error: engine::Error) -> Self {
        match error {
            engine::Error::Invalid(faults) => {
                Self::parameter(name, faults.first().map_or("is not valid", |fault| &fault.detail))
            }
            other => other.into(),
        }
    }

    /// 406: the client's `Accept` names none of the `offered` media types.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        Self::new(
            Cause::NotAcceptable,
            format!("Send `Accept` with one of {}, or without.", offered.join(", ")),
        )
    }

    /// 401: the credential is missing or invalid; `detail` says which and what to send.
    pub fn unauthenticated(detail: &str) -> Self {
        Self::new(Cause::Unauthenticated, detail)
    }

    /// 403: the caller's role lacks the scope.
    pub fn missing_scope(role: Role, scope: Scope) -> Self {
        let role = role.as_str();
        let scope = scope.as_str();
        Self::new(
            Cause::MissingScope,
            format!(
                "This requires the scope `{scope}`, which the role `{role}` does not have. \
                 Use a credential of a role that has it."
            ),
        )
    }

    /// 413: the body has more than `most` bytes.
    pub fn too_large(most: usize) -> Self {
        Self::new(
            Cause::TooLarge,
            format!("At most {most} bytes are read. Send less, or in several requests."),
        )
    }

    /// 415: the `Content-Type` is not JSON; `found` is what the client sent.
    pub fn unsupported_media_type(found: &str) -> Self {
        Self::new(
            Cause::UnsupportedMediaType,
            format!("Send the body with `Content-Type: application/json`; found {found}."),
        )
    }

    /// 422: fields of the body are wrong, each of which `faults` describes.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let mut refusal =
            Self::new(Cause::InvalidFields, "Correct the fields in `errors` and send it again.");
        refusal.problem.errors = faults
            .into_iter()
            .map(|fault| FieldError { pointer: fault.pointer, detail: fault.detail })
            .collect();
        refusal
    }

    /// 422: the body as a whole is not what the call expects.
    pub fn invalid_body(detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new("", detail)])
    }

    /// 500: a bug or a fault of the service, of which the client learns only the request id.
    pub fn internal() -> Self {
        Self::new(
            Cause::Internal,
            "A fault of the service. Its log has more about it under this request's id.",
        )
    }

    /// The problem document of a refused item in an answer of many. The pointers of its errors are
    /// prefixed with `base`, the item's place in the body.
    pub fn into_problem(mut self, base: &str) -> Problem {
        for error in &mut self.problem.errors {
            if !error.pointer.starts_with(base) {
                error.pointer.insert_str(0, base);
            }
        }
        *self.problem
    }

    /// No call has the path of the request.
    pub fn unknown_route() -> Self {
        Self::new(Cause::UnknownRoute, "No call has this path. `GET /openapi.json` lists them all.")
    }

    /// The path takes the methods `allow` only.
    pub fn method_not_allowed(allow: &str) -> Self {
        let mut refusal = Self::new(Cause::MethodNotAllowed, format!("This path takes {allow}."));
        refusal.allow = Some(allow.to_owned());
        refusal
    }

    /// A script of a web origin called that may not.
    pub fn origin_refused() -> Self {
        Self::new(Cause::OriginRefused, "Add the web origin to `http.cors_origins` if it is yours.")
    }

    /// The framework refused the request with this status.
    pub fn other(status: StatusCode, detail: String) -> Self {
        Self::new(Cause::Other(status), detail)
    }

    /// The answer to the client, with the id of its request as `instance`.
    pub fn into_response_for(mut self, request_id: &str) -> Response {
        self.problem.instance = Some(request_id.to_owned());
        let status = self.cause.status();
        let mut response = respond(status, CONTENT_TYPE, &self.problem);
        let headers = response.headers_mut();
        let is_passing =
            matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = self.retry_after.or(is_passing.then_some(RETRY_AFTER_SECONDS));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"orchestrator\""),
            );
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem.detail)
    }
}

impl StdError for Refusal {}

impl ResponseError for Refusal {
    fn status(&self) -> StatusCode {
        self.cause.status()
    }
}

/// The media type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One entry for any refusal; the document's repair replaces it by the statuses that each call can
/// have.
impl ApiResponse for Refusal {
    fn meta() -> MetaResponses {
        let content =
            vec![MetaMediaType { content_type: CONTENT_TYPE, schema: Problem::schema_ref() }];
        let description = "Refused";
        let refused = MetaResponse {
            description,
            status: None,
            status_range: None,
            content,
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![refused] }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}
