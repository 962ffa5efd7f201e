//! What is done if an answer does not reach whoever asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Undo = Box<dyn FnOnce() + Send>;

/// Travels with an answer: the last clone that is dropped undoes what the answer hands over, unless
/// the receipt was confirmed.
#[derive(Clone)]
pub struct Receipt(Arc<Unconfirmed>);

struct Unconfirmed(Mutex<Option<Undo>>);

impl Receipt {
    /// `undo` is called once if the answer does not arrive, from whichever task gives it up.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Arc::new(Unconfirmed(Mutex::new(Some(Box::new(undo))))))
    }

    /// The answer has arrived, as far as can be known.
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
    fn an_answer_that_is_dropped_is_undone_once_and_a_confirmed_one_never() {
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
