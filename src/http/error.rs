//! How a request is refused: the one file that knows status codes of refusals.
//!
//! Whatever goes wrong, in the engine, in the framework or in a panic, becomes a [`Refusal`] and leaves
//! as `application/problem+json` (RFC 9457). A 5xx says nothing of what is inside; the log does.

use std::error::Error as StdError;
use std::fmt;

use poem::Response;
use poem::error::{MethodNotAllowedError, NotFoundError, ResponseError};
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::error::{ParseParamError, ParsePathError};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::domain::approval::ApprovalStatus;
use crate::domain::lifecycle::State;
use crate::domain::principal::{Role, Scope};
use crate::engine::{self, Fault};
use crate::runtime::chain::Chain;

mod limits;
mod refused;

use super::json::respond;
use super::openapi::Template;
use super::text::{Text, Time};

/// When to try again after a 429 or 503, in seconds: about as long as a failover of the store takes.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Why a request was refused, by RFC 9457.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Problem {
    /// The cause, a stable URI such as `urn:orchestrator:problem:lease-lost`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// The cause in words, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The id of the request, which the log carries too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[oai(default)]
    pub errors: Vec<FieldError>,
    /// Where the task is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status: Option<Text<State>>,
    /// The newest attempt of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_attempt: Option<u32>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_status: Option<Text<ApprovalStatus>>,
    /// The digest of what there is to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Text<Time>>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct FieldError {
    /// Where: a JSON Pointer into the body; empty: the body as a whole.
    pub pointer: String,
    /// What is wrong and what is expected.
    pub detail: String,
}

/// Every cause: its status, the last word of its URI, its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
enum Cause {
    Unreadable, Unauthenticated, MissingScope, OwnSubmission, OwnContent, ForeignSource, OriginRefused, UnknownRoute, UnknownTask,
    UnknownApproval, UnknownAgent, TooManyAgents, MethodNotAllowed, NotAcceptable, FinalParent, IllegalTransition, LeaseLost, TaskCancelled,
    NotHolder, ResultMismatch, EndedByHuman, AsksExhausted, AskedTooSoon, AlreadyDecided, AlreadyVoted, NotAsked, ContentChanged, Uncleared, TooLarge, AnswerTooLarge, UnsupportedMediaType, InvalidFields,
    IdempotencyMismatch, RequestTimeout, UriTooLong, HeadTooLarge, HttpVersion, TooManyWaits, TooManyBytes, Overloaded, ShareUsed,
    Other(StatusCode), Internal, StoreFull, StoreUnavailable, NotReplicated,
}

