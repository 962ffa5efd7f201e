//! The browser sessions that sign-outs end, in the memory of a gateway.
//!
//! A sign-out ends every session of its caller that began before, in every browser: so a copy of a
//! cookie is worth nothing, and what is kept is bounded by the number of callers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::domain::time::Millis;

/// How long a browser session lasts at most, in seconds: a working day.
pub const SESSION_SECONDS: u64 = 12 * 3_600;

/// The same in milliseconds.
pub(super) const SESSION_MS: Millis = SESSION_SECONDS * 1_000;

/// How far each look goes back before the last one, in milliseconds: a sign-out may be stored a
/// little after the time that it has.
const OVERLAP_MS: Millis = 60_000;

/// The sessions of callers, as far as this process has seen any.
#[derive(Default)]
pub(super) struct SignOuts(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// The store's time of the last look, in milliseconds since 1970; 0 before the first.
    looked_at: Millis,
    callers: HashMap<String, Sessions>,
}

/// The sessions of one caller.
#[derive(Default)]
struct Sessions {
    /// When the caller signed out last, in milliseconds since 1970; 0 if not lately.
    signed_out: Millis,
    /// When a session was used last, in milliseconds since 1970.
    used_at: Millis,
    /// Cancelled by the next sign-out.
    ended: CancellationToken,
}

impl SignOuts {
    /// Returns since when sign-outs must be read, in milliseconds since 1970.
    pub(super) fn since(&self) -> Millis {
        self.held().looked_at.saturating_sub(OVERLAP_MS)
    }

    /// Takes over sign-outs that were read at `now`, and forgets what no session needs.
    pub(super) fn note(&self, signed_out: Vec<(String, Millis)>, now: Millis) {
        let mut held = self.held();
        held.looked_at = now;
        for (caller, at) in signed_out {
            let sessions = held.callers.entry(caller).or_default();
            if sessions.signed_out < at {
                sessions.signed_out = at;
                std::mem::take(&mut sessions.ended).cancel();
            }
        }
        let oldest = now.saturating_sub(SESSION_MS);
        held.callers.retain(|_, sessions| sessions.signed_out.max(sessions.used_at) >= oldest);
    }

    /// Returns when a new session of the caller begins: now, and after the last sign-out.
    pub(super) fn begin(&self, caller: &str, now: Millis) -> Millis {
        let signed_out = self.held().callers.get(caller).map(|sessions| sessions.signed_out);
        now.max(signed_out.unwrap_or_default() + 1)
    }

    /// Returns what ends the caller's session that began then. `None` if it has ended.
    pub(super) fn end(
        &self,
        caller: &str,
        began: Millis,
        now: Millis,
    ) -> Option<CancellationToken> {
        let mut held = self.held();
        let sessions = held.callers.entry(caller.to_owned()).or_default();
        sessions.used_at = now;
        (began > sessions.signed_out).then(|| sessions.ended.clone())
    }

    /// A panic elsewhere leaves the sign-outs consistent, so a poisoned lock is used on.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
