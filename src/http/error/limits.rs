//! Refusals of what cannot be read or has no room, and of what comes too slowly.

use poem::http::StatusCode;

use super::{Cause, Refusal};

impl Refusal {
    /// 415: the header `name` says that the body is not plain JSON but `found`.
    pub fn encoded_body(name: &str, found: &str) -> Self {
        let detail = format!(
            "The header `{name}` says `{found}`. Bodies are read as they are: send the JSON itself, \
             without compression."
        );
        Self::new(Cause::UnsupportedMediaType, detail)
    }

    /// 408: the head of a request did not arrive in time.
    pub fn slow_head() -> Self {
        let detail =
            "The head of the request was not there within `http.header_timeout_ms`. Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// 408: the body did not arrive in time.
    pub fn slow_body() -> Self {
        let detail = "The body was not there within `http.body_timeout_ms`, or came at less than \
                      `http.min_bytes_per_second`. Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// What came is no request that can be answered; `status` says why.
    pub fn no_request(status: u16) -> Self {
        match StatusCode::from_u16(status) {
            Ok(StatusCode::URI_TOO_LONG) => {
                Self::new(Cause::UriTooLong, "Send a shorter path and query.")
            }
            Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                let detail = "Send at most 100 headers, which with the first line have at most `http.max_header_bytes`.";
                Self::new(Cause::HeadTooLarge, detail)
            }
            Ok(StatusCode::HTTP_VERSION_NOT_SUPPORTED) => {
                Self::new(Cause::HttpVersion, "Send HTTP/1.1 requests; HTTP/2 is not spoken here.")
            }
            Ok(_) | Err(_) => Self::unreadable("What came is not an HTTP/1.1 request."),
        }
    }

    /// 413: the answer has `found` bytes, and what carries it takes `room`.
    pub fn answer_too_large(found: usize, room: usize, is_read: bool) -> Self {
        let advice = if is_read {
            "Ask for less, or over HTTP."
        } else {
            "What was asked for is done; get what came of it over HTTP."
        };
        let detail = format!("The answer has {found} bytes, and NATS takes {room} here. {advice}");
        Self::new(Cause::AnswerTooLarge, detail)
    }

    /// 429: too many calls of the caller wait.
    pub fn too_many_waits() -> Self {
        let detail = "Long-polls and event streams of one caller are limited by \
                      `http.max_waits_per_principal`. End some, or send `wait_ms` 0.";
        Self::new(Cause::TooManyWaits, detail)
    }

    /// 429: the caller's bodies hold too many bytes.
    pub fn too_many_bytes() -> Self {
        let detail = "Bodies of one caller that are read at once are limited to a quarter of \
                      `http.max_inflight_bytes`. Send fewer at once.";
        Self::new(Cause::TooManyBytes, detail)
    }

    /// 503: there is no room for the request now.
    pub fn overloaded() -> Self {
        Self::new(Cause::Overloaded, "There is no room for the request now. Send it again later.")
    }
}
