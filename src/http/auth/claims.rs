//! The claims of tokens: whether a token is of its issuer and for this gateway, and which role and
//! scopes the claims of an identity provider mean.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::domain::name::{Name, PATTERN};
use crate::domain::principal::{Principal, Role, Scope, Subject};
use crate::domain::restrictions::Restrictions;

use super::super::error::Refusal;
use super::super::settings::Auth;

/// How far the clock of a token's issuer may differ from ours, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// The tenant in a token whose caller sees all tenants.
const ALL_TENANTS: &str = "*";

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// Whose tokens count, and what their claims mean.
pub struct Meaning {
    issuer: String,
    audience: String,
    /// The claims whose words name roles.
    role_claims: Vec<String>,
    /// The roles of those words that are no roles themselves.
    roles: BTreeMap<String, Role>,
    /// The claim whose words are scopes; empty if the role alone decides.
    scope_claim: String,
}

impl Meaning {
    /// The meaning of tokens of this issuer for this audience; roles and scopes are as configured.
    pub fn of(settings: &Auth, issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            role_claims: settings.role_claims.clone(),
            roles: settings.token_roles.clone(),
            scope_claim: settings.scope_claim.clone(),
        }
    }

    /// Returns the claims of a token that this key verifies.
    ///
    /// # Errors
    ///
    /// 401 if the token is not valid, or of another issuer or for another audience.
    pub fn verify(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Claims, Refusal> {
        let mut validation = validation(algorithm);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_aud = true;
        decoded(token, key, &validation)
    }

    /// Returns the highest role that the claims name, and the restriction to their scopes.
    ///
    /// # Errors
    ///
    /// 401 if they name no role, or no scope of it.
    pub fn role(&self, claims: &Claims) -> Result<(Role, Restrictions), Refusal> {
        let words = self.role_claims.iter().flat_map(|claim| words(claims, claim));
        let roles =
            words.filter_map(|word| self.roles.get(word).copied().or_else(|| word.parse().ok()));
        let role = roles.max().ok_or_else(|| {
            let claims = self.role_claims.join(", ");
            Refusal::unauthenticated(&format!("No role is in the token's claims {claims}."))
        })?;
        Ok((role, self.restrictions(claims, role)?))
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

/// What every token must satisfy. The secret of HS256 alone determines the audience.
pub fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "sub"]);
    validation
}

/// Returns the claims of a token that the key verifies.
///
/// # Errors
///
/// 401 if the token does not satisfy `validation`.
pub fn decoded(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, Refusal> {
    let read = jsonwebtoken::decode::<Claims>(token, key, validation);
    read.map(|read| read.claims).map_err(|error| {
        tracing::debug!(%error, "token refused");
        invalid()
    })
}

/// 401: the token is not valid.
pub fn invalid() -> Refusal {
    Refusal::unauthenticated(
        "Invalid token. It must be signed with the secret of this gateway (HS256), or with a key \
         of its identity provider for its issuer and audience, be within `exp`, and carry `sub` \
         and a role: user, agent, approver or admin.",
    )
}

/// Returns the caller whose name a claim has.
///
/// * `tenant_claim`: the claim with the tenant to which the caller is bound; empty if none has it.
///
/// # Errors
///
/// 401 if there is no such claim, or no caller may have the name.
pub fn caller(
    claims: &Claims,
    name_claim: &str,
    tenant_claim: &str,
    role: Role,
    restrictions: Restrictions,
) -> Result<Principal, Refusal> {
    let name = text(claims, name_claim).ok_or_else(invalid)?;
    let principal = Principal::new(Subject::User(name.to_owned()), role).map_err(|error| {
        Refusal::unauthenticated(&format!("The token's `{name_claim}` is not valid: {error}."))
    })?;
    let tenant = tenant_of(claims, tenant_claim)?;
    Ok(principal.restricted(Restrictions { tenant, ..restrictions }))
}

/// Returns the tenant that a claim names. `None` if it names every tenant, or no claim has it.
fn tenant_of(claims: &Claims, claim: &str) -> Result<Option<Name>, Refusal> {
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

/// The text of a claim. `None` if there is none.
pub fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
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
