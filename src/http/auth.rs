//! Who is calling: a token (JWT, HS256) or an API key, and whether the role allows the call.
//!
//! Every guarded handler takes a [`Caller`] of the scope that it needs; that one argument checks the
//! credential, the scope, and writes both into the API document.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::domain::audit::Credential;
use crate::domain::principal::{Origin, Principal, Role, Scope, Subject};

use super::error::Refusal;
use super::peer::Peer;
use super::settings::{Auth, Error};
mod header;

/// The shortest secret for tokens, in bytes: HS256 is as strong as its 256-bit hash only from here on.
const MIN_SECRET_BYTES: usize = 32;

/// The shortest API key, in characters: nobody guesses 16 random ones over a network.
const MIN_KEY_CHARS: usize = 16;

/// How far the clock of a token's issuer may be off, in seconds.
const LEEWAY_SECONDS: u64 = 10;

/// The header that carries an API key.
pub const API_KEY_HEADER: &str = "x-api-key";

/// Knows every credential.
pub struct Guard {
    tokens: Option<(DecodingKey, Validation)>,
    /// By the key's SHA-256, so that the time of a look-up says nothing of how much of a key was right.
    keys: HashMap<[u8; 32], Arc<Principal>>,
}

/// What we read of a token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: Role,
}

impl Guard {
    /// Takes the credentials of `settings`.
    ///
    /// # Errors
    ///
    /// There is none, or one is too weak or malformed; the error says which and what is expected.
    pub fn new(settings: &Auth) -> Result<Self, Error> {
        let tokens =
            settings.jwt_secret.as_ref().map(|secret| token_key(secret.expose())).transpose()?;
        let mut keys = HashMap::new();
        for (name, secret) in &settings.api_keys {
            let (digest, principal) = api_key(name, secret.expose())?;
            if keys.insert(digest, Arc::new(principal)).is_some() {
                let key = format!("auth.api_keys.{name}");
                return Err(Error::refused(key, "is the same key as another's"));
            }
        }
        if tokens.is_none() && keys.is_empty() {
            return Err(Error::NoCredential);
        }
        Ok(Self { tokens, keys })
    }

    /// The caller that a request's headers prove. A token wins over an API key.
    fn authenticate(&self, request: &Request) -> Result<Arc<Principal>, Refusal> {
        let bearer = request.header(AUTHORIZATION).and_then(header::bearer_token);
        match (bearer, request.header(API_KEY_HEADER)) {
            (Some(token), _) => self.token(token),
            (None, Some(key)) => self.keys.get(&sha256(key)).cloned().ok_or_else(|| {
                Refusal::unauthenticated(
                    "The API key is unknown. Check `X-API-Key`; the key may have been changed.",
                )
            }),
            (None, None) => Err(Refusal::unauthenticated(
                "Send `Authorization: Bearer <token>` or `X-API-Key: <key>`.",
            )),
        }
    }

    fn token(&self, token: &str) -> Result<Arc<Principal>, Refusal> {
        let Some((key, validation)) = &self.tokens else {
            return Err(Refusal::unauthenticated("Tokens are not accepted here. Use an API key."));
        };
        let read = jsonwebtoken::decode::<Claims>(token, key, validation).map_err(|error| {
            tracing::debug!(%error, "token refused");
            Refusal::unauthenticated(
                "The token is no good. It must be signed by HS256 with our secret, be within `exp`, and carry `sub` and \
                 a `role` of user, agent, approver or admin.",
            )
        })?;
        header::check(&read.header)?;
        Principal::new(Subject::User(read.claims.sub), read.claims.role).map(Arc::new).map_err(
            |error| {
                Refusal::unauthenticated(&format!("The token's `sub` cannot be used: {error}."))
            },
        )
    }
}

/// Where a request comes from. What its headers say of that is not believed: any client can write them.
fn origin(request: &Request) -> Option<Origin> {
    let inside = request.extensions().get::<Origin>().copied();
    inside.or_else(|| request.remote_addr().as_socket_addr().copied().map(Origin::Peer))
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn token_key(secret: &str) -> Result<(DecodingKey, Validation), Error> {
    if secret.len() < MIN_SECRET_BYTES {
        let why = format!("has {} bytes; at least {MIN_SECRET_BYTES} are needed", secret.len());
        return Err(Error::refused("auth.jwt_secret", why));
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    // The secret alone says whom a token is for: there is no setting to compare an audience with.
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "sub"]);
    Ok((DecodingKey::from_secret(secret.as_bytes()), validation))
}

