//! Managed API keys: created, rotated and revoked while the fleet runs.

mod ring;
mod sign_outs;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::api_key::{self, ApiKey, Revocation, SecretDigest};
use crate::domain::folded::folded;
use crate::domain::name::Name;
use crate::domain::principal::{ORCHESTRATOR, Principal, Role};
use crate::domain::restrictions::Restrictions;
use crate::domain::text::hex;
use crate::domain::time::Millis;
use crate::runtime::secret::Secret;
use crate::runtime::session_key;
use crate::store::KeyChange;

use super::{Engine, Error, Page, unknown_type};

pub use ring::{KeyProof, KeyRing};
use sign_outs::SESSION_MS;
pub use sign_outs::SESSION_SECONDS;

/// How many managed keys there may be, those that ended a while ago included. Every gateway has all
/// of them in memory, about 1 KB each.
pub const MAX_KEYS: usize = 10_000;

/// How often a change starts again because another came first.
const TRIES: usize = 10;

/// What a caller wants of a new key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The name of the caller that the key proves.
    pub name: Name,
    /// The person or service that the key belongs to; `None` if that is the one of its name.
    pub identity: Option<String>,
    /// The role of the caller.
    pub role: Role,
    /// What the key may do less than its role allows.
    pub restrictions: Restrictions,
}

/// A managed key as its operators see it.
#[derive(Clone, Debug)]
pub struct KeyState {
    /// The key.
    pub key: ApiKey,
    /// When it was last used, in milliseconds since 1970, as far as gateways have recorded it.
    /// `None` if it never was.
    pub last_used_at: Option<Millis>,
    /// When it ended, in milliseconds since 1970; `None` if it is valid.
    pub ended_at: Option<Millis>,
}

/// All keys at one version.
struct Keys {
    now: Millis,
    version: String,
    all: BTreeMap<Uuid, ApiKey>,
    /// When each key was last used, in milliseconds since 1970; 0 if never.
    uses: HashMap<Uuid, Millis>,
}

impl Keys {
    fn of(&self, id: Uuid) -> Result<ApiKey, Error> {
        self.all.get(&id).cloned().ok_or(Error::UnknownKey(id))
    }

    fn state_of(&self, key: ApiKey) -> KeyState {
        let last_used_at = self.uses.get(&key.id).copied().filter(|at| *at > 0);
        KeyState { last_used_at, ended_at: key.ended_at(self.now), key }
    }
}

impl Engine {
    /// Returns the managed keys in memory, which are kept up to date from the first call on.
    pub async fn key_ring(&self) -> Result<KeyRing, Error> {
        let ring = self.key_ring.get_or_try_init(async || {
            let ring = KeyRing::open(self.store.clone(), self.settings.people.clone()).await?;
            self.tracker.spawn(ring.clone().keep(self.stop.clone()));
            Ok::<_, Error>(ring)
        });
        ring.await.cloned()
    }

    /// Returns a page of the managed keys, the oldest first, with those that ended.
    ///
    /// * `limit`: 1 to 200.
    /// * `cursor`: the last key of the page before.
    pub async fn managed_keys(
        &self,
        limit: usize,
        cursor: Option<Uuid>,
    ) -> Result<Page<KeyState>, Error> {
        let keys = self.read_keys().await?;
        let mut after = keys.all.values().filter(|key| cursor.is_none_or(|last| key.id > last));
        let items: Vec<_> =
            after.by_ref().take(limit).map(|key| keys.state_of(key.clone())).collect();
        let last = items.last().filter(|_| after.next().is_some());
        let next_cursor = last.map(|state| state.key.id.to_string());
        Ok(Page { items, next_cursor })
    }

    /// Creates a key. Returns it with its secret, which is stored nowhere.
    ///
    /// * `configured`: the names of the keys in the settings, [`folded`].
    ///
    /// # Errors
    ///
    /// [`Error::RestrictedKey`] if the caller's own key is restricted, [`Error::KeyNameTaken`],
    /// [`Error::TooManyKeys`], and [`Error::Invalid`] for what no key may have.
    pub async fn create_key(
        &self,
        caller: &Principal,
        new: NewKey,
        configured: &BTreeSet<String>,
    ) -> Result<(KeyState, Secret), Error> {
        unrestricted(caller)?;
        self.check_new(&new)?;
        if configured.contains(&folded(new.name.as_str())) {
            return Err(Error::KeyNameTaken(new.name));
        }
        self.insert_key(Some(caller), new, |_| Ok(())).await
    }

