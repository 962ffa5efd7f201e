//! Sessions of browsers: a cookie that stands for a credential that its bearer has shown once.
//!
//! A cookie is a statement that the gateway signs with a key derived from the credential: from the
//! API key itself, or from the secret that signs tokens. So every gateway of a deployment can read
//! it, and it ends with the credential: a gateway that no longer has the key cannot verify its
//! sessions. The derived key signs nothing else, so that no session is a token and no token is a
//! session. The sessions of a managed key are signed by a key pair, of which the store has only the
//! public half. Those of people whom an identity provider signs in are signed with a key derived
//! from the secret that the gateway has with the provider.
//!
//! What is stored is who has signed out: that ends the sessions of the caller that began before.

use std::collections::HashMap;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use poem::Request;
use poem::http::uri::Scheme;
use poem::http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::name::Name;
use crate::domain::principal::{Principal, Role, Scope, Subject};
use crate::domain::restrictions::Restrictions;
use crate::domain::text::hex;
use crate::domain::time::Millis;
use crate::engine::{KeyRing, SESSION_SECONDS};
use crate::runtime::session_key;

use super::super::end::{End, now};
use super::super::error::Refusal;
use super::configured::sha256;
use super::proof::Proof;
use super::site::Site;
use super::{Kind, proof_of};

/// The name of the cookie where the page is not served over TLS.
const PLAIN: &str = "orchestrator_session";

/// The name of the cookie on TLS: browsers accept it only for this host, and only over TLS.
const SECURE: &str = "__Host-orchestrator_session";

/// The name, in the head of a session, of the credential of all tokens.
const TOKENS: &str = "token";

/// The same, of the secret with the identity provider that signs people in.
const PROVIDER: &str = "provider";

/// What the name of a managed key's secret, its SHA-256 in hexadecimal, begins with.
const MANAGED: &str = "managed:";

/// The keys that sign and verify the sessions of one credential.
struct Seal {
    signs: EncodingKey,
    verifies: DecodingKey,
}

/// Opens and verifies sessions.
#[derive(Default)]
pub struct Sessions {
    /// The seal of each API key with its principal, by the principal's text.
    keys: HashMap<String, (Seal, Arc<Principal>)>,
    tokens: Option<Seal>,
    /// The seal of people whom the identity provider signs in.
    provider: Option<Seal>,
    /// The managed keys; `None` in tests without a store.
    managed: Option<KeyRing>,
}

/// What a session states. The role of an API key is that of its setting.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: Option<Role>,
    /// The only scopes of the caller; none if the role or the key alone decides.
    #[serde(default)]
    scopes: Vec<Scope>,
    /// The tenant of the token; `None` if it has none, or the key alone decides.
    #[serde(default)]
    tenant: Option<Name>,
    /// When it began, in milliseconds since 1970 by the store's clock: a later sign-out ends it.
    #[serde(default)]
    began: Millis,
    exp: u64,
}

impl Seal {
    fn of(secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"orchestrator session\0");
        hash.update(secret.as_bytes());
        let key = hash.finalize();
        Self {
            signs: EncodingKey::from_secret(key.as_slice()),
            verifies: DecodingKey::from_secret(key.as_slice()),
        }
    }

    /// The seal of sessions that state a tenant, which another `tenant_claim` ends.
    fn of_claims(secret: &str, tenant_claim: &str) -> Self {
        match tenant_claim {
            "" => Self::of(secret),
            claim => Self::of(&format!("{secret}\0{claim}")),
        }
    }

    fn sign(&self, name: &str, claims: &Claims) -> Result<String, Refusal> {
        sign(Algorithm::HS256, name, claims, &self.signs)
    }

    fn verify(&self, session: &str) -> Option<Claims> {
        verify(Algorithm::HS256, session, &self.verifies)
    }
}

fn sign(
    algorithm: Algorithm,
    name: &str,
    claims: &Claims,
    key: &EncodingKey,
) -> Result<String, Refusal> {
    let header = Header { kid: Some(name.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).map_err(|error| {
        tracing::error!(%error, "session cannot be signed");
        Refusal::internal()
    })
}

fn verify(algorithm: Algorithm, session: &str, key: &DecodingKey) -> Option<Claims> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(session, key, &validation).ok().map(|read| read.claims)
}

impl Sessions {
    /// Starts without any but the managed keys.
    pub fn new(managed: Option<KeyRing>) -> Self {
        Self { managed, ..Self::default() }
    }

    /// Adds an API key, so that it can have sessions.
    pub fn add_key(&mut self, principal: &Arc<Principal>, key: &str) {
        let entry = (Seal::of(key), Arc::clone(principal));
        self.keys.insert(principal.to_string(), entry);
    }

    /// Adds the secret that signs tokens, so that these can have sessions.
    ///
    /// * `tenant_claim`: the claim that binds tokens to tenants. Empty if none does.
    pub fn add_tokens(&mut self, secret: &str, tenant_claim: &str) {
        self.tokens = Some(Seal::of_claims(secret, tenant_claim));
    }

