//! Managed API keys: the form of their secrets, and what is stored about each.
//!
//! A secret is `orc_`, 43 letters and digits that are drawn at random (256 bits), and a checksum of
//! 6. So scanners recognise a leaked secret, and a mistyped one is known to be wrong.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::name::Name;
use super::principal::{Principal, Role, Subject};
use super::restrictions::Restrictions;
use super::time::Millis;

/// What every secret begins with.
pub const PREFIX: &str = "orc_";

/// How many random letters a secret has: 43 of 62 letters are 256 bits.
const RANDOM: usize = 43;

/// How many letters the checksum has: enough for 32 bits.
const CHECKSUM: usize = 6;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a secret.
///
/// * `draw`: returns a random byte.
///
/// # Errors
///
/// Those of `draw`.
pub fn new_secret<E>(mut draw: impl FnMut() -> Result<u8, E>) -> Result<String, E> {
    let mut random = String::with_capacity(RANDOM);
    while random.len() < RANDOM {
        let byte = usize::from(draw()?);
        // Beyond the last multiple of 62 some letters would be more likely than others.
        if byte < 4 * LETTERS.len() {
            random.push(char::from(LETTERS[byte % LETTERS.len()]));
        }
    }
    let checksum = checksum(&random);
    Ok(format!("{PREFIX}{random}{checksum}"))
}

/// Returns whether the text is a secret without a typing error.
pub fn is_secret(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let is_complete = rest.len() == RANDOM + CHECKSUM && rest.is_ascii();
    is_complete && checksum(&rest[..RANDOM]) == rest[RANDOM..]
}

/// The CRC-32 of the text, in base 62.
fn checksum(text: &str) -> String {
    let mut crc = crc32fast::hash(text.as_bytes()) as usize;
    let mut letters = [0; CHECKSUM];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[crc % LETTERS.len()];
        crc /= LETTERS.len();
    }
    letters.iter().map(|letter| char::from(*letter)).collect()
}

/// A managed API key, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The id, which never changes.
    pub id: Uuid,
    /// The name of the caller, unique among all keys: its principal is `key:<name>`.
    pub name: Name,
    /// The person or service that the key belongs to; `None` if that is the one of its name.
    pub identity: Option<String>,
    /// The role, which decides what the key may do at the most.
    pub role: Role,
    /// What the key may do less than its role allows.
    pub restrictions: Restrictions,
    /// When the key was created, in milliseconds since 1970.
    pub created_at: Millis,
    /// Who created it, as [`Principal`] is displayed, or `orchestrator`.
    pub created_by: String,
    /// When the newest secret was made, in milliseconds since 1970.
    pub rotated_at: Millis,
    /// When and by whom the key was revoked; `None` if it was not.
    pub revoked: Option<Revocation>,
    /// The secrets that prove it, the newest first; none if it is revoked.
    pub secrets: Vec<SecretDigest>,
}

/// The end of a key before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When the key was revoked, in milliseconds since 1970.
    pub at: Millis,
    /// Who revoked it, as [`Principal`] is displayed.
    pub by: String,
}

/// What is stored about a secret: nothing from which it could be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDigest {
    /// SHA-256 of the secret, hexadecimal.
    pub sha256: String,
    /// The public key that verifies the browser sessions of this secret, Ed25519 in base64url.
    pub session_key: String,
    /// When the secret ends because a newer one replaces it, in milliseconds since 1970; `None` for
    /// the newest.
    pub until: Option<Millis>,
}

impl ApiKey {
    /// Returns the name of the key among all credentials.
    pub fn subject(&self) -> Subject {
        Subject::Key(self.name.to_string())
    }

    /// Returns the caller that the key proves. `None` if no caller can have the name.
    pub fn principal(&self) -> Option<Principal> {
        let principal = Principal::new(self.subject(), self.role).ok()?;
        Some(principal.restricted(self.restrictions.clone()))
    }

    /// Returns when the key ended, in milliseconds since 1970. `None` if it is valid at `now`.
    pub fn ended_at(&self, now: Millis) -> Option<Millis> {
        let revoked = self.revoked.as_ref().map(|revocation| revocation.at);
        revoked.or(self.restrictions.expires_at.filter(|expiry| *expiry <= now))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn secret_of(bytes: &[u8]) -> String {
        let mut bytes = bytes.iter().cycle();
        new_secret(|| Ok::<_, Infallible>(*bytes.next().unwrap())).unwrap()
    }

    #[test]
    fn a_secret_has_a_prefix_and_a_checksum() {
        let secret = secret_of(&[0, 61, 255, 62, 247]);

        assert!(secret.starts_with("orc_0z0z0z") && secret.len() == 53, "{secret}");
        assert!(is_secret(&secret));
        // The checksum of 43 zeros, computed by another program.
        assert_eq!(secret_of(&[0]), format!("orc_{}2CZclj", "0".repeat(43)));
    }

    #[test]
    fn every_mistyped_letter_is_noticed() {
        let secret = secret_of(&[7, 30, 55, 120, 9, 200]);
        for place in 0..secret.len() {
            let letter = if &secret[place..=place] == "x" { "y" } else { "x" };
            let mut wrong = secret.clone();
            wrong.replace_range(place..=place, letter);
            assert!(!is_secret(&wrong), "{wrong}");
        }
        for wrong in ["", "orc_", "orc_é", &secret[..52], &format!("{secret}0")] {
            assert!(!is_secret(wrong), "{wrong}");
        }
    }
}