    /// Creates the first admin key of a store, for a command on this machine.
    ///
    /// # Errors
    ///
    /// [`Error::HasAdminKey`] if there is a valid admin key already; else as
    /// [`Engine::create_key`].
    pub async fn create_first_key(
        &self,
        name: Name,
        identity: Option<String>,
    ) -> Result<(KeyState, Secret), Error> {
        let restrictions = Restrictions::default();
        let new = NewKey { name, identity, role: Role::Admin, restrictions };
        self.check_new(&new)?;
        self.insert_key(None, new, |keys| {
            let mut valid = keys.all.values().filter(|key| key.ended_at(keys.now).is_none());
            match valid.find(|key| key.role == Role::Admin && key.restrictions.is_empty()) {
                Some(admin) => Err(Error::HasAdminKey(admin.name.clone())),
                None => Ok(()),
            }
        })
        .await
    }

    /// Gives a key a new secret. The old one is valid for `grace_ms` more.
    ///
    /// * `expires_at`: the new expiry of the key, in milliseconds since 1970; `None` leaves it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`]; [`Error::KeyEnded`] if it is revoked, or expired and gets no later
    /// expiry; [`Error::RestrictedKey`] if the caller's own key is restricted.
    pub async fn rotate_key(
        &self,
        caller: &Principal,
        id: Uuid,
        grace_ms: Millis,
        expires_at: Option<Millis>,
    ) -> Result<(KeyState, Secret), Error> {
        unrestricted(caller)?;
        let (secret, digest) = make_secret()?;
        let key = self
            .change_key(Some(caller), "key.rotated", |keys| {
                let mut key = keys.of(id)?;
                if expires_at.is_some() {
                    key.restrictions.expires_at = expires_at;
                    later("/expires_at", expires_at, keys.now)?;
                }
                if let Some(at) = key.ended_at(keys.now) {
                    return Err(Error::KeyEnded { id, at });
                }
                // Only the newest secret has a grace: one before it would be valid for too long.
                key.secrets.truncate(1);
                key.secrets.iter_mut().for_each(|old| old.until = Some(keys.now + grace_ms));
                key.secrets.retain(|_| grace_ms > 0);
                key.secrets.insert(0, digest.clone());
                key.rotated_at = keys.now;
                Ok((key, Vec::new()))
            })
            .await?;
        Ok((key, secret))
    }

    /// Revokes a key: every gateway refuses it within a second, and ends its open calls and
    /// sessions. Revoking it again changes nothing.
    pub async fn revoke_key(&self, caller: &Principal, id: Uuid) -> Result<KeyState, Error> {
        let keys = self.read_keys().await?;
        let key = keys.of(id)?;
        if key.revoked.is_some() {
            return Ok(keys.state_of(key));
        }
        self.change_key(Some(caller), "key.revoked", |keys| {
            let mut key = keys.of(id)?;
            let by = caller.to_string();
            key.revoked.get_or_insert(Revocation { at: keys.now, by });
            key.secrets.clear();
            Ok((key, Vec::new()))
        })
        .await
    }

    /// Ends every browser session of the caller: at once on this gateway, and within a second on all
    /// others.
    pub async fn sign_out(&self, caller: &Principal) -> Result<(), Error> {
        self.store.sign_out(&caller.to_string(), SESSION_MS).await?;
        self.key_ring().await?.refresh().await
    }

    /// Refuses what no key may have.
    fn check_new(&self, new: &NewKey) -> Result<(), Error> {
        let only = &new.restrictions;
        if let Some(scope) = only.scopes.iter().find(|scope| !new.role.allows(**scope)) {
            let detail = format!("has `{scope}`, which the role `{}` does not include", new.role);
            return Err(Error::invalid("/scopes", detail));
        }
        let mut unknown =
            only.task_types.iter().filter_map(|one| unknown_type(&self.settings.tasks.types, one));
        unknown.next().map_or(Ok(()), |detail| Err(Error::invalid("/task_types", detail)))
    }

