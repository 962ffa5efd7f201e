//! Who is calling: by a token (JWT), an API key of the settings or a managed one, a session that one
//! of them opened, a signature, or a client certificate; and whether the caller has the scope of the
//! call.
//!
//! Every guarded handler takes a [`Caller`] of the scope that it needs. That one argument checks
//! the credential and the scope, and writes both into the API document.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::domain::api_key;
use crate::domain::call_class::CallClass;
use crate::domain::principal::{Origin, Principal};
use crate::domain::restrictions::Restrictions;
use crate::domain::text::hex;
use crate::engine::{KeyProof, KeyRing};

use super::end::End;
use super::error::Refusal;
use super::peer::Peer;
use super::rates::Account;
use super::settings::{Auth, Error};

mod certificate;
mod claims;
mod configured;
mod header;
mod jwks;
mod need;
mod oidc;
mod proof;
mod provider;
mod schemes;
mod session;
mod signature;
mod site;
mod tokens;

use certificate::Certificates;
use configured::{api_key, sha256};
use need::WHOLE_MARK;
use oidc::Oidc;
use proof::Proof;
use session::Sessions;
use signature::Signature;
use tokens::Tokens;

pub use certificate::fault_of_certificates;
pub use configured::credentials;
pub use need::{
    Admin, Agent, ApprovalsDecide, ApprovalsRead, EventsFollow, EventsPublish, EventsRead,
    FiguresRead, Need, Reach, TasksRead, TasksWrite, TenantAdmin,
};
pub use oidc::{CALLBACK, Failed};
pub use proof::EndLayer;

/// The name of the header that carries an API key, in lower case.
pub const API_KEY_HEADER: &str = "x-api-key";

/// Authenticates requests: holds what verifies tokens, and every API key.
pub struct Guard {
    tokens: Option<Tokens>,
    /// Keyed by the SHA-256 of the API key, so that the time of a look-up does not reveal how much
    /// of a key was right.
    keys: HashMap<[u8; 32], Arc<Principal>>,
    /// The managed keys; `None` in tests without a store.
    managed: Option<KeyRing>,
    sessions: Sessions,
    /// The identity provider that signs people in; `None` if there is none.
    oidc: Option<Oidc>,
    certificates: Certificates,
}

/// A credential that the request itself carries.
struct Shown {
    proof: Proof,
    kind: Kind,
}

/// How the caller of a request is known, and what a session of it needs.
enum Kind {
    /// By a token, which ends at this time, in seconds since 1970.
    Token(u64),
    /// By an API key of the settings.
    Configured,
    /// By a managed API key: the secret.
    Managed(String),
}

impl Guard {
    /// Reads the credentials in `settings`. The managed keys are those of the ring.
    ///
    /// # Errors
    ///
    /// There is no credential at all, or one of the settings is too weak or malformed; the error
    /// names it and says what is expected.
    pub fn new(settings: &Auth, managed: Option<KeyRing>) -> Result<Self, Error> {
        let tokens = Tokens::of(settings)?;
        let mut keys = HashMap::new();
        let mut sessions = Sessions::new(managed.clone());
        if let Some(secret) = &settings.jwt_secret {
            // With the claim: a session that another claim bound, or none, ends with that.
            sessions.add_tokens(secret.expose(), &settings.tenant_claim);
        }
        for (name, secret) in &settings.api_keys {
            let (digest, principal) = api_key(name, secret.expose())?;
            let tenant = settings.tenants.get(name).cloned();
            let only = Restrictions { tenant, ..Restrictions::default() };
            let principal = Arc::new(principal.restricted(only));
            // With its role: a key of another role begins new sessions.
            sessions.add_key(&principal, secret.expose());
            if keys.insert(digest, principal).is_some() {
                let key = format!("auth.api_keys.{name}");
                return Err(Error::refused(key, "is the same key as another's"));
            }
        }
        let oidc = Oidc::of(settings)?;
        if let Some(oidc) = &oidc {
            sessions.add_provider(oidc.client_secret(), &settings.tenant_claim);
        }
        let certificates = Certificates::of(settings)?;
        let is_none = tokens.is_none() && oidc.is_none() && certificates.is_empty();
        if is_none && keys.is_empty() && managed.as_ref().is_none_or(KeyRing::is_empty) {
            return Err(Error::NoCredential);
        }
        Ok(Self { tokens, keys, managed, sessions, oidc, certificates })
    }

