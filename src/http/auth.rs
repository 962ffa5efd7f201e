//! Who is calling: a token (JWT, HS256), an API key, or a session that one of them opened, and
//! whether the role allows the call.
//!
//! Every guarded handler takes a [`Caller`] of the scope that it needs. That one argument checks
//! the credential and the scope, and writes both into the API document.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use jsonwebtoken::{DecodingKey, Validation};
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Deserialize;

use crate::domain::call_class::CallClass;
use crate::domain::principal::{Origin, Principal, Role, Scope, Subject};

use super::error::Refusal;
use super::peer::Peer;
use super::rates::Account;
use super::settings::{Auth, Error};

mod configured;
mod header;
mod schemes;
mod session;

use configured::{api_key, sha256, token_key};
use session::Sessions;

pub use configured::credentials;

/// The name of the header that carries an API key, in lower case.
pub const API_KEY_HEADER: &str = "x-api-key";

/// Authenticates requests: holds the secret for tokens and every API key.
pub struct Guard {
    tokens: Option<(DecodingKey, Validation)>,
    /// Keyed by the SHA-256 of the API key, so that the time of a look-up does not reveal how much
    /// of a key was right.
    keys: HashMap<[u8; 32], Arc<Principal>>,
    sessions: Sessions,
}

/// A principal, and when its token ends, in seconds since 1970; `None` for an API key.
type Proven = (Arc<Principal>, Option<u64>);

/// The claims of a token that the gateway reads; it ignores any other.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: Role,
    exp: f64,
}

impl Guard {
    /// Reads the credentials in `settings`.
    ///
    /// # Errors
    ///
    /// No credential is configured, or one is too weak or malformed; the error names it and says
    /// what is expected.
    pub fn new(settings: &Auth) -> Result<Self, Error> {
        let tokens =
            settings.jwt_secret.as_ref().map(|secret| token_key(secret.expose())).transpose()?;
        let mut keys = HashMap::new();
        let mut sessions = Sessions::default();
        if let Some(secret) = &settings.jwt_secret {
            sessions.add_tokens(secret.expose());
        }
        for (name, secret) in &settings.api_keys {
            let (digest, principal) = api_key(name, secret.expose())?;
            let principal = Arc::new(principal);
            // With its role: a key of another role begins new sessions.
            sessions.add_key(&principal, secret.expose());
            if keys.insert(digest, principal).is_some() {
                let key = format!("auth.api_keys.{name}");
                return Err(Error::refused(key, "is the same key as another's"));
            }
        }
        if tokens.is_none() && keys.is_empty() {
            return Err(Error::NoCredential);
        }
        Ok(Self { tokens, keys, sessions })
    }

    /// Authenticates the caller by the request's headers. A token wins over an API key, and that
    /// over a session.
    pub fn authenticate(&self, request: &Request) -> Result<Arc<Principal>, Refusal> {
        match self.shown(request)? {
            Some((principal, _)) => Ok(principal),
            None => self.sessions.read(request)?.ok_or_else(missing),
        }
    }

    /// Returns who the credential proves the caller to be that the request itself carries. `None` if
    /// it carries neither a token nor a key.
    fn shown(&self, request: &Request) -> Result<Option<Proven>, Refusal> {
        let bearer = request.header(AUTHORIZATION).and_then(header::bearer_token);
        if let Some(token) = bearer {
            return self.token(token).map(|(principal, exp)| Some((principal, Some(exp))));
        }
        let Some(key) = request.header(API_KEY_HEADER) else { return Ok(None) };
        let principal = self.keys.get(&sha256(key)).map(Arc::clone).ok_or_else(|| {
            let detail = "Unknown API key. Check `X-API-Key`; the key may have been changed.";
            Refusal::unauthenticated(detail)
        })?;
        Ok(Some((principal, None)))
    }

    fn token(&self, token: &str) -> Result<(Arc<Principal>, u64), Refusal> {
        let (key, validation) = self.tokens.as_ref().ok_or_else(|| {
            Refusal::unauthenticated("This gateway accepts no tokens. Use an API key.")
        })?;
        let read = jsonwebtoken::decode::<Claims>(token, key, validation).map_err(|error| {
            tracing::debug!(%error, "token refused");
            Refusal::unauthenticated(
                "Invalid token. It must be signed by HS256 with the secret of this gateway, be \
                 within `exp`, and carry `sub` and a `role` of user, agent, approver or admin.",
            )
        })?;
        header::check(&read.header)?;
        let exp = read.claims.exp as u64;
        let principal = Principal::new(Subject::User(read.claims.sub), read.claims.role);
        principal.map(|principal| (Arc::new(principal), exp)).map_err(|error| {
            Refusal::unauthenticated(&format!("The token's `sub` is not valid: {error}."))
        })
    }
}

fn missing() -> Refusal {
    Refusal::unauthenticated("Send `Authorization: Bearer <token>` or `X-API-Key: <key>`.")
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
    let (principal, ends_at) = guard.shown(request)?.ok_or_else(missing)?;
    guard.sessions.open(request, &principal, ends_at)
}

/// Returns the `Set-Cookie` that ends the session of the request.
pub fn close_session(request: &Request) -> String {
    session::closed(request.headers())
}

