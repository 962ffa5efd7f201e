//! The public keys of an identity provider: a set of JSON Web Keys in a file or at a URL.
//!
//! A task reads them again from time to time, and never a request. While the source cannot be read,
//! the keys stay as they are.

use std::fs;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::runtime::backoff::Backoff;

use super::super::settings::{Auth, Error};
use super::provider;

/// The keys of the provider. They are kept up to date until this is dropped.
pub struct Jwks {
    keys: Arc<RwLock<Vec<PublicKey>>>,
    _refresh: JoinSet<()>,
}

/// A key, with the one algorithm that it verifies.
#[derive(Clone)]
pub struct PublicKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A set of keys, of which each is read on its own: one of an unknown kind hides no other.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// Where the keys are.
#[derive(Clone)]
enum Source {
    File(String),
    Url { url: String, client: reqwest::Client },
}

impl Jwks {
    /// Reads the keys that the settings name, and starts to keep them up to date. A URL that does
    /// not answer is tried again; until then no token of the provider is accepted.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has no usable key, or the URL is not safe.
    pub fn start(settings: &Auth) -> Result<Self, Error> {
        let refused = |why: String| Error::refused("auth.jwks", why);
        let source = Source::of(&settings.jwks).map_err(refused)?;
        let keys = match &source {
            Source::File(path) => read_file(path).map_err(refused)?,
            Source::Url { .. } => Vec::new(),
        };
        let keys = Arc::new(RwLock::new(keys));
        let mut refresh = JoinSet::new();
        let every = Duration::from_secs(settings.jwks_refresh_seconds);
        refresh.spawn(keep(source, Arc::clone(&keys), every));
        Ok(Self { keys, _refresh: refresh })
    }

    /// Returns the key that verifies a token; see [`find`].
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        find(&self.keys.read().unwrap_or_else(PoisonError::into_inner), id, algorithm)
    }
}

/// Returns the key that verifies a token with this key id and algorithm. Without an id, that is the
/// only key of the set. `None` if there is none, also if the key has another algorithm.
pub fn find(keys: &[PublicKey], id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let found = match id {
        Some(id) => keys.iter().find(|key| key.id.as_deref() == Some(id))?,
        None if keys.len() == 1 => &keys[0],
        None => return None,
    };
    (found.algorithm == algorithm).then(|| found.key.clone())
}

/// Reads the keys from time to time, for ever.
async fn keep(source: Source, keys: Arc<RwLock<Vec<PublicKey>>>, every: Duration) {
    let mut backoff = Backoff::new(Duration::from_secs(1), every);
    loop {
        let pause = match source.read().await {
            Ok(read) => {
                if backoff.failures() > 0 {
                    tracing::info!(keys = read.len(), "keys of the identity provider read again");
                }
                *keys.write().unwrap_or_else(PoisonError::into_inner) = read;
                backoff.reset();
                every
            }
            Err(error) => {
                if backoff.failures() == 0 {
                    tracing::warn!(error, "keys of the identity provider not read, kept as before");
                }
                backoff.next_wait()
            }
        };
        sleep(pause).await;
    }
}

impl Source {
    fn of(setting: &str) -> Result<Self, String> {
        if !setting.contains("://") {
            return Ok(Self::File(setting.to_owned()));
        }
        provider::url(setting)?;
        Ok(Self::Url { url: setting.to_owned(), client: provider::client()? })
    }

    async fn read(&self) -> Result<Vec<PublicKey>, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Url { url, client } => fetch(client, url).await,
        }
    }
}

fn read_file(path: &str) -> Result<Vec<PublicKey>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    read_set(text.as_bytes())
}

/// Reads the keys at a URL.
///
/// # Errors
///
/// What is wrong, for the log.
pub async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<PublicKey>, String> {
    read_set(&provider::read(client.get(url)).await?)
}

fn read_set(json: &[u8]) -> Result<Vec<PublicKey>, String> {
    let set: Set = serde_json::from_slice(json).map_err(|error| format!("is no JWKS: {error}"))?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(read_key).collect();
    if keys.is_empty() {
        return Err("has no key for RS256, ES256 or EdDSA".to_owned());
    }
    Ok(keys)
}

/// Reads a key for signatures. `None` for any other.
fn read_key(json: Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let is_for_it = jwk.common.key_algorithm.is_none_or(|named| named == algorithm.into());
    let is_for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let is_usable = is_for_it && is_for_signatures;
    is_usable.then_some(PublicKey { id: jwk.common.key_id, algorithm, key })
}