    async fn insert_key(
        &self,
        caller: Option<&Principal>,
        new: NewKey,
        check: impl Fn(&Keys) -> Result<(), Error>,
    ) -> Result<(KeyState, Secret), Error> {
        let (secret, digest) = make_secret()?;
        let id = Uuid::now_v7();
        let by = caller.map_or(ORCHESTRATOR.to_owned(), Principal::to_string);
        let kept_ms = self.settings.retention.audit_ms;
        let key = self
            .change_key(caller, "key.created", |keys| {
                check(keys)?;
                later("/expires_at", new.restrictions.expires_at, keys.now)?;
                let is_old = |key: &&ApiKey| {
                    key.ended_at(keys.now).is_some_and(|at| at.saturating_add(kept_ms) <= keys.now)
                };
                let forget: Vec<_> = keys.all.values().filter(is_old).map(|key| key.id).collect();
                let mut kept = keys.all.values().filter(|key| !is_old(key));
                if kept.any(|key| key.name == new.name) {
                    return Err(Error::KeyNameTaken(new.name.clone()));
                }
                if keys.all.len() - forget.len() >= MAX_KEYS {
                    return Err(Error::TooManyKeys { most: MAX_KEYS });
                }
                let key = ApiKey {
                    id,
                    name: new.name.clone(),
                    identity: new.identity.clone(),
                    role: new.role,
                    restrictions: new.restrictions.clone(),
                    created_at: keys.now,
                    created_by: by.clone(),
                    rotated_at: keys.now,
                    revoked: None,
                    secrets: vec![digest.clone()],
                };
                if key.principal().is_none() {
                    return Err(Error::invalid("/name", "is the name of the orchestrator itself"));
                }
                Ok((key, forget))
            })
            .await?;
        Ok((key, secret))
    }

    /// Makes a change that `change` derives from the keys: the key after it, and which others to
    /// forget. If another change comes first, it is derived again.
    async fn change_key(
        &self,
        caller: Option<&Principal>,
        action: &'static str,
        change: impl Fn(&Keys) -> Result<(ApiKey, Vec<Uuid>), Error>,
    ) -> Result<KeyState, Error> {
        for _ in 0..TRIES {
            let keys = self.read_keys().await?;
            let (key, forget) = change(&keys)?;
            let next = Uuid::now_v7().to_string();
            let detail = detail_of(&key);
            let (base, key_ref, forget) = (keys.version.as_str(), &key, forget.as_slice());
            let change = KeyChange { base, next: &next, key: key_ref, action, detail, forget };
            if self.store.change_key(caller, &change).await? {
                tracing::info!(key.id = %key.id, key.name = %key.name, action, "key changed");
                if let Some(ring) = self.key_ring.get() {
                    ring.refresh().await?;
                }
                return Ok(keys.state_of(key));
            }
        }
        Err(Error::Unavailable("other changes of keys always came first".into()))
    }

    async fn read_keys(&self) -> Result<Keys, Error> {
        let (now, version) = self.store.key_version().await?;
        let all = self.store.api_keys().await?;
        let all = all.into_iter().map(|key| (key.id, key)).collect();
        Ok(Keys { now, version, all, uses: self.store.key_uses().await? })
    }
}

/// Refuses a caller whose own key is restricted: it could give itself a key that is not.
fn unrestricted(caller: &Principal) -> Result<(), Error> {
    match caller.restrictions() {
        Some(_) => Err(Error::RestrictedKey),
        None => Ok(()),
    }
}

fn later(pointer: &str, at: Option<Millis>, now: Millis) -> Result<(), Error> {
    match at {
        Some(at) if at <= now => Err(Error::invalid(pointer, "must be in the future")),
        Some(_) | None => Ok(()),
    }
}

/// Returns a new secret, and what is stored about it.
fn make_secret() -> Result<(Secret, SecretDigest), Error> {
    let no_random = |error: getrandom::Error| Error::Unavailable(Box::new(error));
    let secret = api_key::new_secret(|| {
        let mut byte = [0];
        getrandom::fill(&mut byte).map(|()| byte[0])
    });
    let secret = secret.map_err(no_random)?;
    let session_key =
        session_key::public(&secret).map_err(|error| Error::Corrupt(Box::new(error)))?;
    let sha256 = hex(&Sha256::digest(secret.as_bytes()));
    Ok((Secret::new(secret), SecretDigest { sha256, session_key, until: None }))
}

/// Facts about a key for the audit log.
fn detail_of(key: &ApiKey) -> BTreeMap<&'static str, String> {
    let fingerprint = key.secrets.first().map(|secret| secret.sha256[..16].to_owned());
    let only = &key.restrictions;
    let list = |items: &[Name]| items.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
    let scopes: Vec<_> = only.scopes.iter().map(|scope| scope.as_str()).collect();
    let networks: Vec<_> = only.networks.iter().map(ToString::to_string).collect();
    let facts = [
        ("id", key.id.to_string()),
        ("role", key.role.to_string()),
        ("identity", key.identity.clone().unwrap_or_default()),
        ("fingerprint", fingerprint.unwrap_or_default()),
        ("tenant", only.tenant.as_ref().map(Name::to_string).unwrap_or_default()),
        ("scopes", scopes.join(",")),
        ("agents", list(&only.agents)),
        ("task_types", list(&only.task_types)),
        ("sources", list(&only.sources)),
        ("networks", networks.join(",")),
    ];
    facts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}