impl Cause {
    #[rustfmt::skip]
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unreadable           => (S::BAD_REQUEST,            "unreadable-request",     "The request cannot be read"),
            Self::Unauthenticated      => (S::UNAUTHORIZED,           "unauthenticated",        "Nobody is authenticated"),
            Self::MissingScope         => (S::FORBIDDEN,              "missing-scope",          "The role does not allow this"),
            Self::NotAsked             => (S::FORBIDDEN,              "not-asked",              "Others are asked to decide"),
            Self::OwnSubmission        => (S::FORBIDDEN,              "own-submission",         "Nobody decides on his own task"),
            Self::OwnContent           => (S::FORBIDDEN,              "own-content",            "You cannot approve your own content"),
            Self::ForeignSource        => (S::FORBIDDEN,              "foreign-source",         "The event's source is somebody else"),
            Self::EndedByHuman         => (S::FORBIDDEN,              "ended-by-human",         "A human ended the task"),
            Self::OriginRefused        => (S::FORBIDDEN,              "origin-refused",         "The web origin is not allowed"),
            Self::UnknownRoute         => (S::NOT_FOUND,              "not-found",              "There is nothing here"),
            Self::UnknownTask          => (S::NOT_FOUND,              "unknown-task",           "There is no such task"),
            Self::UnknownApproval      => (S::NOT_FOUND,              "unknown-approval",       "There is no such approval"),
            Self::UnknownAgent         => (S::NOT_FOUND,              "unknown-agent",          "There is no such agent"),
            Self::TooManyAgents        => (S::TOO_MANY_REQUESTS,      "too-many-agents",        "There are too many agents"),
            Self::MethodNotAllowed     => (S::METHOD_NOT_ALLOWED,     "method-not-allowed",     "The method is not allowed here"),
            Self::NotAcceptable        => (S::NOT_ACCEPTABLE,         "not-acceptable",         "There is no such form of the answer"),
            Self::FinalParent          => (S::CONFLICT,               "final-parent",           "The parent task has ended"),
            Self::IllegalTransition    => (S::CONFLICT,               "illegal-transition",     "The task's status does not allow this"),
            Self::LeaseLost            => (S::CONFLICT,               "lease-lost",             "The attempt no longer holds the task"),
            Self::TaskCancelled        => (S::CONFLICT,               "task-cancelled",         "The task was cancelled"),
            Self::NotHolder            => (S::CONFLICT,               "not-holder",             "Somebody else holds the task"),
            Self::ResultMismatch       => (S::CONFLICT,               "result-mismatch",        "Another report ended the attempt"),
            Self::AsksExhausted        => (S::CONFLICT,               "asks-exhausted",         "Humans were asked as often as agents may have them asked"),
            Self::AskedTooSoon         => (S::TOO_MANY_REQUESTS,      "asked-too-soon",         "Humans were asked a moment ago"),
            Self::AlreadyDecided       => (S::CONFLICT,               "already-decided",        "The approval has its decision"),
            Self::AlreadyVoted         => (S::CONFLICT,               "already-voted",          "The caller has approved before"),
            Self::ContentChanged       => (S::CONFLICT,               "content-changed",        "There is something else to decide"),
            Self::Uncleared            => (S::CONFLICT,               "approval-mismatch",      "The content is not what was approved"),
            Self::TooLarge             => (S::PAYLOAD_TOO_LARGE,      "body-too-large",         "The body is too large"),
            Self::AnswerTooLarge       => (S::PAYLOAD_TOO_LARGE,      "answer-too-large",       "The answer is too large"),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not JSON"),
            Self::InvalidFields        => (S::UNPROCESSABLE_ENTITY,   "invalid-fields",         "Fields of the body are wrong"),
            Self::IdempotencyMismatch  => (S::UNPROCESSABLE_ENTITY,   "idempotency-mismatch",   "The key belongs to another body"),
            Self::RequestTimeout       => (S::REQUEST_TIMEOUT,        "request-timeout",        "The request came too slowly"),
            Self::UriTooLong           => (S::URI_TOO_LONG,           "uri-too-long",           "The URI is too long"),
            Self::HeadTooLarge         => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "The headers are too large"),
            Self::HttpVersion          => (S::HTTP_VERSION_NOT_SUPPORTED, "http-version",       "HTTP/1.1 is required"),
            Self::TooManyWaits         => (S::TOO_MANY_REQUESTS,      "too-many-waits",         "Too many calls of the caller wait"),
            Self::TooManyBytes         => (S::TOO_MANY_REQUESTS,      "too-many-bytes",         "Too many bytes of the caller are held"),
            Self::Overloaded           => (S::SERVICE_UNAVAILABLE,    "overloaded",             "The gateway is at its capacity"),
            Self::ShareUsed            => (S::TOO_MANY_REQUESTS,      "share-used",             "The caller has published its share"),
            Self::Internal             => (S::INTERNAL_SERVER_ERROR,  "internal-error",         "Something is wrong here"),
            Self::StoreFull            => (S::SERVICE_UNAVAILABLE,    "store-full",             "The store is full"),
            Self::StoreUnavailable     => (S::SERVICE_UNAVAILABLE,    "store-unavailable",      "The store does not answer"),
            Self::NotReplicated        => (S::SERVICE_UNAVAILABLE,    "not-replicated",         "Too few replicas have the write"),
            Self::Other(status)        => (status,                    "refused",                status.canonical_reason().unwrap_or("Refused")),
        }
    }
}

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    cause: Cause,
    problem: Box<Problem>,
    /// The methods that the path does have, for a 405.
    allow: Option<String>,
    /// When to try again, in seconds, for a 429.
    retry_after: Option<u32>,
}

impl Refusal {
    fn new(cause: Cause, detail: impl Into<String>) -> Self {
        let (status, word, title) = cause.row();
        let problem = Problem {
            kind: format!("urn:orchestrator:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
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

    /// 400: the request cannot be understood at all.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Cause::Unreadable, detail)
    }

    /// 400: the query parameter or header `name` is wrong; `reason` continues the sentence that begins with it.
    pub fn parameter(name: &str, reason: &str) -> Self {
        Self::unreadable(format!("The query parameter or header `{name}` {reason}."))
    }

    /// What the engine refused, where a field that is wrong is the query parameter or header `name`.
    pub fn of_parameter(name: &str, error: engine::Error) -> Self {
        match error {
            engine::Error::Invalid(faults) => {
                Self::parameter(name, faults.first().map_or("is not valid", |fault| &fault.detail))
            }
            other => other.into(),
        }
    }

    /// 406: none of the forms that the client takes is one of `offered`.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        Self::new(
            Cause::NotAcceptable,
            format!("Send `Accept` with one of {}, or without.", offered.join(", ")),
        )
    }

