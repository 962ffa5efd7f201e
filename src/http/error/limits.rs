//! Refusals of requests that cannot be read, are too large or arrive too slowly.

use poem::http::StatusCode;

use super::{Cause, Refusal};

impl Refusal {
    /// 415: the header `name` says `found`, so the body is encoded and not plain JSON.
    pub fn encoded_body(name: &str, found: &str) -> Self {
        let detail = format!(
            "The header `{name}` says `{found}`. Send the JSON itself, without compression: \
             bodies are not decoded."
        );
        Self::new(Cause::UnsupportedMediaType, detail)
    }

    /// 408: the request's head did not arrive within `http.header_timeout_ms`.
    pub fn slow_head() -> Self {
        let detail = "The head of the request did not arrive within `http.header_timeout_ms`. \
                      Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// 408: the request's body did not arrive within its time, or at its minimum rate.
    pub fn slow_body() -> Self {
        let detail = "The body did not arrive within `http.body_timeout_ms`, or arrived at less \
                      than `http.min_bytes_per_second`. Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// The bytes received are not an HTTP request that can be answered; `status` is the reason that
    /// the HTTP library gives.
    pub fn no_request(status: u16) -> Self {
        match StatusCode::from_u16(status) {
            Ok(StatusCode::URI_TOO_LONG) => {
                Self::new(Cause::UriTooLong, "Send a shorter path and query.")
            }
            Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                let detail = "Send at most 100 headers, whose bytes together with the request \
                              line are at most `http.max_header_bytes`.";
                Self::new(Cause::HeadTooLarge, detail)
            }
            Ok(StatusCode::HTTP_VERSION_NOT_SUPPORTED) => {
                Self::new(Cause::HttpVersion, "Send HTTP/1.1 requests; HTTP/2 is not supported.")
            }
            Ok(_) | Err(_) => Self::unreadable("The bytes received are not an HTTP/1.1 request."),
        }
    }

    /// 413: the answer has `found` bytes, and a NATS message takes `room`. `is_read` says whether
    /// the call changed nothing.
    pub fn answer_too_large(found: usize, room: usize, is_read: bool) -> Self {
        let advice = if is_read {
            "Request less, or use HTTP."
        } else {
            "The call is done; get its result over HTTP."
        };
        let detail = format!("The answer has {found} bytes; NATS takes {room} here. {advice}");
        Self::new(Cause::AnswerTooLarge, detail)
    }

    /// 429: too many long-polls and event streams of the caller are waiting.
    pub fn too_many_waits() -> Self {
        let detail = "The long-polls and event streams of one caller are limited by \
                      `http.max_waits_per_principal`. End some, or send `wait_ms` 0.";
        Self::new(Cause::TooManyWaits, detail)
    }

    /// 429: the bodies of the caller that are being read hold too many bytes together.
    pub fn too_many_bytes() -> Self {
        let detail = "The bodies of one caller that are read at once are limited to a quarter of \
                      `http.max_inflight_bytes`. Send fewer at once.";
        Self::new(Cause::TooManyBytes, detail)
    }

    /// 503: the gateway has no room for the request at the moment.
    pub fn overloaded() -> Self {
        Self::new(
            Cause::Overloaded,
            "The gateway has no room for the request. Send it again later.",
        )
    }
}