/// Reads `<key>:<role>`, the setting of the key called `name`.
fn api_key(name: &str, setting: &str) -> Result<([u8; 32], Principal), Error> {
    let refused = |why: String| Error::refused(format!("auth.api_keys.{name}"), why);
    let (key, role) =
        setting.rsplit_once(':').ok_or_else(|| refused("must be `<key>:<role>`".to_owned()))?;
    let role: Role = role
        .parse()
        .map_err(|error| refused(format!("has an unknown role after its last `:`; it {error}")))?;
    if key.chars().count() < MIN_KEY_CHARS {
        return Err(refused(format!("has a key under {MIN_KEY_CHARS} characters")));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(
            "has a key that no header can carry: use visible ASCII characters".to_owned(),
        ));
    }
    let principal = Principal::new(Subject::Key(name.to_owned()), role)
        .map_err(|error| refused(error.to_string()))?;
    Ok((sha256(key), principal))
}

/// What `settings` accept, to be noted in the audit log.
///
/// # Errors
///
/// One is malformed, as for [`Guard::new`].
pub fn credentials(settings: &Auth) -> Result<Vec<Credential>, Error> {
    let credential = |subject, role, digest: [u8; 32]| {
        let fingerprint = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Credential { subject, role, fingerprint }
    };
    let secret = settings.jwt_secret.iter().map(|secret| {
        let digest = sha256(secret.expose());
        Ok(credential("secret:jwt".to_owned(), None, digest))
    });
    let keys = settings.api_keys.iter().map(|(name, secret)| {
        let (digest, principal) = api_key(name, secret.expose())?;
        Ok(credential(principal.to_string(), Some(principal.role()), digest))
    });
    secret.chain(keys).collect()
}

/// What a handler needs of its caller.
pub trait Need: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Need for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )* };
}

needs! {
    /// See tasks, agents and figures.
    TasksRead
    /// Submit, cancel and requeue tasks.
    TasksWrite
    /// Follow events.
    EventsRead
    /// Publish events.
    EventsPublish
    /// See approvals.
    ApprovalsRead
    /// Approve and reject.
    ApprovalsDecide
    /// Claim tasks and report on them.
    Agent
    /// Pause agents and see the rules.
    Admin
}

/// An authenticated caller whose role has the scope `N`.
#[derive(Debug)]
pub struct Caller<N> {
    principal: Principal,
    scope: PhantomData<N>,
}

impl<N> std::ops::Deref for Caller<N> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

/// The schemes' names in the API document.
const BEARER: &str = "Bearer";
const API_KEY: &str = "ApiKey";

impl<'a, N: Need> ApiExtractor<'a> for Caller<N> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = |ty, description| MetaSecurityScheme {
            ty,
            description: Some(description),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        let token = "A JWT signed by HS256 with `exp`, `sub` and `role` (user, agent, approver, admin). It wins over a key.";
        let bearer = scheme("http", token);
        registry.create_security_scheme(
            BEARER,
            MetaSecurityScheme { scheme: Some("bearer"), bearer_format: Some("JWT"), ..bearer },
        );
        let key = scheme("apiKey", "A key that the operator gave out; its role is set with it.");
        registry.create_security_scheme(
            API_KEY,
            MetaSecurityScheme { name: Some("X-API-Key"), key_in: Some("header"), ..key },
        );
    }

    /// Either scheme, and the scope, which the document's repair moves to where it belongs.
    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER, API_KEY, N::SCOPE.as_str()]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let guard = request
            .data::<Arc<Guard>>()
            .ok_or_else(|| Refusal::unauthenticated("No credential is known here."))?;
        let principal = guard.authenticate(request)?;
        Peer::note(request, &principal);
        if !principal.role().allows(N::SCOPE) {
            return Err(Refusal::missing_scope(principal.role(), N::SCOPE).into());
        }
        Ok(Self { principal: Principal::clone(&principal).at(origin(request)), scope: PhantomData })
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
        jsonwebtoken::encode(
            &Header::default(),
            claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
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
    fn a_token_and_a_key_prove_who_calls_and_the_token_wins() {
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
    fn weak_or_missing_credentials_do_not_start() {
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
