//! Notices at run time that Redis holds other data than before: none, that of another store, or an
//! older state.
//!
//! A Redis that was restarted or replaced closes its connections. So the check runs whenever the
//! pub/sub connection is back, and every few seconds besides. The doctor finds partial losses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::ids::{EventId, Partition};

use super::layout::Layout;
use super::{Error, Store};

/// How often the check runs if nothing else starts it.
const EVERY: Duration = Duration::from_secs(5);

/// What this process knows of the data in Redis.
#[derive(Default)]
pub(super) struct Watch {
    /// One check at a time, or each of them would report the same loss.
    turn: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
    losses: AtomicU64,
    /// Whether an incompatible version or another program wrote the keyspace.
    is_foreign: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// The store's own id. `None` before the first check.
    id: Option<String>,
    /// The last event of each partition's log.
    logs: BTreeMap<Partition, EventId>,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was seen, because the caller emptied the store on purpose.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn note_loss(&self, what: &str) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            "{what}; continuing with the remaining data, run `orchestrator doctor` to find \
             inconsistencies"
        );
    }
}

impl Store {
    /// Returns how often this process noticed a loss of data.
    pub fn losses(&self) -> u64 {
        self.shared.watch.losses.load(Ordering::Relaxed)
    }

    /// Returns whether another program overwrote the keyspace, so that writes are suspended.
    pub fn is_foreign(&self) -> bool {
        self.shared.watch.is_foreign.load(Ordering::Relaxed)
    }

    /// Returns an error while writes are suspended.
    pub(super) fn admit(&self) -> Result<(), Error> {
        if self.is_foreign() { Err(self.unlike(&Layout::default())) } else { Ok(()) }
    }

    /// Checks whether Redis still holds the same data. Logs a loss once, and writes the layout if
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Layout`] while it holds an incompatible keyspace. Writes are suspended until that
    /// is gone.
    pub async fn notice(&self) -> Result<(), Error> {
        let watch = &self.shared.watch;
        let _turn = watch.turn.lock().await;
        let found = self.layout().await?;
        if found.is_missing() {
            if watch.seen().id.take().is_some() {
                watch.note_loss("the store lost all its data, with its layout");
            }
            watch.seen().logs.clear();
        }
        let checked = self.check_layout().await;
        let was_foreign =
            watch.is_foreign.swap(matches!(checked, Err(Error::Layout { .. })), Ordering::Relaxed);
        match (&checked, was_foreign) {
            (Err(error @ Error::Layout { .. }), false) => {
                tracing::error!(%error, "incompatible keyspace version found; writes suspended");
            }
            (Ok(_), true) => tracing::info!("compatible keyspace found; writes resumed"),
            _ => {}
        }
        let id = checked?;
        let before = watch.seen().id.replace(id.clone());
        if before.is_some_and(|before| before != id) {
            watch.seen().logs.clear();
            watch.note_loss("the store holds other data than before");
        }
        for partition in self.reachable() {
            let last = self.log_end(partition).await?;
            let before = watch.seen().logs.insert(partition, last);
            if before.is_some_and(|before| last < before) {
                watch.note_loss("the event log is shorter: the store has older data than before");
            }
        }
        Ok(())
    }

    /// Runs the check for as long as the store is in use. The calls that need Redis report that it
    /// is down.
    pub(super) async fn keep_watch(self) {
        let back = self.notifier.back();
        loop {
            // A failed check was logged, or every call has the same error.
            let _ = self.notice().await;
            tokio::select! {
                () = back.notified() => {}
                () = tokio::time::sleep(EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
            }
        }
    }
}
