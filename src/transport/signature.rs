//! Signed requests: a caller signs what it sends, and its key does not travel.

use async_nats::Message;
use sha2::{Digest, Sha256};

use crate::domain::text::hex;

use super::request::{Call, SIGNATURE};

/// The header that carries on to the handler what was signed. A caller cannot send it.
const SIGNED: &str = "Orchestrator-Signed";

/// The headers that carry a credential in clear.
const CLEAR: [&str; 2] = ["Authorization", "X-API-Key"];

/// Adds to a signed call what its caller has signed: the subject, the reply subject and the SHA-256
/// of the body, as they arrived.
///
/// * `needs_signature`: whether a credential in clear is refused.
pub(super) fn with_signed(
    mut call: Call,
    message: &Message,
    needs_signature: bool,
) -> Result<Call, String> {
    let has = |name: &str| call.headers.iter().any(|(sent, _)| *sent == name);
    if needs_signature && CLEAR.into_iter().any(has) {
        return Err("Sign the request; this deployment accepts no credential in clear over NATS. \
                    Every subscriber of the subject may have read this one: replace it."
            .to_owned());
    }
    if has(SIGNATURE) {
        let reply = message.reply.as_deref().unwrap_or_default();
        let body = hex(&Sha256::digest(&message.payload));
        call.headers.push((SIGNED, format!("{} {reply} {body}", message.subject)));
    }
    Ok(call)
}
