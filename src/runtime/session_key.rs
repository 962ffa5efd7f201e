//! The key pair of the browser sessions of a secret. The secret gives the private key, which only
//! its bearer can know; what the public key verifies cannot be forged by a reader of the store.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};

/// What stands before the 32 bytes of a private key of Ed25519 in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Returns the key that signs the sessions of `secret`, as EdDSA.
pub fn signing(secret: &str) -> EncodingKey {
    let mut hash = Sha256::new();
    hash.update(b"orchestrator session key\0");
    hash.update(secret.as_bytes());
    let seed = hash.finalize();
    EncodingKey::from_ed_der(&[PKCS8.as_slice(), seed.as_slice()].concat())
}

/// Returns the public half of [`signing`], in base64url.
///
/// # Errors
///
/// None for any secret, unless the cryptographic library fails.
pub fn public(secret: &str) -> Result<String, Error> {
    match Jwk::from_encoding_key(&signing(secret), Algorithm::EdDSA)?.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) => Ok(pair.x),
        _ => Err(ErrorKind::InvalidEddsaKey.into()),
    }
}

/// Returns the key that verifies the sessions whose public key this is.
///
/// # Errors
///
/// The text is no base64url.
pub fn verifying(public: &str) -> Result<DecodingKey, Error> {
    DecodingKey::from_ed_components(public)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Header, Validation};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_the_public_key_of_the_secret_verifies_its_sessions() {
        let session = jsonwebtoken::encode(
            &Header::new(Algorithm::EdDSA),
            &json!({ "exp": 4_000_000_000u64 }),
            &signing("orc_one"),
        );
        let session = session.unwrap();
        let verify = |secret: &str| {
            let key = verifying(&public(secret).unwrap()).unwrap();
            jsonwebtoken::decode::<Value>(&session, &key, &Validation::new(Algorithm::EdDSA))
        };

        assert!(verify("orc_one").is_ok());
        assert!(verify("orc_two").is_err());
    }
}