    /// Adds the secret with the identity provider, so that those whom it signs in have sessions.
    ///
    /// * `tenant_claim`: as with [`Self::add_tokens`].
    pub fn add_provider(&mut self, secret: &str, tenant_claim: &str) {
        self.provider = Some(Seal::of_claims(secret, tenant_claim));
    }

    /// Returns the `Set-Cookie` of a new session of `principal`, whom the identity provider has
    /// signed in.
    ///
    /// * `seconds`: how long it lasts.
    ///
    /// # Errors
    ///
    /// 401 if there is no provider.
    pub fn open_signed_in(
        &self,
        principal: &Principal,
        seconds: u64,
        is_secure: bool,
    ) -> Result<String, Refusal> {
        let no_seal = || Refusal::unauthenticated("No identity provider signs people in here.");
        let seal = self.provider.as_ref().ok_or_else(no_seal)?;
        let session = seal.sign(PROVIDER, &self.claims_of_role(principal, now() + seconds))?;
        Ok(set_cookie(is_secure, &session, seconds))
    }

    /// The claims of a session whose caller has the role of its own credential.
    fn claims_of_role(&self, principal: &Principal, exp: u64) -> Claims {
        let only = principal.restrictions().map(|only| only.scopes.clone());
        Claims {
            role: Some(principal.role()),
            scopes: only.unwrap_or_default(),
            tenant: principal.tenant().cloned(),
            ..self.claims(principal, exp)
        }
    }

    fn claims(&self, principal: &Principal, exp: u64) -> Claims {
        let ring = self.managed.as_ref();
        let began = ring.map(|ring| ring.session_begin(&principal.to_string()));
        let (sub, began) = (principal.name().to_owned(), began.unwrap_or_default());
        Claims { sub, role: None, scopes: Vec::new(), tenant: None, began, exp }
    }

    /// Returns the `Set-Cookie` of a new session of `principal`, who is known by this kind of
    /// credential.
    ///
    /// # Errors
    ///
    /// 403 if a page of another origin sends the request; 401 if the credential can have no session.
    pub fn open(
        &self,
        request: &Request,
        principal: &Principal,
        kind: &Kind,
    ) -> Result<String, Refusal> {
        if Site::of(request.headers()) == Site::Foreign {
            return Err(Refusal::foreign_page());
        }
        let longest = now() + SESSION_SECONDS;
        let exp = if let Kind::Token(ends_at) = kind { longest.min(*ends_at) } else { longest };
        let no_seal = || {
            Refusal::unauthenticated(
                "Tokens open sessions only with `auth.jwt_secret`, which signs them.",
            )
        };
        let session = match kind {
            Kind::Configured => {
                let name = principal.to_string();
                let (seal, _) = self.keys.get(&name).ok_or_else(no_seal)?;
                seal.sign(&name, &self.claims(principal, exp))?
            }
            Kind::Managed(secret) => {
                let name = format!("{MANAGED}{}", hex(&sha256(secret)));
                let claims = self.claims(principal, exp);
                sign(Algorithm::EdDSA, &name, &claims, &session_key::signing(secret))?
            }
            Kind::Token(_) => {
                let seal = self.tokens.as_ref().ok_or_else(no_seal)?;
                seal.sign(TOKENS, &self.claims_of_role(principal, exp))?
            }
        };
        Ok(set_cookie(is_secure(request), &session, exp.saturating_sub(now())))
    }

    /// Returns who the request's session proves the caller to be. `None` if it has no session.
    ///
    /// # Errors
    ///
    /// 401 if the session has ended, 403 if it is used for a write that another page may have sent.
    pub fn read(&self, request: &Request) -> Result<Option<Proof>, Refusal> {
        let Some((_, session)) = cookie(request.headers()) else { return Ok(None) };
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        if !is_read && Site::of(request.headers()) != Site::Same {
            return Err(Refusal::foreign_page());
        }
        let proof = self.verify(session);
        let ended = || Refusal::unauthenticated("The session has ended. Sign in again.");
        proof.ok_or_else(ended).map(Some)
    }

    fn verify(&self, session: &str) -> Option<Proof> {
        let name = jsonwebtoken::decode_header(session).ok()?.kid?;
        let (claims, proof) = match name.as_str() {
            TOKENS => proof_of_role(self.tokens.as_ref()?.verify(session)?)?,
            PROVIDER => proof_of_role(self.provider.as_ref()?.verify(session)?)?,
            _ => self.verify_of_key(&name, session)?,
        };
        let signed_out = match &self.managed {
            Some(ring) => Some(ring.session_end(&proof.principal.to_string(), claims.began)?),
            None => None,
        };
        Some(Proof { end: End { signed_out, ..proof.end.and_at(claims.exp) }, ..proof })
    }

