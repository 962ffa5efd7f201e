//! Signatures of requests over NATS, where a key in a header could be read by other subscribers.
//!
//! A caller signs with HMAC-SHA256; its key is the SHA-256 of the API key, which is all that the
//! gateway keeps of a managed one. A signature is valid for a short time, and once.

use std::sync::Arc;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use poem::Request;

use crate::domain::principal::{Origin, Subject};
use crate::domain::time::Millis;
use crate::engine::KeyRing;

use super::super::end::{End, now};
use super::super::error::Refusal;
use super::proof::Proof;
use super::{Guard, Kind, Shown, proof_of, text_of};

/// The header with the signature: `<caller> <time, ms> <nonce> <HMAC in hexadecimal>`.
const SIGNATURE: &str = "orchestrator-signature";

/// The header with what was signed, which the NATS side of this process adds.
const SIGNED: &str = "orchestrator-signed";

/// How far the time of a signature may be from now, in milliseconds.
const WINDOW_MS: Millis = 30_000;

/// How long a nonce is kept, in milliseconds: longer than its signature can be valid.
const NONCE_KEPT_MS: Millis = 2 * WINDOW_MS + 10_000;

/// A signature, and the text that it must be of.
pub struct Signature {
    /// The name of the key, as [`Subject`] is displayed.
    pub caller: String,
    /// A text that the caller uses once.
    pub nonce: String,
    time: Millis,
    mac: Vec<u8>,
    text: String,
}

impl Signature {
    /// Reads the signature of a request over NATS. `None` if it has none.
    ///
    /// # Errors
    ///
    /// 401 if the signature is malformed.
    pub fn of(request: &Request) -> Result<Option<Self>, Refusal> {
        if request.extensions().get::<Origin>() != Some(&Origin::Nats) {
            return Ok(None);
        }
        let headers = request.headers();
        let Some(given) = text_of(headers, SIGNATURE)? else { return Ok(None) };
        let signed = text_of(headers, SIGNED)?.unwrap_or_default();
        let key = text_of(headers, "idempotency-key")?.unwrap_or_default();
        Self::read(given, signed, key).map(Some).ok_or_else(refusal)
    }

    fn read(given: &str, signed: &str, idempotency_key: &str) -> Option<Self> {
        let [caller, time, nonce, mac] = given.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let is_nonce = (16..=64).contains(&nonce.len()) && nonce.bytes().all(is_letter);
        let signature = Self {
            caller: caller.to_owned(),
            nonce: nonce.to_owned(),
            time: time.parse().ok()?,
            mac: HEXLOWER.decode(mac.as_bytes()).ok()?,
            text: format!("{signed} {time} {nonce} {idempotency_key}"),
        };
        is_nonce.then_some(signature)
    }

    /// Returns the key that signed, as its callers are named. `None` if no key has the name.
    pub fn subject(&self) -> Option<Subject> {
        Subject::of_actor(&self.caller)
    }

    /// Returns whether the time of the signature is near `now`, in milliseconds since 1970.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.time.abs_diff(now) <= WINDOW_MS
    }

    /// Returns whether the API key with this SHA-256 made the signature.
    pub fn is_by(&self, sha256: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, sha256);
        hmac::verify(&key, self.text.as_bytes(), &self.mac).is_ok()
    }
}

impl Guard {
    /// Returns what a signature proves. Its nonce is not taken yet.
    pub(super) fn signed(&self, signature: &Signature) -> Result<Shown, Refusal> {
        let subject = signature.subject().ok_or_else(refusal)?;
        let now = self.managed.as_ref().map_or_else(|| now() * 1_000, KeyRing::now);
        if !signature.is_fresh(now) {
            return Err(refusal());
        }
        let mut configured = self.keys.iter().filter(|(_, one)| *one.subject() == subject);
        if let Some((_, principal)) = configured.find(|(sha256, _)| signature.is_by(&sha256[..])) {
            let proof = Proof { principal: Arc::clone(principal), end: End::default() };
            return Ok(Shown { proof, kind: Kind::Configured });
        }
        let managed = self.managed.as_ref().map(|ring| ring.secrets_of(&subject));
        let mut managed = managed.into_iter().flatten();
        let found = managed.find(|sha256| {
            HEXLOWER.decode(sha256.as_bytes()).is_ok_and(|bytes| signature.is_by(&bytes))
        });
        let ring = self.managed.as_ref();
        let found = found.and_then(|sha256| ring.and_then(|ring| ring.find(&sha256)));
        let found = found.ok_or_else(refusal)?;
        Ok(Shown { proof: proof_of(&found), kind: Kind::Configured })
    }

    /// Takes the nonce of a signed request, whose signature is valid. Other requests have none.
    ///
    /// # Errors
    ///
    /// 401 if a request with the nonce came before; 503 if the store does not answer.
    pub(super) async fn take_nonce(&self, request: &Request) -> Result<(), Refusal> {
        let Some(Signature { caller, nonce, .. }) = Signature::of(request)? else { return Ok(()) };
        let Some(ring) = &self.managed else { return Err(refusal()) };
        let is_first = ring.take_nonce(&caller, &nonce, NONCE_KEPT_MS).await?;
        is_first.then_some(()).ok_or_else(refusal)
    }
}

/// The refusal of a signature, the same for every fault of it.
fn refusal() -> Refusal {
    Refusal::unauthenticated(
        "Invalid signature. Check the key and its name, the clock (30 s), what is signed, and that \
         each request has a nonce of its own.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(key: &[u8], text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref())
    }

    #[test]
    fn signature_is_of_all_that_is_signed_and_of_its_key() {
        let nonce = "0123456789abcdef";
        let text = format!("a.b _INBOX.x 00ff 1000 {nonce} once");
        let given = format!("key:ops 1000 {nonce} {}", mac(&[7; 32], &text));
        let read = |given: &str, signed, key| Signature::read(given, signed, key);

        let signature = read(&given, "a.b _INBOX.x 00ff", "once").unwrap();
        assert!(signature.is_by(&[7; 32]) && !signature.is_by(&[8; 32]));
        assert!(signature.is_fresh(31_000) && !signature.is_fresh(31_001));
        for (signed, key) in [
            ("a.c _INBOX.x 00ff", "once"),
            ("a.b _INBOX.y 00ff", "once"),
            ("a.b _INBOX.x 00fe", "once"),
            ("a.b _INBOX.x 00ff", ""),
        ] {
            assert!(!read(&given, signed, key).unwrap().is_by(&[7; 32]), "{signed} {key}");
        }
        let later = given.replace(" 1000 ", " 1001 ");
        assert!(!read(&later, "a.b _INBOX.x 00ff", "once").unwrap().is_by(&[7; 32]));
    }

    #[test]
    fn malformed_signature_is_none() {
        for given in [
            "",
            "key:ops 1000 0123456789abcdef",
            "key:ops 1000 0123456789abcdef zz",
            "key:ops 1000 short 00",
            "key:ops 1000 0123456789abcde! 00",
            "key:ops -1 0123456789abcdef 00",
            "key:ops  1000 0123456789abcdef 00",
        ] {
            assert!(Signature::read(given, "", "").is_none(), "{given:?}");
        }
    }
}