    /// Returns the identity provider that signs people in. `None` if there is none.
    pub fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref()
    }

    /// Returns the `Set-Cookie` of a session of a person whom the identity provider has signed in.
    ///
    /// # Errors
    ///
    /// 401 if there is no provider.
    pub fn open_signed_in(&self, principal: &Principal) -> Result<String, Refusal> {
        let (seconds, is_secure) =
            self.oidc().map(|oidc| (oidc.session_seconds(), oidc.is_secure())).unwrap_or_default();
        self.sessions.open_signed_in(principal, seconds, is_secure)
    }

    /// Authenticates the caller by the request's headers. A token or an API key goes before a
    /// session, whose cookie a browser adds by itself. Each of them goes before the certificate of
    /// the connection, which every client may have to show.
    pub fn authenticate(&self, request: &Request) -> Result<Proof, Refusal> {
        let proof = match self.shown(request)? {
            Some(shown) => shown.proof,
            None => match self.sessions.read(request)? {
                Some(proof) => proof,
                None => self.certified(request)?,
            },
        };
        check_network(&proof.principal, request)?;
        Ok(proof)
    }

    /// Returns the credential that the request itself carries. `None` if it carries neither a token
    /// nor a key.
    fn shown(&self, request: &Request) -> Result<Option<Shown>, Refusal> {
        let authorization = text_of(request.headers(), AUTHORIZATION.as_str())?;
        let token = authorization.and_then(header::bearer_token);
        let key = text_of(request.headers(), API_KEY_HEADER)?;
        match (token, key, Signature::of(request)?) {
            (Some(token), None, None) => self.token(token).map(Some),
            (None, Some(key), None) => self.key(key).map(Some),
            (None, None, Some(signature)) => self.signed(&signature).map(Some),
            (None, None, None) => Ok(None),
            _ => Err(Refusal::unreadable(
                "The request has two credentials, of `Authorization`, `X-API-Key` and a signature. \
                 Send one.",
            )),
        }
    }

    /// Returns what the certificate of the connection proves.
    ///
    /// # Errors
    ///
    /// 401 if it proves nothing; 403 for a write that another page may have sent, because a browser
    /// shows its certificate by itself.
    fn certified(&self, request: &Request) -> Result<Proof, Refusal> {
        let names = request.data::<Peer>().map(Peer::certificate_names).unwrap_or_default();
        let principal = self.certificates.find(names).ok_or_else(missing)?;
        session::check_site(request)?;
        Ok(Proof { principal: Arc::clone(principal), end: End::default() })
    }

    fn key(&self, key: &str) -> Result<Shown, Refusal> {
        let digest = sha256(key);
        if let Some(principal) = self.keys.get(&digest) {
            let proof = Proof { principal: Arc::clone(principal), end: End::default() };
            return Ok(Shown { proof, kind: Kind::Configured });
        }
        if key.starts_with(api_key::PREFIX) && !api_key::is_secret(key) {
            return Err(Refusal::unauthenticated(
                "The API key is mistyped or cut off: its checksum is wrong. Check `X-API-Key`.",
            ));
        }
        let found = self.managed.as_ref().and_then(|ring| ring.find(&hex(&digest)));
        let found = found.ok_or_else(|| {
            let detail = "Unknown API key. Check `X-API-Key`; the key may have been changed, \
                          revoked, or expired.";
            Refusal::unauthenticated(detail)
        })?;
        Ok(Shown { proof: proof_of(&found), kind: Kind::Managed(key.to_owned()) })
    }

    fn token(&self, token: &str) -> Result<Shown, Refusal> {
        let tokens = self.tokens.as_ref().ok_or_else(|| {
            Refusal::unauthenticated("This gateway accepts no tokens. Use an API key.")
        })?;
        let (principal, exp) = tokens.verify(token)?;
        let end = End::default().and_at(exp.saturating_add(claims::LEEWAY_SECONDS));
        let proof = Proof { principal: Arc::new(principal), end };
        Ok(Shown { proof, kind: Kind::Token(exp) })
    }
}

fn proof_of(found: &KeyProof) -> Proof {
    let end = End { revoked: Some(found.ended.clone()), ..End::default() };
    Proof { principal: Arc::clone(&found.principal), end }
}

fn missing() -> Refusal {
    Refusal::unauthenticated("Send `Authorization: Bearer <token>` or `X-API-Key: <key>`.")
}

