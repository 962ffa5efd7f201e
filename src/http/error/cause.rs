//! Why a request is refused: the status, the URN and the title of each cause.

use poem::http::StatusCode;

/// The cause of a refusal that leaves a trace, because it may be an attack or a client out of
/// control: one with status 401, 403 or 429. The answer has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The last word of the cause's URN.
    pub cause: &'static str,
}

impl Denial {
    /// The denial with this cause. `None` if the cause leaves no trace.
    pub(super) fn of(cause: Cause) -> Option<Self> {
        let is_traced = matches!(
            cause.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        is_traced.then(|| Self { cause: cause.word_and_title().0 })
    }

    /// Every cause that leaves a trace.
    pub fn causes() -> impl Iterator<Item = &'static str> {
        Cause::KNOWN.iter().filter_map(|cause| Self::of(*cause)).map(|denial| denial.cause)
    }
}

/// Defines the causes, each with its status, the word of its URN, and the title that a client can
/// show.
macro_rules! causes {
    ($($cause:ident $status:ident $word:literal $title:literal,)*) => {
        /// A cause of a refusal; its URN is a promise to clients and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Cause {
            $($cause,)*
            /// A status that the framework chose and no other cause covers.
            Other(StatusCode),
        }

        impl Cause {
            /// Every cause that has a type of its own.
            pub(super) const KNOWN: &[Self] = &[$(Self::$cause,)*];

            pub(super) fn status(self) -> StatusCode {
                match self {
                    $(Self::$cause => StatusCode::$status,)*
                    Self::Other(status) => status,
                }
            }

            /// The last word of the cause's URN, and the title that a client can show.
            pub(super) fn word_and_title(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$cause => ($word, $title),)*
                    Self::Other(status) => {
                        ("refused", status.canonical_reason().unwrap_or("Refused"))
                    }
                }
            }
        }
    };
}

causes! {
    Unreadable BAD_REQUEST "unreadable-request" "Malformed request",
    Unauthenticated UNAUTHORIZED "unauthenticated" "Authentication required",
    MissingScope FORBIDDEN "missing-scope" "Forbidden for this role",
    ForeignAgent FORBIDDEN "foreign-agent" "Agent not allowed for the key",
    ForeignNetwork FORBIDDEN "foreign-network" "Address not allowed for the key",
    RestrictedKey FORBIDDEN "restricted-key" "Not allowed for a restricted key",
    TenantBound FORBIDDEN "tenant-bound" "Not allowed for a caller of a tenant",
    OwnSubmission FORBIDDEN "own-submission" "You cannot decide on your own task",
    OwnContent FORBIDDEN "own-content" "You cannot approve your own content",
    ForeignSource FORBIDDEN "foreign-source" "The event's source is not the caller",
    OriginRefused FORBIDDEN "origin-refused" "Web origin not allowed",
    UnknownRoute NOT_FOUND "not-found" "Route not found",
    UnknownTask NOT_FOUND "unknown-task" "Task not found",
    UnknownApproval NOT_FOUND "unknown-approval" "Approval not found",
    UnknownBulk NOT_FOUND "unknown-bulk" "Bulk not found",
    TooManyBulks TOO_MANY_REQUESTS "too-many-bulks" "Too many bulks",
    UnknownAgent NOT_FOUND "unknown-agent" "Agent not found",
    UnknownKey NOT_FOUND "unknown-key" "Key not found",
    KeyNameTaken CONFLICT "key-name-taken" "Another key has the name",
    KeyEnded CONFLICT "key-ended" "The key is no longer valid",
    TooManyKeys CONFLICT "too-many-keys" "Too many managed keys",
    TooManyAgents TOO_MANY_REQUESTS "too-many-agents" "Too many agents",
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed",
    NotAcceptable NOT_ACCEPTABLE "not-acceptable" "No acceptable media type",
    FinalParent CONFLICT "final-parent" "The parent task is final",
    IllegalTransition CONFLICT "illegal-transition" "Not allowed in the task's status",
    LeaseLost CONFLICT "lease-lost" "The attempt no longer holds the task",
    TaskCancelled CONFLICT "task-cancelled" "Task cancelled",
    NotHolder CONFLICT "not-holder" "Another agent holds the task",
    ResultMismatch CONFLICT "result-mismatch" "Another report ended the attempt",
    EndedByHuman FORBIDDEN "ended-by-human" "A human ended the task",
    AsksExhausted CONFLICT "asks-exhausted" "No approval requests left for the task",
    AskedTooSoon TOO_MANY_REQUESTS "asked-too-soon" "Too soon for another approval request",
    AlreadyDecided CONFLICT "already-decided" "The approval is already decided",
    AlreadyVoted CONFLICT "already-voted" "The caller has already approved",
    NotAsked FORBIDDEN "not-asked" "Not one of the approvers",
    ContentChanged CONFLICT "content-changed" "The content to decide on has changed",
    Undecryptable CONFLICT "undecryptable" "A stored text cannot be decrypted",
    Uncleared CONFLICT "approval-mismatch" "The content is not the approved content",
    TooLarge PAYLOAD_TOO_LARGE "body-too-large" "Body too large",
    AnswerTooLarge PAYLOAD_TOO_LARGE "answer-too-large" "Answer too large",
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body is not JSON",
    InvalidFields UNPROCESSABLE_ENTITY "invalid-fields" "Invalid fields",
    IdempotencyMismatch UNPROCESSABLE_ENTITY
        "idempotency-mismatch" "The idempotency key belongs to another body",
    RequestTimeout REQUEST_TIMEOUT "request-timeout" "Request timeout",
    UriTooLong URI_TOO_LONG "uri-too-long" "URI too long",
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "head-too-large" "Headers too large",
    HttpVersion HTTP_VERSION_NOT_SUPPORTED "http-version" "HTTP/1.1 required",
    HttpsRequired BAD_REQUEST "https-required" "HTTPS required",
    TooManyWaits TOO_MANY_REQUESTS "too-many-waits" "Too many waiting calls of the caller",
    TooManyBytes TOO_MANY_REQUESTS "too-many-bytes" "Too many bytes of the caller in flight",
    RateLimited TOO_MANY_REQUESTS "rate-limited" "Too many calls of the caller",
    TooManyFailures TOO_MANY_REQUESTS
        "too-many-failures" "Too many failed authentications of the address",
    Overloaded SERVICE_UNAVAILABLE "overloaded" "Gateway at capacity",
    ShareUsed TOO_MANY_REQUESTS "share-used" "Publishing share used up",
    TooManyOpenTasks TOO_MANY_REQUESTS
        "too-many-open-tasks" "Too many open tasks of the caller",
    BytesUsed TOO_MANY_REQUESTS "bytes-used" "Submitted bytes of the hour used up",
    Internal INTERNAL_SERVER_ERROR "internal-error" "Internal error",
    StoreFull SERVICE_UNAVAILABLE "store-full" "Store full",
    StoreUnavailable SERVICE_UNAVAILABLE "store-unavailable" "Store unavailable",
    PartitionMoving SERVICE_UNAVAILABLE
        "partition-moving" "Part of the store is moving to another node",
    NotReplicated SERVICE_UNAVAILABLE "not-replicated" "Too few replicas confirmed the write",
}
