//! The header that carries a token, and the token's own header: whether this gateway reads the
//! token as its issuer means it.

use jsonwebtoken::Header;
use serde_json::Value;

use super::super::error::Refusal;

/// Returns the token of `Bearer <token>`, or `None` for another scheme. The case of the scheme does
/// not matter.
pub(super) fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Refuses a token whose header demands processing that this gateway does not do.
pub(super) fn check(header: &Header) -> Result<(), Refusal> {
    if is_understood(header) {
        return Ok(());
    }
    Err(Refusal::unauthenticated(
        "The token's header demands unsupported processing: send one with `typ` JWT or none, \
         and without `crit`, `cty`, `enc`, `zip` and `b64`.",
    ))
}

/// Whether a plain signed token has the meaning that its issuer intends (RFC 7515, 4.1.11; RFC
/// 7519, 5).
fn is_understood(header: &Header) -> bool {
    header.typ.as_deref().is_none_or(is_jwt)
        && header.crit.is_none()
        && header.cty.is_none()
        && header.enc.is_none()
        && header.zip.is_none()
        && matches!(header.extras.get::<Value>("b64"), Ok(None))
}

fn is_jwt(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_an_unsupported_header_is_refused() {
        let plain = Header::default;
        let mut unencoded = plain();
        unencoded.extras.insert("b64", false);
        let mut named = plain();
        named.extras.insert("tenant", "a");
        let kind = |kind: &str| Header { typ: Some(kind.to_owned()), ..plain() };
        let named_key = Header { typ: None, kid: Some("1".to_owned()), ..plain() };
        for good in [plain(), named, named_key, kind("at+jwt"), kind("application/JWT")] {
            assert!(is_understood(&good), "{good:?}");
        }
        let critical = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned());
            Header { crit: Some(words.collect()), ..plain() }
        };
        let nested = Header { cty: Some("JWT".to_owned()), ..plain() };
        for bad in [critical(&["exp"]), critical(&[]), kind("JOSE+JSON"), nested, unencoded] {
            assert!(!is_understood(&bad), "{bad:?}");
        }
    }
}
