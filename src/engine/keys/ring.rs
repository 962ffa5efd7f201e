//! The managed keys in the memory of a gateway, so that no request needs the store to find its key.
//!
//! They are read again at once after a notification, and at the latest a second after a change. If
//! the store does not answer, the keys stay as they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::api_key::ApiKey;
use crate::domain::people::People;
use crate::domain::principal::{Principal, Subject};
use crate::domain::time::Millis;
use crate::runtime::chain::Chain;
use crate::store::{KEYS_WAKE, Store};

use super::super::Error;
use super::sign_outs::SignOuts;

/// How often to look whether a notification was lost. With the time that a call may go on after the
/// end of its credential, a revoked key is of no use after a second.
const LOOK_EVERY: Duration = Duration::from_millis(800);

/// How often a process records which keys were used, at most.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// The managed keys in memory. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    store: Store,
    /// The directory that learns the persons of the keys.
    people: People,
    /// One refresh at a time, so that an older answer never replaces a newer one.
    turn: tokio::sync::Mutex<()>,
    held: RwLock<Held>,
    sign_outs: SignOuts,
    opened: Instant,
    /// The store's time at `opened`, in milliseconds since 1970, as the last look found it.
    opened_at: AtomicU64,
}

#[derive(Default)]
struct Held {
    version: String,
    /// What a valid secret proves, by its SHA-256 in hexadecimal.
    proofs: HashMap<String, KeyProof>,
    /// When each key was last used and not recorded yet, in milliseconds since 1970; 0 if not.
    used: BTreeMap<Uuid, Arc<AtomicU64>>,
}

/// What a valid secret proves.
#[derive(Clone, Debug)]
pub struct KeyProof {
    /// The caller.
    pub principal: Arc<Principal>,
    /// The public key of the browser sessions that the secret opens; see
    /// [`crate::runtime::session_key`].
    pub session_key: Arc<str>,
    /// Cancelled when the secret ends: by a revocation, a rotation or its expiry.
    pub ended: CancellationToken,
    until: Option<Millis>,
    used: Arc<AtomicU64>,
}

impl KeyProof {
    fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl KeyRing {
    /// Reads the keys.
    pub(in crate::engine) async fn open(store: Store, people: People) -> Result<Self, Error> {
        let ring = Self(Arc::new(Inner {
            store,
            people,
            turn: tokio::sync::Mutex::default(),
            held: RwLock::default(),
            sign_outs: SignOuts::default(),
            opened: Instant::now(),
            opened_at: AtomicU64::default(),
        }));
        ring.refresh().await?;
        Ok(ring)
    }

    /// Keeps the keys up to date until `stop` is cancelled.
    pub(in crate::engine) async fn keep(self, stop: CancellationToken) {
        let wake = self.0.store.notifier().wake(KEYS_WAKE);
        let mut noted: Option<Instant> = None;
        loop {
            // Listen before looking: a change that comes meanwhile must not be missed.
            let woken = wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Err(error) = self.refresh().await {
                tracing::debug!(error = %Chain(&error), "managed keys not refreshed");
            }
            if noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY) && self.note_uses().await {
                noted = Some(Instant::now());
            }
            tokio::select! {
                () = woken => {}
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {
                    self.note_uses().await;
                    return;
                }
            }
        }
    }

    /// Returns what the secret with this SHA-256, in hexadecimal, proves now. `None` if it proves
    /// nothing.
    pub fn find(&self, sha256: &str) -> Option<KeyProof> {
        let now = self.now();
        let proof = self.held().proofs.get(sha256).filter(|proof| !proof.is_over(now)).cloned()?;
        proof.used.store(now, Ordering::Relaxed);
        Some(proof)
    }

    /// Returns the SHA-256 of each secret of this key that is valid, in hexadecimal.
    pub fn secrets_of(&self, key: &Subject) -> Vec<String> {
        let held = self.held();
        let of_key = held.proofs.iter().filter(|(_, proof)| proof.principal.subject() == key);
        of_key.map(|(sha256, _)| sha256.clone()).collect()
    }