    /// 401: there is no credential, or it is no good.
    pub fn unauthenticated(detail: &str) -> Self {
        Self::new(Cause::Unauthenticated, detail)
    }

    /// 403: the caller's role lacks the scope.
    pub fn missing_scope(role: Role, scope: Scope) -> Self {
        let (role, scope) = (role.as_str(), scope.as_str());
        Self::new(
            Cause::MissingScope,
            format!(
                "This needs the scope `{scope}`, which the role `{role}` does not have. Use a credential of a role that does."
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

    /// 415: the body is not said to be JSON.
    pub fn unsupported_media_type(found: &str) -> Self {
        Self::new(
            Cause::UnsupportedMediaType,
            format!("Send the body with `Content-Type: application/json`; found {found}."),
        )
    }

    /// 422: fields are wrong.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let to_error = |fault: Fault| FieldError { pointer: fault.pointer, detail: fault.detail };
        let mut refusal =
            Self::new(Cause::InvalidFields, "Correct the fields in `errors` and send it again.");
        refusal.problem.errors = faults.into_iter().map(to_error).collect();
        refusal
    }

    /// 422: the body as a whole is not what it should be.
    pub fn invalid_body(detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new("", detail)])
    }

    /// 500: a fault of ours, of which the client is told nothing.
    pub fn internal() -> Self {
        Self::new(
            Cause::Internal,
            "This is a fault of the service. Its log tells more under this request's id.",
        )
    }

    /// What the client is shown, for a refusal that is one of many in an answer.
    pub fn into_problem(mut self, base: &str) -> Problem {
        for error in &mut self.problem.errors {
            if !error.pointer.starts_with(base) {
                error.pointer.insert_str(0, base);
            }
        }
        *self.problem
    }

    /// What the framework or an extractor refused at `path`.
    pub fn from_framework(error: poem::Error, path: &str) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(refusal) => return refusal,
            Err(error) => error,
        };
        if let Some(fault) = error.downcast_ref::<ParseParamError>() {
            return Self::parameter(fault.name, plain_reason(&fault.reason));
        }
        if let Some(fault) = error.downcast_ref::<ParsePathError>() {
            let name = Template::of(path).and_then(Template::parameter).unwrap_or("parameter");
            return Self::unreadable(format!(
                "`{name}` in the path {}.",
                plain_reason(&fault.reason)
            ));
        }
        if error.is::<NotFoundError>() {
            return Self::new(
                Cause::UnknownRoute,
                "No call has this path. `GET /openapi.json` lists them all.",
            );
        }
        if error.is::<MethodNotAllowedError>() {
            let allow = Template::of(path).map(Template::allow).unwrap_or_default();
            let mut refusal =
                Self::new(Cause::MethodNotAllowed, format!("This path takes {allow}."));
            refusal.allow = Some(allow.to_owned());
            return refusal;
        }
        Self::from_status(&error)
    }

    fn from_status(error: &poem::Error) -> Self {
        match error.status() {
            status if status.is_server_error() => {
                tracing::error!(error = %Chain(error), "request failed");
                Self::internal()
            }
            StatusCode::BAD_REQUEST => Self::unreadable(error.to_string()),
            StatusCode::FORBIDDEN => Self::new(
                Cause::OriginRefused,
                "Add the web origin to `http.cors_origins` if it is yours.",
            ),
            status => Self::new(Cause::Other(status), error.to_string()),
        }
    }

    /// The answer, with the id of its request.
    pub fn into_response_for(mut self, request_id: &str) -> Response {
        self.problem.instance = Some(request_id.to_owned());
        let (status, ..) = self.cause.row();
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

/// What a [`super::text::Word`] said, without what the framework put around it.
fn plain_reason(reason: &str) -> &str {
    let inner = reason.split(" (occurred while parsing").next().unwrap_or(reason);
    match inner.strip_prefix("failed to parse \"").and_then(|rest| rest.split_once("\": ")) {
        Some((_, said)) => said,
        None if reason.ends_with("expects an input value.") => "is required",
        None => inner,
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
        self.cause.row().0
    }
}

/// The media type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One entry for any refusal: the document's repair puts the statuses in its place that a call can have.
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
