//! Tokens: JSON Web Tokens of an issuer that the operator trusts. It signs with a secret that the
//! gateway has too (HS256), or with a key of which the gateway knows the public half.

use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;

use crate::domain::principal::{Principal, Role};
use crate::domain::restrictions::Restrictions;

use super::super::end::now;
use super::super::error::Refusal;
use super::super::settings::{Auth, Error};
use super::claims::{Claims, LEEWAY_SECONDS, Meaning, caller, decoded, invalid, text, validation};
use super::configured::check_strength;
use super::header;
use super::jwks::Jwks;

/// The shortest secret for tokens, in bytes: a shorter one is weaker than the 256-bit hash of
/// HS256.
const MIN_SECRET_BYTES: usize = 32;

/// Verifies tokens.
pub struct Tokens {
    /// What verifies HS256. `None` if no such token is accepted.
    secret: Option<DecodingKey>,
    /// What verifies the tokens of an identity provider. `None` if none is trusted.
    provider: Option<Provider>,
    /// How far in the future a token may end, in seconds.
    longest: u64,
    /// The claim that names the tenant of the caller. Empty if tokens are of no tenant.
    tenant_claim: String,
}

/// An identity provider, and what its tokens mean.
struct Provider {
    keys: Jwks,
    meaning: Meaning,
}

impl Tokens {
    /// Reads the settings. Returns `None` if no token is accepted.
    pub fn of(settings: &Auth) -> Result<Option<Self>, Error> {
        let secret = settings.jwt_secret.as_ref().map(|secret| secret_key(secret.expose()));
        let secret = secret.transpose()?;
        let provider = Provider::of(settings)?;
        let longest = settings.jwt_max_seconds;
        let is_any = secret.is_some() || provider.is_some();
        let tenant_claim = settings.tenant_claim.clone();
        Ok(is_any.then_some(Self { secret, provider, longest, tenant_claim }))
    }

    /// Returns the caller of a token, and when it ends, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// 401 if the token is not valid.
    pub fn verify(&self, token: &str) -> Result<(Principal, u64), Refusal> {
        let head = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let (claims, role, restrictions) = match (head.alg, &self.secret, &self.provider) {
            (Algorithm::HS256, Some(key), _) => {
                let claims = decoded(token, key, &validation(Algorithm::HS256))?;
                let role = text(&claims, "role").and_then(|role| role.parse().ok());
                (claims, role.ok_or_else(invalid)?, Restrictions::default())
            }
            (_, _, Some(provider)) => provider.verify(token, &head)?,
            _ => return Err(invalid()),
        };
        header::check(&head)?;
        let exp = claims.get("exp").and_then(Value::as_f64).ok_or_else(invalid)? as u64;
        if exp > now().saturating_add(self.longest).saturating_add(LEEWAY_SECONDS) {
            return Err(Refusal::unauthenticated(&format!(
                "The token's `exp` is more than {} seconds ahead, which is the limit of \
                 `auth.jwt_max_seconds`.",
                self.longest
            )));
        }
        Ok((caller(&claims, "sub", &self.tenant_claim, role, restrictions)?, exp))
    }
}

impl Provider {
    fn of(settings: &Auth) -> Result<Option<Self>, Error> {
        if settings.jwks.is_empty() {
            return Ok(None);
        }
        for (key, value) in
            [("jwks_issuer", &settings.jwks_issuer), ("jwks_audience", &settings.jwks_audience)]
        {
            if value.is_empty() {
                let why =
                    "is required with `auth.jwks`: other tokens of the provider must not count";
                return Err(Error::refused(format!("auth.{key}"), why));
            }
        }
        Ok(Some(Self {
            keys: Jwks::start(settings)?,
            meaning: Meaning::of(settings, &settings.jwks_issuer, &settings.jwks_audience),
        }))
    }

    fn verify(&self, token: &str, head: &Header) -> Result<(Claims, Role, Restrictions), Refusal> {
        let key = self.keys.find(head.kid.as_deref(), head.alg).ok_or_else(invalid)?;
        let claims = self.meaning.verify(token, &key, head.alg)?;
        let (role, restrictions) = self.meaning.role(&claims)?;
        Ok((claims, role, restrictions))
    }
}

fn secret_key(secret: &str) -> Result<DecodingKey, Error> {
    if secret.len() < MIN_SECRET_BYTES {
        let why = format!("has {} bytes; use at least {MIN_SECRET_BYTES}", secret.len());
        return Err(Error::refused("auth.jwt_secret", why));
    }
    check_strength("auth.jwt_secret", secret)?;
    Ok(DecodingKey::from_secret(secret.as_bytes()))
}
