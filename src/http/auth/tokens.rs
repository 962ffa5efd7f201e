//! Tokens: JSON Web Tokens of an issuer that the operator trusts. It signs with a secret that the
//! gateway has too (HS256), or with a key of which the gateway knows the public half.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};

use crate::domain::name::{Name, PATTERN};
use crate::domain::principal::{Principal, Role, Scope, Subject};
use crate::domain::restrictions::Restrictions;

use super::super::end::now;
use super::super::error::Refusal;
use super::super::settings::{Auth, Error};
use super::configured::check_strength;
use super::header;
use super::jwks::Jwks;

/// How far the clock of a token's issuer may differ from ours, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// The shortest secret for tokens, in bytes: a shorter one is weaker than the 256-bit hash of
/// HS256.
const MIN_SECRET_BYTES: usize = 32;

/// The tenant in a token whose caller sees all tenants.
const ALL_TENANTS: &str = "*";

/// The claims of a token.
type Claims = Map<String, Value>;

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
    issuer: String,
    audience: String,
    /// The claims whose words name roles.
    role_claims: Vec<String>,
    /// The roles of those words that are no roles themselves.
    roles: BTreeMap<String, Role>,
    /// The claim whose words are scopes; empty if the role alone decides.
    scope_claim: String,
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
        let sub = text(&claims, "sub").ok_or_else(invalid)?;
        let principal = Principal::new(Subject::User(sub.to_owned()), role).map_err(|error| {
            Refusal::unauthenticated(&format!("The token's `sub` is not valid: {error}."))
        })?;
        let tenant = self.tenant_of(&claims)?;
        Ok((principal.restricted(Restrictions { tenant, ..restrictions }), exp))
    }

    /// Returns the tenant that the token names. `None` if it names every tenant, or tokens are of
    /// none.
    fn tenant_of(&self, claims: &Claims) -> Result<Option<Name>, Refusal> {
        let claim = self.tenant_claim.as_str();
        if claim.is_empty() {
            return Ok(None);
        }
        let words: Vec<_> = words(claims, claim).collect();
        // A token without a tenant must not see all of them by mistake.
        let tenant = match words.as_slice() {
            [ALL_TENANTS] => return Ok(None),
            [tenant] => tenant.parse::<Name>().ok(),
            _ => None,
        };
        tenant.map(Some).ok_or_else(|| {
            Refusal::unauthenticated(&format!(
                "The token's claim {claim} must name one tenant, which matches {PATTERN}, or be \
                 `{ALL_TENANTS}`."
            ))
        })
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
            issuer: settings.jwks_issuer.clone(),
            audience: settings.jwks_audience.clone(),
            role_claims: settings.role_claims.clone(),
            roles: settings.token_roles.clone(),
            scope_claim: settings.scope_claim.clone(),
        }))
    }

    fn verify(&self, token: &str, head: &Header) -> Result<(Claims, Role, Restrictions), Refusal> {
        let key = self.keys.find(head.kid.as_deref(), head.alg).ok_or_else(invalid)?;
        let mut validation = validation(head.alg);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_aud = true;
        let claims = decoded(token, &key, &validation)?;
        let words = self.role_claims.iter().flat_map(|claim| words(&claims, claim));
        let roles =
            words.filter_map(|word| self.roles.get(word).copied().or_else(|| word.parse().ok()));
        let role = roles.max().ok_or_else(|| {
            let claims = self.role_claims.join(", ");
            Refusal::unauthenticated(&format!("No role is in the token's claims {claims}."))
        })?;
        let restrictions = self.restrictions(&claims, role)?;
        Ok((claims, role, restrictions))
    }

    fn restrictions(&self, claims: &Claims, role: Role) -> Result<Restrictions, Refusal> {
        if self.scope_claim.is_empty() {
            return Ok(Restrictions::default());
        }
        let scopes = words(claims, &self.scope_claim).filter_map(|word| word.parse().ok());
        let scopes: Vec<Scope> = scopes.filter(|scope| role.allows(*scope)).collect();
        if scopes.is_empty() {
            let claim = &self.scope_claim;
            let detail = format!("The token's claim {claim} has no scope of its role `{role}`.");
            return Err(Refusal::unauthenticated(&detail));
        }
        Ok(Restrictions { scopes, ..Restrictions::default() })
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

/// What every token must satisfy. The secret of HS256 alone determines the audience.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "sub"]);
    validation
}

fn decoded(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, Refusal> {
    let read = jsonwebtoken::decode::<Claims>(token, key, validation);
    read.map(|read| read.claims).map_err(|error| {
        tracing::debug!(%error, "token refused");
        invalid()
    })
}

fn invalid() -> Refusal {
    Refusal::unauthenticated(
        "Invalid token. It must be signed with the secret of this gateway (HS256), or with a key \
         of its identity provider for its issuer and audience, be within `exp`, and carry `sub` \
         and a role: user, agent, approver or admin.",
    )
}

fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

/// The words of a claim, which is a text with spaces or a list of texts.
fn words<'c>(claims: &'c Claims, name: &str) -> impl Iterator<Item = &'c str> + use<'c> {
    let value = value_of(claims, name);
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts = value.and_then(Value::as_str).into_iter().flat_map(str::split_whitespace);
    texts.chain(list.iter().filter_map(Value::as_str))
}

/// The value of a claim. A dot in a name that no claim has goes into an object.
fn value_of<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}
