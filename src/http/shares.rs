//! A budget that principals share, so that none of them takes all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A budget: its total, the most that one principal may take, and what is taken.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only principals that have taken something, so that names chosen by clients do not
    /// accumulate.
    by: HashMap<Arc<str>, usize>,
}

/// The limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The limit of the principal.
    Own,
    /// The limit of all principals together.
    All,
}

impl Shares {
    /// A budget of `most`, of which one principal may take `each`.
    pub fn new(most: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { most, each, taken: Mutex::default() })
    }

    /// An empty share of `principal`, which [`Share::grow`] fills.
    pub fn share(self: &Arc<Self>, principal: Arc<str>) -> Share {
        Share { shares: Arc::clone(self), principal, taken: 0 }
    }

    /// How much all principals have taken together.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Each holder adds and subtracts small numbers, so nothing is left half done.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request has taken of a budget. Dropping the share gives all of it back.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    principal: Arc<str>,
    taken: usize,
}

impl Share {
    /// Takes `more` of the budget.
    ///
    /// # Errors
    ///
    /// A limit is reached, and nothing is taken.
    pub fn grow(&mut self, more: usize) -> Result<(), Exhausted> {
        let mut taken = self.shares.lock();
        let own = taken.by.get(&self.principal).copied().unwrap_or(0).saturating_add(more);
        if own > self.shares.each {
            return Err(Exhausted::Own);
        }
        let all = taken.all.saturating_add(more);
        if all > self.shares.most {
            return Err(Exhausted::All);
        }
        taken.all = all;
        taken.by.insert(Arc::clone(&self.principal), own);
        self.taken += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.taken == 0 {
            return;
        }
        let mut taken = self.shares.lock();
        taken.all -= self.taken;
        let Some(own) = taken.by.get_mut(&self.principal) else { return };
        *own -= self.taken;
        if *own == 0 {
            taken.by.remove(&self.principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_principal_takes_its_own_share_and_leaves_the_rest() {
        let shares = Shares::new(10, 6);
        let (mut greedy, mut modest) = (shares.share("a".into()), shares.share("b".into()));

        assert_eq!(greedy.grow(6), Ok(()));
        assert_eq!(greedy.grow(1), Err(Exhausted::Own));
        assert_eq!(shares.share("a".into()).grow(1), Err(Exhausted::Own));
        assert_eq!(modest.grow(4), Ok(()));
        assert_eq!(modest.grow(1), Err(Exhausted::All));
        assert_eq!(shares.taken(), 10);
    }

    #[test]
    fn a_dropped_share_is_given_back_and_leaves_no_name() {
        let shares = Shares::new(10, 10);
        let mut share = shares.share("a".into());
        share.grow(3).unwrap();
        share.grow(4).unwrap();

        drop(share);

        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().by.is_empty());
    }
}
