//! Signing people in by an identity provider: OpenID Connect, authorization code flow with PKCE.
//!
//! Nothing is stored on this side. A cookie of the browser holds one secret, from which the state,
//! the nonce and the verifier of PKCE are derived: so only the browser that began can finish, and
//! every gateway of a deployment can answer it. The endpoints of the provider come from its
//! discovery document, its keys are read at each sign-in.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};

use crate::domain::principal::Principal;
use crate::domain::text::{base64, hex};
use crate::runtime::secret::Secret;

use super::super::settings::{Auth, Error};
use super::claims::{self, Claims, Meaning};
use super::configured::check_strength;
use super::{header, jwks, provider};

/// The path to which the provider sends people back.
pub const CALLBACK: &str = "/ui/sign-in/oidc/callback";

/// For how long the discovery document counts.
const DISCOVERY_LASTS: Duration = Duration::from_secs(300);

/// How many sign-ins may wait for the provider at once: any client may begin one.
const MOST_AT_ONCE: usize = 16;

/// Signs people in by an identity provider.
pub struct Oidc {
    issuer: String,
    client_id: String,
    client_secret: Secret,
    redirect_url: reqwest::Url,
    /// The scopes to request, joined by spaces.
    scopes: String,
    /// The claim that names the person.
    name_claim: String,
    /// The claim that names the person's tenant. Empty if people are of no tenant.
    tenant_claim: String,
    /// How long a session lasts, in seconds.
    session_seconds: u64,
    meaning: Meaning,
    client: reqwest::Client,
    /// The discovery document, and when it was read.
    discovered: Mutex<Option<(Instant, Discovery)>>,
    at_once: Semaphore,
}

/// What the provider says about itself.
#[derive(Clone, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// How clients may authenticate; by a header if it does not say.
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// The part of the provider's answer to a code that is read.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The provider does not answer, or not as it must.
    Unavailable,
    /// The provider refused, or the person did.
    Refused,
    /// This browser began no sign-in that this could finish, or too long ago.
    Stale,
    /// The code or the token is not valid, or no caller may have the name in it.
    Invalid,
    /// The person has no role here.
    NoRole,
}

impl Failed {
    /// The word for the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Invalid => "invalid",
            Self::NoRole => "no-role",
        }
    }
}

/// What is derived from the secret of one sign-in.
fn derived(secret: &str, purpose: &str) -> String {
    hex(&Sha256::digest(format!("orchestrator sign-in {purpose}\0{secret}")))
}

impl Oidc {
    /// Reads the settings. Returns `None` if no provider signs people in.
    ///
    /// # Errors
    ///
    /// A setting is missing, weak or malformed.
    pub fn of(settings: &Auth) -> Result<Option<Self>, Error> {
        if settings.oidc_issuer.is_empty() {
            return Ok(None);
        }
        let refused = |key: &str| {
            let key = format!("auth.{key}");
            move |why: String| Error::refused(key, why)
        };
        provider::url(&settings.oidc_issuer).map_err(refused("oidc_issuer"))?;
        let redirect_url =
            provider::url(&settings.oidc_redirect_uri).map_err(refused("oidc_redirect_uri"))?;
        if redirect_url.path() != CALLBACK || redirect_url.query().is_some() {
            return Err(refused("oidc_redirect_uri")(format!("must end with `{CALLBACK}`")));
        }
        if settings.oidc_client_id.is_empty() {
            return Err(refused("oidc_client_id")(
                "is required with `auth.oidc_issuer`".to_owned(),
            ));
        }
        let client_secret = settings.oidc_client_secret.clone().ok_or_else(|| {
            refused("oidc_client_secret")("is required with `auth.oidc_issuer`".to_owned())
        })?;
        check_strength("auth.oidc_client_secret", client_secret.expose())?;
        Ok(Some(Self {
            issuer: settings.oidc_issuer.clone(),
            client_id: settings.oidc_client_id.clone(),
            client_secret,
            redirect_url,
            scopes: settings.oidc_scopes.join(" "),
            name_claim: settings.oidc_name_claim.clone(),
            tenant_claim: settings.tenant_claim.clone(),
            session_seconds: settings.oidc_session_seconds,
            meaning: Meaning::of(settings, &settings.oidc_issuer, &settings.oidc_client_id),
            client: provider::client().map_err(refused("oidc_issuer"))?,
            discovered: Mutex::default(),
            at_once: Semaphore::new(MOST_AT_ONCE),
        }))
    }

    /// The secret with the provider, from which the key of the sessions is derived.
    pub fn client_secret(&self) -> &str {
        self.client_secret.expose()
    }

    /// How long a session lasts, in seconds.
    pub fn session_seconds(&self) -> u64 {
        self.session_seconds
    }

    /// Whether browsers reach the page over TLS.
    pub fn is_secure(&self) -> bool {
        self.redirect_url.scheme() == "https"
    }

    /// Begins a sign-in: returns the URL of the provider to send the browser to, and the secret for
    /// its cookie.
    ///
    /// # Errors
    ///
    /// [`Failed::Unavailable`].
    pub async fn begin(&self) -> Result<(String, String), Failed> {
        let _turn = self.at_once.try_acquire().map_err(|_| Failed::Unavailable)?;
        let discovery = self.discover().await?;
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Failed::Unavailable)?;
        let secret = hex(&bytes);
        let challenge = Sha256::digest(derived(&secret, "verifier").as_bytes());
        let challenge = base64(&challenge).replace('+', "-").replace('/', "_").replace('=', "");
        let mut url = endpoint(&discovery.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", self.redirect_url.as_str())
            .append_pair("scope", &self.scopes)
            .append_pair("state", &derived(&secret, "state"))
            .append_pair("nonce", &derived(&secret, "nonce"))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((url.into(), secret))
    }

