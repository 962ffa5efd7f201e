//! The rates of callers on the wire: calls are counted, and answers say where the caller stands.
//!
//! Answers have the fields of the current IETF draft (draft-ietf-httpapi-ratelimit-headers),
//! `RateLimit-Policy` and `RateLimit`, because these name the class. For clients that know only the
//! older convention they have `X-RateLimit-Limit`, `-Remaining` and `-Reset` too, the last one in
//! seconds from now.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue};
use poem::{Endpoint, Request, Response};

use crate::domain::call_class::CallClass;
use crate::domain::principal::Principal;
use crate::engine::{Admission, Rates, Standing};

use super::error::Refusal;
use super::peer::Peer;

/// The headers that say where a caller stands, in lower case.
pub const HEADERS: [&str; 5] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// The account of one caller in one class, for the time of a request.
#[derive(Clone)]
pub struct Account {
    /// `None` where calls need no engine.
    rates: Option<Rates>,
    peer: Option<Peer>,
    caller: Arc<str>,
    class: CallClass,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}", self.class, self.caller)
    }
}

impl Account {
    /// Counts a call of the caller.
    ///
    /// # Errors
    ///
    /// 429 if the caller has no call of the class left.
    pub async fn open(
        request: &Request,
        principal: &Principal,
        class: CallClass,
    ) -> Result<Self, Refusal> {
        let rates = request.data::<Rates>().cloned();
        let peer = request.data::<Peer>().cloned();
        let caller = peer.as_ref().map_or_else(|| principal.to_string().into(), Peer::principal);
        let account = Self { rates, peer, caller, class };
        account.count(1, 0).await?;
        Ok(account)
    }

    /// The account of the same caller in another class.
    pub fn in_class(&self, class: CallClass) -> Self {
        Self { class, ..self.clone() }
    }

    /// Counts calls of the caller.
    ///
    /// * `before`: how many were counted for the same request before.
    ///
    /// # Errors
    ///
    /// 429 if the caller has fewer calls of the class left; then none is counted.
    pub async fn count(&self, calls: usize, before: usize) -> Result<(), Refusal> {
        let Some(rates) = self.rates.as_ref().filter(|_| calls > 0) else { return Ok(()) };
        let (calls, before) = (calls as u64, before as u64);
        let admission = rates.admit(&self.caller, self.class, calls, before).await;
        let (standing, is_admitted) = match admission {
            Admission::Unlimited => return Ok(()),
            Admission::Admitted(standing) => (standing, true),
            Admission::Refused(standing) => (standing, false),
        };
        if let Some(peer) = &self.peer {
            peer.stands(standing);
        }
        if is_admitted { Ok(()) } else { Err(Refusal::rate_limited(&standing)) }
    }
}

/// A layer that adds to the answers of limited callers where they stand.
pub struct RatesLayer<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for RatesLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let peer = request.data::<Peer>().cloned();
        let mut response = self.0.call(request).await?;
        if let Some(standing) = peer.and_then(|peer| peer.standing()) {
            write(response.headers_mut(), &standing);
        }
        Ok(response)
    }
}

fn write(headers: &mut HeaderMap, standing: &Standing) {
    let Standing { class, quota, window_s, left, rest_ms } = standing;
    let reset = rest_ms.div_ceil(1_000);
    let values = [
        format!("\"{class}\";q={quota};w={window_s}"),
        format!("\"{class}\";r={left};t={reset}"),
        quota.to_string(),
        left.to_string(),
        reset.to_string(),
    ];
    for (name, value) in HEADERS.into_iter().zip(values) {
        // The values are ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_name_class_quota_rest_and_reset() {
        let mut headers = HeaderMap::new();
        let class = CallClass::Write;

        write(
            &mut headers,
            &Standing { class, quota: 500, window_s: 10, left: 42, rest_ms: 2_001 },
        );

        let values = HEADERS.map(|name| headers[name].to_str().unwrap());
        assert_eq!(values, ["\"write\";q=500;w=10", "\"write\";r=42;t=3", "500", "42", "3"]);
    }
}