/// What a handler requires of its caller, as a type: a scope, and calls of a class that are left.
pub trait Need: Send + Sync + 'static {
    /// The scope that the caller's role must have.
    const SCOPE: Scope;
    /// The class of calls whose limit counts.
    const CLASS: CallClass;
    /// The class, for the API document.
    const CLASS_MARK: &'static str;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $scope:ident, $class:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Need for $name {
            const SCOPE: Scope = Scope::$scope;
            const CLASS: CallClass = CallClass::$class;
            const CLASS_MARK: &'static str = concat!("class:", stringify!($class));
        }
    )* };
}

needs! {
    /// The caller may read tasks, agents, figures and SLA reports.
    TasksRead: TasksRead, Read;
    /// The caller may submit, cancel and retry tasks.
    TasksWrite: TasksWrite, Write;
    /// The caller may read events.
    EventsRead: EventsRead, Read;
    /// The caller may follow events.
    EventsFollow: EventsRead, Stream;
    /// The caller may publish events.
    EventsPublish: EventsPublish, Write;
    /// The caller may read approvals.
    ApprovalsRead: ApprovalsRead, Read;
    /// The caller may approve, reject and retarget approvals.
    ApprovalsDecide: ApprovalsDecide, Write;
    /// The caller may claim tasks and report on them.
    Agent: Agent, Claim;
    /// The caller may pause agents and read the rules and the audit log.
    Admin: Admin, Admin;
}

/// An authenticated caller whose role has the scope `N`; it dereferences to the principal.
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

    /// Both schemes, the scope and the class; the document's repair moves the last two to where
    /// they belong.
    fn security_schemes() -> Vec<&'static str> {
        vec![schemes::API_KEY, schemes::BEARER, N::SCOPE.as_str(), N::CLASS_MARK]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let principal = guard_of(request)?.authenticate(request)?;
        Peer::note(request, &principal, N::CLASS);
        if !principal.role().allows(N::SCOPE) {
            return Err(Refusal::missing_scope(principal.role(), N::SCOPE).into());
        }
        let account = Account::open(request, &principal, N::CLASS).await?;
        // `entrance` has found out where each request comes from.
        let origin = request.extensions().get::<Origin>().copied();
        let principal = Principal::clone(&principal).at(origin);
        Ok(Self { principal, account, scope: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::runtime::secret::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const KEY: &str = "ops-key-0123456789";

    fn guard() -> Guard {
        let api_keys = [("ops".to_owned(), Secret::new(format!("{KEY}:admin")))].into();
        Guard::new(&Auth { jwt_secret: Some(Secret::new(SECRET)), api_keys, ..Auth::default() })
            .unwrap()
    }

    fn token(secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::default(), claims, &key).unwrap()
    }

    fn claims() -> Value {
        json!({"sub": "alice@example.com", "role": "approver", "exp": 4_000_000_000u64})
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        headers
            .iter()
            .fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value))
            .finish()
    }

    #[test]
    fn a_token_wins_over_an_api_key() {
        let bearer = format!("bearer {}", token(SECRET, &claims()));
        let both = request(&[("authorization", &bearer), ("x-api-key", KEY)]);

        assert_eq!(guard().authenticate(&both).unwrap().to_string(), "user:alice@example.com");
        assert_eq!(
            guard().authenticate(&request(&[("x-api-key", KEY)])).unwrap().to_string(),
            "key:ops"
        );
    }

    #[test]
    fn a_bad_token_is_refused_even_beside_a_good_key() {
        let without = |claim: &str| {
            let mut rest = claims();
            rest.as_object_mut().unwrap().remove(claim);
            rest
        };
        let with = |claim: &str, value: Value| {
            let mut all = claims();
            all[claim] = value;
            all
        };
        let bad = [
            without("exp"),
            without("sub"),
            without("role"),
            with("role", json!("root")),
            with("exp", json!(1_000)),
            with("nbf", json!(4_000_000_000u64)),
            with("sub", json!("a\nb")),
            with("sub", json!("Orchestrator")),
        ];
        let mut tokens: Vec<_> = bad.iter().map(|claims| token(SECRET, claims)).collect();
        tokens.push(token("another secret of at least 32 bytes", &claims()));
        tokens.push("nonsense".to_owned());

        for token in tokens {
            let bearer = format!("Bearer {token}");
            let both = request(&[("authorization", &bearer), ("x-api-key", KEY)]);
            assert!(guard().authenticate(&both).is_err(), "{token}");
        }
    }

    #[test]
    fn an_unknown_or_missing_credential_is_refused() {
        for headers in [
            &[][..],
            &[("x-api-key", "ops-key-0123456780")],
            &[("authorization", "Basic b3BzOnB3")],
        ] {
            assert!(guard().authenticate(&request(headers)).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn a_guard_refuses_weak_or_missing_credentials() {
        let with_key = |setting: &str| Auth {
            jwt_secret: None,
            api_keys: [("ops".to_owned(), Secret::new(setting))].into(),
            ..Auth::default()
        };
        let weak = Auth { jwt_secret: Some(Secret::new("x".repeat(31))), ..Auth::default() };

        assert!(matches!(Guard::new(&Auth::default()), Err(Error::NoCredential)));
        for settings in [
            weak,
            with_key("short:admin"),
            with_key("0123456789abcdef"),
            with_key("0123456789abcdef:root"),
        ] {
            assert!(matches!(Guard::new(&settings), Err(Error::Refused { .. })), "{settings:?}");
        }
    }
}