    /// Finishes a sign-in: returns whom the provider has signed in.
    ///
    /// * `query`: of the request with which the browser came back.
    /// * `secret`: that its cookie has; `None` if it has no cookie.
    ///
    /// # Errors
    ///
    /// Each of [`Failed`].
    pub async fn finish(&self, query: &str, secret: Option<&str>) -> Result<Principal, Failed> {
        let query = Query::read(query);
        let secret = secret.ok_or(Failed::Stale)?;
        if query.state != derived(secret, "state") {
            return Err(Failed::Stale);
        }
        if query.error.is_some() {
            return Err(Failed::Refused);
        }
        let code = query.code.ok_or(Failed::Invalid)?;
        let _turn = self.at_once.try_acquire().map_err(|_| Failed::Unavailable)?;
        let discovery = self.discover().await?;
        let token = self.exchange(&discovery, &code, &derived(secret, "verifier")).await?;
        let claims = self.verify(&discovery, &token, &derived(secret, "nonce")).await?;
        let (role, restrictions) = self.meaning.role(&claims).map_err(|_| Failed::NoRole)?;
        claims::caller(&claims, &self.name_claim, &self.tenant_claim, role, restrictions)
            .map_err(|_| Failed::Invalid)
    }

    /// Returns the discovery document. Callers that come together share one look.
    async fn discover(&self) -> Result<Discovery, Failed> {
        let mut discovered = self.discovered.lock().await;
        if let Some((at, discovery)) = &*discovered
            && at.elapsed() < DISCOVERY_LASTS
        {
            return Ok(discovery.clone());
        }
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let bytes = provider::read(self.client.get(url)).await.map_err(unavailable)?;
        let discovery: Discovery =
            serde_json::from_slice(&bytes).map_err(|error| unavailable(error.to_string()))?;
        if discovery.issuer != self.issuer {
            return Err(unavailable("the discovery document is of another issuer".to_owned()));
        }
        *discovered = Some((Instant::now(), discovery.clone()));
        Ok(discovery)
    }

    /// Exchanges the code for the ID token.
    async fn exchange(
        &self,
        discovery: &Discovery,
        code: &str,
        verifier: &str,
    ) -> Result<String, Failed> {
        let mut url = endpoint(&discovery.token_endpoint)?;
        let mut members = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_url.as_str()),
            ("code_verifier", verifier),
        ];
        let methods = &discovery.token_endpoint_auth_methods_supported;
        let is_basic = methods.is_empty() || methods.iter().any(|one| one == "client_secret_basic");
        let request = self.client.post(url.clone());
        let request = if is_basic {
            request.basic_auth(encoded(&self.client_id), Some(encoded(self.client_secret())))
        } else {
            members.push(("client_id", &self.client_id));
            members.push(("client_secret", self.client_secret()));
            request
        };
        let form = url.query_pairs_mut().clear().extend_pairs(members).finish().query();
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.unwrap_or_default().to_owned());
        // A used or invented code is answered with 400.
        let bytes = provider::read(request).await.map_err(|error| {
            if error.starts_with("the answer is 400") {
                Failed::Invalid
            } else {
                unavailable(error)
            }
        })?;
        let tokens: Tokens =
            serde_json::from_slice(&bytes).map_err(|error| unavailable(error.to_string()))?;
        Ok(tokens.id_token)
    }

    /// Returns the claims of an ID token that the provider made for this sign-in.
    async fn verify(
        &self,
        discovery: &Discovery,
        token: &str,
        nonce: &str,
    ) -> Result<Claims, Failed> {
        let head = jsonwebtoken::decode_header(token).map_err(|_| Failed::Invalid)?;
        header::check(&head).map_err(|_| Failed::Invalid)?;
        endpoint(&discovery.jwks_uri)?;
        let keys = jwks::fetch(&self.client, &discovery.jwks_uri).await.map_err(unavailable)?;
        let algorithm: Algorithm = head.alg;
        let key = jwks::find(&keys, head.kid.as_deref(), algorithm).ok_or(Failed::Invalid)?;
        let claims = self.meaning.verify(token, &key, algorithm).map_err(|_| Failed::Invalid)?;
        let is_for_us = claims::text(&claims, "azp").is_none_or(|azp| azp == self.client_id);
        let is_of_now = claims::text(&claims, "nonce") == Some(nonce);
        let is_unverified =
            self.name_claim == "email" && claims.get("email_verified") == Some(&Value::Bool(false));
        if is_for_us && is_of_now && !is_unverified { Ok(claims) } else { Err(Failed::Invalid) }
    }
}

/// The parameters with which the provider sends a browser back.
#[derive(Default)]
struct Query {
    state: String,
    code: Option<String>,
    error: Option<String>,
}

impl Query {
    fn read(query: &str) -> Self {
        let mut read = Self::default();
        let Ok(url) = reqwest::Url::parse(&format!("http://localhost/?{query}")) else {
            return read;
        };
        for (name, value) in url.query_pairs() {
            match &*name {
                "state" => read.state = value.into_owned(),
                "code" => read.code = Some(value.into_owned()),
                "error" => read.error = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }
}

/// Reads an endpoint that the provider names.
fn endpoint(url: &str) -> Result<reqwest::Url, Failed> {
    provider::url(url).map_err(|why| unavailable(format!("an endpoint {why}")))
}

/// Returns the text as a form has it, which is how RFC 6749 puts a client into a header.
fn encoded(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://localhost/").ok();
    let pairs =
        url.as_mut().map(|url| url.query_pairs_mut().append_key_only(text).finish().query());
    pairs.flatten().unwrap_or_default().to_owned()
}

fn unavailable(error: String) -> Failed {
    tracing::warn!(error, "identity provider cannot sign people in");
    Failed::Unavailable
}