    /// Takes a nonce of the caller, which is kept for `kept_ms`. Returns whether no process took it
    /// before.
    pub async fn take_nonce(
        &self,
        caller: &str,
        nonce: &str,
        kept_ms: Millis,
    ) -> Result<bool, Error> {
        Ok(self.0.store.take_nonce(caller, nonce, kept_ms).await?)
    }

    /// Returns whether no managed key is valid now.
    pub fn is_empty(&self) -> bool {
        self.held().proofs.is_empty()
    }

    /// Reads the keys again if they have changed, and ends those that expired.
    pub(super) async fn refresh(&self) -> Result<(), Error> {
        let _turn = self.0.turn.lock().await;
        let (now, version) = self.0.store.key_version().await?;
        let since = self.0.opened.elapsed().as_millis() as Millis;
        self.0.opened_at.store(now.saturating_sub(since), Ordering::Relaxed);
        let signed_out = self.0.store.signed_out_since(self.0.sign_outs.since()).await?;
        self.0.sign_outs.note(signed_out, now);
        if self.held().version == version {
            self.end_those_over(now);
            return Ok(());
        }
        let keys = self.0.store.api_keys().await?;
        let persons = keys.iter().filter_map(|key| Some((key.subject(), key.identity.as_deref()?)));
        self.0.people.set_managed(persons);
        self.replace(version, &keys, now);
        Ok(())
    }

    fn replace(&self, version: String, keys: &[ApiKey], now: Millis) {
        let mut held = self.held_mut();
        let mut old = std::mem::take(&mut *held);
        held.version = version;
        for key in keys.iter().filter(|key| key.ended_at(now).is_none()) {
            let Some(principal) = key.principal().map(Arc::new) else { continue };
            let used = old.used.remove(&key.id).unwrap_or_default();
            for secret in &key.secrets {
                let known = old.proofs.remove(&secret.sha256);
                let expiry = key.restrictions.expires_at;
                let proof = KeyProof {
                    principal: Arc::clone(&principal),
                    session_key: secret.session_key.as_str().into(),
                    ended: known.map(|known| known.ended).unwrap_or_default(),
                    until: secret.until.into_iter().chain(expiry).min(),
                    used: Arc::clone(&used),
                };
                held.proofs.insert(secret.sha256.clone(), proof);
            }
            held.used.insert(key.id, used);
        }
        drop(held);
        old.proofs.values().for_each(|gone| gone.ended.cancel());
        self.end_those_over(now);
    }

    fn end_those_over(&self, now: Millis) {
        if !self.held().proofs.values().any(|proof| proof.is_over(now)) {
            return;
        }
        self.held_mut().proofs.retain(|_, proof| {
            if proof.is_over(now) {
                proof.ended.cancel();
            }
            !proof.is_over(now)
        });
    }

    /// Records which keys were used since the last call. Returns whether there were any.
    async fn note_uses(&self) -> bool {
        let used: Vec<_> = self.held().used.iter().map(|(id, at)| (*id, Arc::clone(at))).collect();
        let uses = used.iter().map(|(id, at)| (*id, at.swap(0, Ordering::Relaxed)));
        let uses: Vec<_> = uses.filter(|(_, at)| *at > 0).collect();
        if uses.is_empty() {
            return false;
        }
        if let Err(error) = self.0.store.note_key_uses(&uses).await {
            tracing::debug!(error = %Chain(&error), "uses of managed keys not recorded");
        }
        true
    }

    /// Returns when a new browser session of the caller begins, in milliseconds since 1970: now, and
    /// after the caller's last sign-out.
    pub fn session_begin(&self, caller: &str) -> Millis {
        self.0.sign_outs.begin(caller, self.now())
    }

    /// Returns what is cancelled when the caller's browser session, which began then, ends by a
    /// sign-out. `None` if it has ended so.
    pub fn session_end(&self, caller: &str, began: Millis) -> Option<CancellationToken> {
        self.0.sign_outs.end(caller, began, self.now())
    }

    /// Returns the store's time, in milliseconds since 1970, as far as it is known.
    pub fn now(&self) -> Millis {
        let since = self.0.opened.elapsed().as_millis() as Millis;
        self.0.opened_at.load(Ordering::Relaxed) + since
    }

    /// A panic elsewhere leaves the keys consistent, so a poisoned lock is used on.
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}
