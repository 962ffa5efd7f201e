//! Noticing while we work that Redis is not the one that it was: empty, another one, or older than what we saw.
//!
//! A Redis that was restarted or replaced cuts our connections, so it is looked at whenever the doorbells come back, and
//! now and then besides. What is lost in part is for the doctor to find.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::ids::{EventId, Partition};

use super::layout::Layout;
use super::{Error, Store};

/// How often it is looked at though nothing seems to have happened.
const EVERY: Duration = Duration::from_secs(5);

/// What is known of the Redis that we work on.
#[derive(Default)]
pub(super) struct Watch {
    /// One look at a time, or a loss would be reported by each.
    turn: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
    losses: AtomicU64,
    /// Whether what is there was written by a program with other rules.
    is_foreign: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// The store's own id; none: not looked at yet.
    id: Option<String>,
    /// How far each log went.
    logs: BTreeMap<Partition, EventId>,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes is as good as what was: somebody emptied the store on purpose.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn note_loss(&self, what: &str) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            "{what}; work goes on with what is there, and `orchestrator doctor` finds what does not fit"
        );
    }
}

impl Store {
    /// How often data was found to be lost since this process began.
    pub fn losses(&self) -> u64 {
        self.shared.watch.losses.load(Ordering::Relaxed)
    }

    /// Whether the store was overwritten by a program with other rules, so that nothing is written any more.
    pub fn is_foreign(&self) -> bool {
        self.shared.watch.is_foreign.load(Ordering::Relaxed)
    }

    /// An error while the store is not ours to write to.
    pub(super) fn admit(&self) -> Result<(), Error> {
        if self.is_foreign() { Err(self.unlike(&Layout::default())) } else { Ok(()) }
    }

    /// Looks whether Redis is the one that it was; reports a loss once, and makes the layout anew where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Layout`] while it holds what a program with other rules wrote; nothing is written until it is gone.
    pub async fn notice(&self) -> Result<(), Error> {
        let watch = &self.shared.watch;
        let _turn = watch.turn.lock().await;
        let found = self.layout().await?;
        if found.is_missing() {
            if watch.seen().id.take().is_some() {
                watch.note_loss("the store has lost its data: it does not even know its layout");
            }
            watch.seen().logs.clear();
        }
        let checked = self.check_layout().await;
        let was_foreign =
            watch.is_foreign.swap(matches!(checked, Err(Error::Layout { .. })), Ordering::Relaxed);
        match (&checked, was_foreign) {
            (Err(error @ Error::Layout { .. }), false) => {
                tracing::error!(%error, "the store was overwritten by a program with other rules; nothing is written any more");
            }
            (Ok(_), true) => tracing::info!("the store is ours again"),
            _ => {}
        }
        let id = checked?;
        let before = watch.seen().id.replace(id.clone());
        if before.is_some_and(|before| before != id) {
            watch.seen().logs.clear();
            watch.note_loss("the store holds other data than before");
        }
        for partition in self.partitions() {
            let last = self.log_end(partition).await?;
            let before = watch.seen().logs.insert(partition, last);
            if before.is_some_and(|before| last < before) {
                watch
                    .note_loss("the event log has gone back: the store has older data than before");
            }
        }
        Ok(())
    }

    /// Looks for as long as the store is used. That Redis is away is said by whoever needs it.
    pub(super) async fn keep_watch(self) {
        let back = self.bells.back();
        let mut moves = self.hot.moves();
        loop {
            // The error of a look is known by then, or is that of everybody.
            let _ = self.notice().await;
            tokio::select! {
                () = back.notified() => {}
                Ok(()) = moves.changed() => drop(self.cold.retain(|_, _| false)),
                () = tokio::time::sleep(EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
            }
        }
    }
}
