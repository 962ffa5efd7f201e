//! Tokens: JSON Web Tokens of an issuer that the operator trusts.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::domain::principal::{Principal, Role, Subject};

use super::super::error::Refusal;
use super::super::settings::{Auth, Error};
use super::header;

/// How far the clock of a token's issuer may differ from ours, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// The shortest secret for tokens, in bytes: a shorter one is weaker than the 256-bit hash of
/// HS256.
const MIN_SECRET_BYTES: usize = 32;

/// The claims of a token that the gateway reads; it ignores any other.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: Role,
    exp: f64,
}

/// Verifies tokens.
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Reads the settings. Returns `None` if no token is accepted.
    pub fn of(settings: &Auth) -> Result<Option<Self>, Error> {
        let Some(secret) = &settings.jwt_secret else { return Ok(None) };
        let secret = secret.expose();
        if secret.len() < MIN_SECRET_BYTES {
            let why = format!("has {} bytes; use at least {MIN_SECRET_BYTES}", secret.len());
            return Err(Error::refused("auth.jwt_secret", why));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        // The secret alone determines the audience of a token: no setting names one.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let key = DecodingKey::from_secret(secret.as_bytes());
        Ok(Some(Self { key, validation }))
    }

    /// Returns the caller of a token, and when it ends, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// 401 if the token is not valid.
    pub fn verify(&self, token: &str) -> Result<(Principal, u64), Refusal> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        let read = read.map_err(|error| {
            tracing::debug!(%error, "token refused");
            Refusal::unauthenticated(
                "Invalid token. It must be signed by HS256 with the secret of this gateway, be \
                 within `exp`, and carry `sub` and a `role` of user, agent, approver or admin.",
            )
        })?;
        header::check(&read.header)?;
        let exp = read.claims.exp as u64;
        let principal = Principal::new(Subject::User(read.claims.sub), read.claims.role);
        principal.map(|principal| (principal, exp)).map_err(|error| {
            Refusal::unauthenticated(&format!("The token's `sub` is not valid: {error}."))
        })
    }
}
