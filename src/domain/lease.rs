//! The proof that a report comes from the worker that claimed the task.

use std::fmt;

use sha2::{Digest, Sha256};

/// The number of an attempt, which every report carries beside the [`Lease`]; 0 before any claim.
pub type Attempt = u32;

/// The token of one claim, which every report on its tasks carries. Each claim has its own.
///
/// `Debug` does not show the token, and the store keeps only its [`Lease::seal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    /// Returns the token for these random bits: 22 characters of `A-Z a-z 0-9 - _`.
    pub fn new(bits: [u8; 16]) -> Self {
        Self(base64url(&bits))
    }

    /// Wraps the text that a caller sent as its token, without any check.
    pub fn from_caller(text: String) -> Self {
        Self(text)
    }

    /// Returns the secret token, for the response to the claim and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what the store keeps: 22 characters that depend on the token and the caller.
    pub fn seal(&self, actor: &str) -> String {
        let hash = Sha256::new().chain_update(actor).chain_update("\n").chain_update(&self.0);
        base64url(&hash.finalize()[..16])
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// How a caller proves that it holds a task.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'r> {
    /// The attempt number and the token from the response to the claim.
    Lease(Attempt, &'r Lease),
    /// The name of the caller, which took the task itself instead of claiming it.
    Caller,
}

/// Returns 72 bits of SHA-256 over the parts and their lengths, as 12 characters.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    base64url(&hash.finalize()[..9])
}

/// Encodes as Base64 of RFC 4648, in the alphabet for URLs and without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |nth: usize| u32::from(group.get(nth).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..=group.len() {
            let letter = LETTERS[(bits >> (18 - 6 * nth) & 63) as usize];
            text.push(char::from(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_lease_is_sealed_for_one_caller_and_never_shown() {
        let lease = Lease::new([7; 16]);

        assert_eq!((lease.expose().len(), lease.seal("key:crew").len()), (22, 22));
        assert_eq!(
            lease.seal("key:crew"),
            Lease::from_caller(lease.expose().to_owned()).seal("key:crew")
        );
        assert_ne!(lease.seal("key:crew"), lease.seal("key:other"));
        assert_ne!(lease.seal("key:crew"), Lease::new([8; 16]).seal("key:crew"));
        assert!(!format!("{lease:?}").contains(lease.expose()));
    }
}
