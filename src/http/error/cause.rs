//! Why a request is refused: the status, the URN and the title of each cause.

use poem::http::StatusCode;

/// A cause of a refusal; its URN is a promise to clients and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Unreadable,
    Unauthenticated,
    MissingScope,
    OwnSubmission,
    OwnContent,
    ForeignSource,
    OriginRefused,
    UnknownRoute,
    UnknownTask,
    UnknownApproval,
    UnknownAgent,
    TooManyAgents,
    MethodNotAllowed,
    NotAcceptable,
    FinalParent,
    IllegalTransition,
    LeaseLost,
    TaskCancelled,
    NotHolder,
    ResultMismatch,
    EndedByHuman,
    AsksExhausted,
    AskedTooSoon,
    AlreadyDecided,
    AlreadyVoted,
    NotAsked,
    ContentChanged,
    Uncleared,
    TooLarge,
    AnswerTooLarge,
    UnsupportedMediaType,
    InvalidFields,
    IdempotencyMismatch,
    RequestTimeout,
    UriTooLong,
    HeadTooLarge,
    HttpVersion,
    TooManyWaits,
    TooManyBytes,
    Overloaded,
    ShareUsed,
    /// A status that the framework chose and no other cause covers.
    Other(StatusCode),
    Internal,
    StoreFull,
    StoreUnavailable,
    NotReplicated,
}

impl Cause {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::MissingScope
            | Self::NotAsked
            | Self::OwnSubmission
            | Self::OwnContent
            | Self::ForeignSource
            | Self::EndedByHuman
            | Self::OriginRefused => StatusCode::FORBIDDEN,
            Self::UnknownRoute | Self::UnknownTask | Self::UnknownApproval | Self::UnknownAgent => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::FinalParent
            | Self::IllegalTransition
            | Self::LeaseLost
            | Self::TaskCancelled
            | Self::NotHolder
            | Self::ResultMismatch
            | Self::AsksExhausted
            | Self::AlreadyDecided
            | Self::AlreadyVoted
            | Self::ContentChanged
            | Self::Uncleared => StatusCode::CONFLICT,
            Self::TooLarge | Self::AnswerTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidFields | Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyAgents
            | Self::AskedTooSoon
            | Self::TooManyWaits
            | Self::TooManyBytes
            | Self::ShareUsed => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::StoreFull | Self::StoreUnavailable | Self::NotReplicated => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Other(status) => status,
        }
    }

    /// The last word of the cause's URN, and the title that a client can show.
    pub(super) fn word_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::Unreadable => ("unreadable-request", "Malformed request"),
            Self::Unauthenticated => ("unauthenticated", "Authentication required"),
            Self::MissingScope => ("missing-scope", "Forbidden for this role"),
            Self::NotAsked => ("not-asked", "Not one of the approvers"),
            Self::OwnSubmission => ("own-submission", "You cannot decide on your own task"),
            Self::OwnContent => ("own-content", "You cannot approve your own content"),
            Self::ForeignSource => ("foreign-source", "The event's source is not the caller"),
            Self::EndedByHuman => ("ended-by-human", "A human ended the task"),
            Self::OriginRefused => ("origin-refused", "Web origin not allowed"),
            Self::UnknownRoute => ("not-found", "Route not found"),
            Self::UnknownTask => ("unknown-task", "Task not found"),
            Self::UnknownApproval => ("unknown-approval", "Approval not found"),
            Self::UnknownAgent => ("unknown-agent", "Agent not found"),
            Self::TooManyAgents => ("too-many-agents", "Too many agents"),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed"),
            Self::NotAcceptable => ("not-acceptable", "No acceptable media type"),
            Self::FinalParent => ("final-parent", "The parent task is final"),
            Self::IllegalTransition => ("illegal-transition", "Not allowed in the task's status"),
            Self::LeaseLost => ("lease-lost", "The attempt no longer holds the task"),
            Self::TaskCancelled => ("task-cancelled", "Task cancelled"),
            Self::NotHolder => ("not-holder", "Another agent holds the task"),
            Self::ResultMismatch => ("result-mismatch", "Another report ended the attempt"),
            Self::AsksExhausted => ("asks-exhausted", "No approval requests left for the task"),
            Self::AskedTooSoon => ("asked-too-soon", "Too soon for another approval request"),
            Self::AlreadyDecided => ("already-decided", "The approval is already decided"),
            Self::AlreadyVoted => ("already-voted", "The caller has already approved"),
            Self::ContentChanged => ("content-changed", "The content to decide on has changed"),
            Self::Uncleared => ("approval-mismatch", "The content is not the approved content"),
            Self::TooLarge => ("body-too-large", "Body too large"),
            Self::AnswerTooLarge => ("answer-too-large", "Answer too large"),
            Self::UnsupportedMediaType => ("unsupported-media-type", "The body is not JSON"),
            Self::InvalidFields => ("invalid-fields", "Invalid fields"),
            Self::IdempotencyMismatch => {
                ("idempotency-mismatch", "The idempotency key belongs to another body")
            }
            Self::RequestTimeout => ("request-timeout", "Request timeout"),
            Self::UriTooLong => ("uri-too-long", "URI too long"),
            Self::HeadTooLarge => ("head-too-large", "Headers too large"),
            Self::HttpVersion => ("http-version", "HTTP/1.1 required"),
            Self::TooManyWaits => ("too-many-waits", "Too many waiting calls of the caller"),
            Self::TooManyBytes => ("too-many-bytes", "Too many bytes of the caller in flight"),
            Self::Overloaded => ("overloaded", "Gateway at capacity"),
            Self::ShareUsed => ("share-used", "Publishing share used up"),
            Self::Internal => ("internal-error", "Internal error"),
            Self::StoreFull => ("store-full", "Store full"),
            Self::StoreUnavailable => ("store-unavailable", "Store unavailable"),
            Self::NotReplicated => ("not-replicated", "Too few replicas confirmed the write"),
            Self::Other(status) => ("refused", status.canonical_reason().unwrap_or("Refused")),
        }
    }
}
