//! The compensation for an answer that does not reach its client.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Undo = Box<dyn FnOnce() + Send>;

/// Travels with an answer: if the last clone is dropped without a confirmation, what the answer
/// hands over is undone.
#[derive(Clone)]
pub struct Receipt(Arc<Unconfirmed>);

struct Unconfirmed(Mutex<Option<Undo>>);

impl Receipt {
    /// A receipt that calls `undo` once if the answer does not arrive, from the task that drops the
    /// last clone.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Arc::new(Unconfirmed(Mutex::new(Some(Box::new(undo))))))
    }

    /// Records that the answer has arrived, as far as can be known; nothing is undone.
    pub fn confirm(self) {
        self.0.take();
    }
}

impl Unconfirmed {
    fn take(&self) -> Option<Undo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        if let Some(undo) = self.take() {
            undo();
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Receipt")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn only_an_unconfirmed_answer_is_undone_and_only_once() {
        let undone = Arc::new(AtomicUsize::new(0));
        let receipt = || {
            let undone = Arc::clone(&undone);
            Receipt::new(move || {
                undone.fetch_add(1, Ordering::Relaxed);
            })
        };

        let given_up = receipt();
        let clone = given_up.clone();
        drop(given_up);
        assert_eq!(undone.load(Ordering::Relaxed), 0);
        drop(clone);
        assert_eq!(undone.load(Ordering::Relaxed), 1);

        let arrived = receipt();
        let clone = arrived.clone();
        arrived.confirm();
        drop(clone);
        assert_eq!(undone.load(Ordering::Relaxed), 1);
    }
}