/// Returns the text of a header. `None` if it is not sent.
fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let text = headers.get(name).map(|value| value.to_str()).transpose();
    text.map_err(|_| Refusal::unauthenticated(&format!("The header `{name}` must be ASCII.")))
}

/// Refuses a caller whose key may not be used from where the request comes from.
fn check_network(caller: &Principal, request: &Request) -> Result<(), Refusal> {
    let networks = caller.restrictions().map(|only| only.networks.as_slice()).unwrap_or_default();
    // `entrance` has found out where each request comes from.
    let origin = request.extensions().get::<Origin>().copied();
    let address = match origin {
        Some(Origin::Peer(peer)) => Some(peer.ip().to_canonical()),
        Some(Origin::Forwarded(address)) => Some(address.to_canonical()),
        Some(Origin::Nats) | None => None,
    };
    let is_inside = |address| networks.iter().any(|network| network.contains(&address));
    if networks.is_empty() || address.is_some_and(is_inside) {
        return Ok(());
    }
    let from = match (address, origin) {
        (Some(address), _) => address.to_string(),
        (None, Some(_)) => "NATS".to_owned(),
        (None, None) => "an unknown address".to_owned(),
    };
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    Err(Refusal::foreign_network(&networks, &from))
}

/// Returns the guard that every request carries.
fn guard_of(request: &Request) -> Result<&Arc<Guard>, Refusal> {
    let guard = request.data::<Arc<Guard>>();
    guard.ok_or_else(|| Refusal::unauthenticated("No credential is configured here."))
}

/// Returns the `Set-Cookie` of a session for the credential that the request carries.
///
/// # Errors
///
/// 401 without a valid token or API key: a session does not prolong itself. 403 if a page of another
/// origin sends the request.
pub fn open_session(request: &Request) -> Result<String, Refusal> {
    let guard = guard_of(request)?;
    let Shown { proof, kind } = guard.shown(request)?.ok_or_else(missing)?;
    check_network(&proof.principal, request)?;
    guard.sessions.open(request, &proof.principal, &kind)
}

/// Returns the `Set-Cookie` that ends the session of the request.
pub fn close_session(request: &Request) -> String {
    session::closed(request.headers())
}

/// An authenticated caller who has the scope `N`; it dereferences to the principal.
#[derive(Debug)]
pub struct Caller<N> {
    principal: Principal,
    account: Account,
    scope: PhantomData<N>,
}

impl<N> Caller<N> {
    /// Counts the items of a call with many, each as a call.
    ///
    /// # Errors
    ///
    /// 429 if the caller has fewer calls left. None of the items may be handled then.
    pub async fn count_items(&self, items: usize) -> Result<(), Refusal> {
        // The call itself is counted already.
        self.account.count(items.saturating_sub(1), 1).await
    }

    /// Counts the call in another class too.
    ///
    /// # Errors
    ///
    /// 429 if the caller has no call of the class left.
    pub async fn count_in(&self, class: CallClass) -> Result<(), Refusal> {
        self.account.in_class(class).count(1, 0).await
    }
}

impl<N> std::ops::Deref for Caller<N> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<'a, N: Need> ApiExtractor<'a> for Caller<N> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schemes::register(registry);
    }

    /// Both schemes, the scope, the class and the reach; the document's repair moves the last three
    /// to where they belong.
    fn security_schemes() -> Vec<&'static str> {
        let mut marks = vec![schemes::API_KEY, schemes::BEARER, N::SCOPE.as_str(), N::CLASS_MARK];
        marks.extend((N::REACH == Reach::Whole).then_some(WHOLE_MARK));
        marks
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let guard = guard_of(request)?;
        let Proof { principal, end } = guard.authenticate(request)?;
        // A handler may prove its caller twice.
        if request.data::<Peer>().is_none_or(|peer| peer.call().is_none()) {
            guard.take_nonce(request).await?;
        }
        Peer::note(request, &principal, N::CLASS, &end);
        if !principal.may(N::SCOPE) {
            return Err(Refusal::missing_scope(principal.role(), N::SCOPE).into());
        }
        if let Some(tenant) = principal.tenant().filter(|_| N::REACH == Reach::Whole) {
            return Err(Refusal::tenant_bound(tenant).into());
        }
        let account = Account::open(request, &principal, N::CLASS).await?;
        // `entrance` has found out where each request comes from.
        let origin = request.extensions().get::<Origin>().copied();
        let principal = Principal::clone(&principal).at(origin);
        Ok(Self { principal, account, scope: PhantomData })
    }
}

#[cfg(test)]
mod tests;