    /// Verifies the session of an API key with this name.
    fn verify_of_key(&self, name: &str, session: &str) -> Option<(Claims, Proof)> {
        let (claims, proof) = if let Some(sha256) = name.strip_prefix(MANAGED) {
            let found = self.managed.as_ref()?.find(sha256)?;
            let key = session_key::verifying(&found.session_key).ok()?;
            (verify(Algorithm::EdDSA, session, &key)?, proof_of(&found))
        } else {
            let (seal, principal) = self.keys.get(name)?;
            let proof = Proof { principal: Arc::clone(principal), end: End::default() };
            (seal.verify(session)?, proof)
        };
        (claims.sub == proof.principal.name()).then_some((claims, proof))
    }
}

/// What a session proves that states the role of its caller.
fn proof_of_role(mut claims: Claims) -> Option<(Claims, Proof)> {
    let sub = Subject::User(std::mem::take(&mut claims.sub));
    let (scopes, tenant) = (std::mem::take(&mut claims.scopes), claims.tenant.take());
    let principal = Principal::new(sub, claims.role?).ok()?;
    let only = Restrictions { scopes, tenant, ..Restrictions::default() };
    let principal = Arc::new(principal.restricted(only));
    Some((claims, Proof { principal, end: End::default() }))
}

/// Refuses a write of a page of another origin, by a browser that adds the credential by itself.
pub fn check_site(request: &Request) -> Result<(), Refusal> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if !is_read && Site::of(request.headers()) == Site::Foreign {
        return Err(Refusal::foreign_page());
    }
    Ok(())
}

/// Returns the `Set-Cookie` that ends the session of the request.
pub fn closed(headers: &HeaderMap) -> String {
    let is_secure = cookie(headers).is_some_and(|(name, _)| name == SECURE);
    set_cookie(is_secure, "", 0)
}

fn set_cookie(is_secure: bool, session: &str, seconds: u64) -> String {
    let (name, more) = if is_secure { (SECURE, "; Secure") } else { (PLAIN, "") };
    format!("{name}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{more}")
}

/// The name and value of the session's cookie; that of TLS wins.
fn cookie(headers: &HeaderMap) -> Option<(&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.trim(), value.trim()));
    let sessions =
        pairs.filter(|(name, value)| [PLAIN, SECURE].contains(name) && !value.is_empty());
    sessions.max_by_key(|(name, _)| *name == SECURE)
}

/// Whether the browser shows the page over TLS, which the gateway or a proxy before it may end.
fn is_secure(request: &Request) -> bool {
    let origin = request.headers().get(header::ORIGIN);
    *request.scheme() == Scheme::HTTPS
        || origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(*name, value.parse().unwrap());
            headers
        })
    }

    #[test]
    fn the_cookie_of_tls_wins_and_foreign_cookies_are_ignored() {
        let found = |lines| cookie(&headers(lines)).map(|(name, value)| format!("{name}={value}"));

        assert_eq!(found(&[("cookie", "a=1; b")]), None);
        assert_eq!(
            found(&[("cookie", "a=1;orchestrator_session=x")]),
            Some("orchestrator_session=x".to_owned())
        );
        assert_eq!(
            found(&[
                ("cookie", "__Host-orchestrator_session=s; orchestrator_session=x"),
                ("cookie", "orchestrator_session=y")
            ]),
            Some("__Host-orchestrator_session=s".to_owned())
        );
        assert_eq!(found(&[("cookie", "orchestrator_session=")]), None);
    }

    #[test]
    fn a_session_of_one_key_is_none_of_another() {
        let principal = |name: &str| {
            Arc::new(Principal::new(Subject::Key(name.to_owned()), Role::Approver).unwrap())
        };
        let sessions = |secret: &str| {
            let mut sessions = Sessions::default();
            sessions.add_key(&principal("ann"), secret);
            sessions.add_key(&principal("bob"), "key-of-bob-0123456789");
            sessions
        };
        let first = sessions("key-of-ann-0123456789");
        let ann = principal("ann");
        let cookie = first.open(&Request::default(), &ann, &Kind::Configured).unwrap();
        let session = cookie.split(['=', ';']).nth(1).unwrap();

        let proven = |sessions: &Sessions, session: &str| {
            sessions.verify(session).map(|proof| proof.principal)
        };
        assert_eq!(proven(&first, session), Some(Arc::clone(&ann)));
        assert_eq!(proven(&sessions("another-key-0123456789"), session), None);
        let forged = Seal::of("key-of-bob-0123456789");
        let claims = first.claims(&ann, now() + 60);
        assert_eq!(proven(&first, &forged.sign("key:ann", &claims).unwrap()), None);
        let own = Seal::of("key-of-ann-0123456789");
        let ended = Claims { exp: now() - 1, ..claims };
        assert_eq!(proven(&first, &own.sign("key:ann", &ended).unwrap()), None);
    }
}
