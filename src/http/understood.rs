//! Refuses requests that say more outside of their body than the operation understands: unknown or
//! repeated query parameters, headers that the operation does not take, a body where none is read.
//!
//! The API document says which operation takes what, so a new operation needs no code here.

use poem::http::{HeaderMap, HeaderName, header};
use poem::{Endpoint, Request, Response};

use super::auth::API_KEY_HEADER;
use super::error::Refusal;
use super::events::LAST_EVENT_ID;
use super::openapi::{Operation, Template};
use super::settings::UnknownMembers;
use crate::domain::nearest::hint;

/// The header that makes a submission safe to repeat, in lower case.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Headers that may be sent only once: a second value would be ignored, though it may be the
/// intended one.
const ONCE: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static(API_KEY_HEADER),
    HeaderName::from_static(IDEMPOTENCY_KEY),
    HeaderName::from_static(LAST_EVENT_ID),
    header::CONTENT_TYPE,
];

/// A layer that refuses such requests before the API sees them.
pub struct RequestCheck<E> {
    /// The endpoint behind this layer.
    pub inner: E,
    /// Whether to refuse parameters that the operation does not have.
    pub policy: UnknownMembers,
}

impl<E: Endpoint<Output = Response>> Endpoint for RequestCheck<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        check(&request, self.policy)?;
        self.inner.call(request).await
    }
}

/// Refuses a request that is not understood in full.
pub fn check(request: &Request, policy: UnknownMembers) -> Result<(), Refusal> {
    let headers = request.headers();
    for name in ONCE {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Refusal::unreadable(format!(
                "The header `{name}` is sent twice. Send it once."
            )));
        }
    }
    let query = request.uri().query().unwrap_or_default();
    let keyed = headers.keys().find(|name| is_idempotency(name.as_str()));
    let has_body = has_body(headers);
    if query.is_empty() && keyed.is_none() && !has_body {
        return Ok(());
    }
    // The router refuses an unknown path or method.
    let operation = Template::of(request.uri().path())
        .and_then(|template| template.operation(request.method().as_str()));
    let Some(operation) = operation else { return Ok(()) };
    check_query(query, operation, policy)?;
    if let Some(name) = keyed {
        check_key(name.as_str(), operation)?;
    }
    if has_body && !operation.takes_body && policy == UnknownMembers::Refuse {
        return Err(Refusal::unreadable("This call takes no body. Send it without one."));
    }
    Ok(())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    length.is_some_and(|length| length != "0") || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether a header is `Idempotency-Key`, or one of the names that some clients send instead.
fn is_idempotency(name: &str) -> bool {
    if !name.contains("idempoten") {
        return false;
    }
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let plain = letters.strip_prefix('x').unwrap_or(&letters);
    ["idempotencykey", "idempotentkey", "idempotencyid", "idempotencytoken"].contains(&plain)
}

fn check_key(name: &str, operation: &Operation) -> Result<(), Refusal> {
    if !operation.takes_key {
        let items = "Give each item its own `idempotency_key` where the body has one.";
        return Err(Refusal::unreadable(format!("This call takes no header `{name}`. {items}")));
    }
    if name != IDEMPOTENCY_KEY {
        let hint = "did you mean `Idempotency-Key`?";
        return Err(Refusal::unreadable(format!("The header `{name}` is not known here; {hint}")));
    }
    Ok(())
}

fn check_query(query: &str, operation: &Operation, policy: UnknownMembers) -> Result<(), Refusal> {
    let known = &operation.parameters;
    let mut given = Vec::with_capacity(known.len());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(_)) = (decoded(name), decoded(value)) else {
            let why = "The query is not percent-encoded UTF-8. Write `%` as `%25`.";
            return Err(Refusal::unreadable(why));
        };
        let Some(nth) = known.iter().position(|known| *known == name) else {
            if policy == UnknownMembers::Ignore {
                continue;
            }
            let hint = hint(&name, known.iter().map(String::as_str));
            let shown: String = name.chars().take(64).collect();
            let detail = format!("The query parameter `{shown}` is not known here; {hint}");
            return Err(Refusal::unreadable(detail));
        };
        if given.contains(&nth) {
            return Err(Refusal::parameter(&name, "is given twice"));
        }
        given.push(nth);
    }
    Ok(())
}

/// Decodes a part of a query; `None` if it is not percent-encoded UTF-8.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_or_refused() {
        assert_eq!(decoded("a+b%20%C3%A9").unwrap(), "a b é");
        for bad in ["%", "%2", "%zz", "%ff", "%+1"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_idempotency_header_is_recognised() {
        for meant in ["idempotency-key", "x-idempotency-key", "idempotency_key", "idempotent-key"] {
            assert!(is_idempotency(meant), "{meant}");
        }
        for other in ["x-key", "idempotency-replayed", "x-idempotent-proxy"] {
            assert!(!is_idempotency(other), "{other}");
        }
    }
}
