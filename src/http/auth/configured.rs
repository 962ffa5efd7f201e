//! The credentials as the settings give them: read, and refused if they are weak or malformed.

use sha2::{Digest, Sha256};

use crate::domain::audit::Credential;
use crate::domain::principal::{Principal, Role, Subject};
use crate::domain::strength;
use crate::domain::text::hex;

use super::super::settings::{Auth, Error};
use super::certificate::Certificates;

/// The shortest API key, in characters: 16 random characters cannot be guessed over a network.
const MIN_KEY_CHARS: usize = 16;

/// Returns the digest by which a key is looked up.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Refuses a secret, the setting at `key`, that is easy to guess.
pub(super) fn check_strength(key: &str, secret: &str) -> Result<(), Error> {
    if strength::bits(secret) >= strength::MIN_BITS {
        return Ok(());
    }
    let why = "is easy to guess; use a random one, for example of `openssl rand -hex 32`";
    Err(Error::refused(key, why))
}

/// Reads `<key>:<role>`, the configured value of the key called `name`: its digest and principal.
pub(super) fn api_key(name: &str, setting: &str) -> Result<([u8; 32], Principal), Error> {
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
    check_strength(&format!("auth.api_keys.{name}"), key)?;
    let principal = Principal::new(Subject::Key(name.to_owned()), role)
        .map_err(|error| refused(error.to_string()))?;
    Ok((sha256(key), principal))
}

/// The credentials in `settings`, in the form that the audit log notes.
///
/// # Errors
///
/// A credential is malformed, as for [`Guard::new`](super::Guard::new).
pub fn credentials(settings: &Auth) -> Result<Vec<Credential>, Error> {
    let secrets =
        [("secret:jwt", &settings.jwt_secret), ("secret:oidc", &settings.oidc_client_secret)];
    let secrets = secrets.into_iter().filter_map(|(subject, secret)| {
        let digest = sha256(secret.as_ref()?.expose());
        Some(Ok(credential(subject.to_owned(), None, digest)))
    });
    let keys = settings.api_keys.iter().map(|(name, secret)| {
        let (digest, principal) = api_key(name, secret.expose())?;
        Ok(credential(principal.to_string(), Some(principal.role()), digest))
    });
    let certificates = Certificates::of(settings)?.digests().into_iter();
    let certificates =
        certificates.map(|(caller, role, digest)| Ok(credential(caller, Some(role), digest)));
    secrets.chain(keys).chain(certificates).collect()
}

fn credential(subject: String, role: Option<Role>, digest: [u8; 32]) -> Credential {
    Credential { subject, role, fingerprint: hex(&digest[..8]) }
}
