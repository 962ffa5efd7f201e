//! Rates: how many calls of each class a caller may make, in all processes of a store together.
//!
//! The limit holds for windows. A process takes parts of a window from the store and lets calls
//! pass from them, so that few calls cost a round trip. While the store does not answer, each
//! process counts on its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::domain::call_class::CallClass;
use crate::domain::time::Millis;
use crate::store::{Part, Store};

use super::Limits;

/// The length of a window, in seconds. Shorter ones would cost more round trips, and longer ones let
/// a caller that has used up its window wait for longer.
const WINDOW_S: u64 = 10;

/// The length of a window, in milliseconds.
const WINDOW_MS: Millis = WINDOW_S * 1_000;

/// How long a call waits for a part before this process counts on its own.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long this process counts on its own before it asks the store again.
const ALONE: Duration = Duration::from_secs(1);

/// How many accounts of a class there may be before those are removed whose window has ended.
const FEW: usize = 1_024;

/// Where a caller stands in its current window of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The class of the calls.
    pub class: CallClass,
    /// How many calls a window has.
    pub quota: u64,
    /// The length of a window, in seconds.
    pub window_s: u64,
    /// About how many calls are left: other processes may have used some of them.
    pub left: u64,
    /// In how many milliseconds the window ends.
    pub rest_ms: Millis,
}

/// The answer to a caller that wants to make calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The class has no limit.
    Unlimited,
    /// The calls may pass.
    Admitted(Standing),
    /// The caller has used up its window.
    Refused(Standing),
}

/// The accounts of all callers. A clone is cheap and shares them.
#[derive(Clone)]
pub struct Rates(Arc<Shared>);

struct Shared {
    store: Store,
    /// By class.
    books: [Book; CallClass::ALL.len()],
}

/// The accounts of one class.
struct Book {
    class: CallClass,
    /// How many calls a window has; 0 if the class has no limit.
    quota: u64,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    by_caller: HashMap<Arc<str>, Arc<Account>>,
    /// How many accounts there may be before ended ones are removed.
    most: usize,
}

/// What this process holds of one caller's calls.
#[derive(Default)]
struct Account {
    held: Mutex<Option<Held>>,
    /// Held by the call that takes a part; the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Held {
    calls: u64,
    /// How many more the store had when it gave the last part.
    left: u64,
    ends: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder leaves numbers and maps whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rates {
    /// Starts with no account.
    pub(super) fn new(store: &Store, limits: &Limits) -> Self {
        let books = CallClass::ALL.map(|class| Book {
            class,
            quota: limits.calls_per_second(class) * WINDOW_S,
            accounts: Mutex::default(),
        });
        Self(Arc::new(Shared { store: store.clone(), books }))
    }

    /// Lets a caller make calls of a class, or refuses all of them.
    ///
    /// * `calls`: at least 1. If it is more than a window has, the caller needs a whole window.
    /// * `before`: how many calls were counted for the same request before.
    pub async fn admit(
        &self,
        caller: &Arc<str>,
        class: CallClass,
        calls: u64,
        before: u64,
    ) -> Admission {
        let book = &self.0.books[class as usize];
        if book.quota == 0 {
            return Admission::Unlimited;
        }
        let calls = calls.min(book.quota.saturating_sub(before));
        let account = book.account(caller);
        if let Some(admission) = book.take(&account, calls) {
            return admission;
        }
        let _turn = account.turn.lock().await;
        loop {
            // Another call may have taken a part, or used up this one.
            if let Some(admission) = book.take(&account, calls) {
                return admission;
            }
            self.refill(book, &account, caller, calls).await;
        }
    }

    /// Takes a part from the store with which `calls` can pass, or learns that there is none.
    async fn refill(&self, book: &Book, account: &Account, caller: &str, calls: u64) {
        let began = Instant::now();
        let held =
            lock(&account.held).filter(|held| held.ends > began).map_or(0, |held| held.calls);
        let needed = calls.saturating_sub(held).max(1);
        let part = self.0.store.allot(caller, book.class, book.quota, WINDOW_MS, needed);
        match timeout(PATIENCE, part).await {
            Ok(Ok(part)) => account.add(part, began),
            Ok(Err(error)) => {
                tracing::debug!(%error, "rates are counted by this process alone");
                account.count_alone(book.quota, calls);
            }
            Err(_) => account.count_alone(book.quota, calls),
        }
    }
}

impl Book {
    /// The account of a caller, which is added if there is none.
    fn account(&self, caller: &Arc<str>) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.by_caller.get(caller) {
            return Arc::clone(account);
        }
        if accounts.by_caller.len() >= accounts.most {
            let now = Instant::now();
            // One that a call uses at the moment may not have a part yet.
            accounts
                .by_caller
                .retain(|_, account| Arc::strong_count(account) > 1 || account.is_live(now));
            accounts.most = FEW.max(2 * accounts.by_caller.len());
        }
        let account = Arc::<Account>::default();
        accounts.by_caller.insert(Arc::clone(caller), Arc::clone(&account));
        account
    }

    /// Takes calls from what is held. `None` if a part must be taken from the store first.
    fn take(&self, account: &Account, calls: u64) -> Option<Admission> {
        let now = Instant::now();
        let mut held = lock(&account.held);
        let held = held.as_mut().filter(|held| held.ends > now)?;
        let is_enough = held.calls >= calls;
        if !is_enough && held.calls + held.left >= calls {
            return None;
        }
        if is_enough {
            held.calls -= calls;
        }
        let standing = Standing {
            class: self.class,
            quota: self.quota,
            window_s: WINDOW_S,
            left: held.calls + held.left,
            rest_ms: held.ends.duration_since(now).as_millis() as Millis,
        };
        let admission = if is_enough { Admission::Admitted } else { Admission::Refused };
        Some(admission(standing))
    }
}

impl Account {
    fn is_live(&self, now: Instant) -> bool {
        lock(&self.held).is_some_and(|held| held.ends > now)
    }

    /// Adds a part that was requested at `began`.
    fn add(&self, part: Part, began: Instant) {
        let ends = began + Duration::from_millis(part.rest_ms);
        let mut held = lock(&self.held);
        // Both ends are about the same if they are of one window.
        let has_begun = ends.checked_sub(Duration::from_millis(WINDOW_MS / 2));
        let kept = held.filter(|held| has_begun.is_none_or(|begun| held.ends > begun));
        let calls = part.calls + kept.map_or(0, |held| held.calls);
        let ends = kept.map_or(ends, |held| held.ends.min(ends));
        *held = Some(Held { calls, left: part.left, ends });
    }

    /// Holds for a while as many calls as the rate allows, at least those that are needed.
    fn count_alone(&self, quota: u64, needed: u64) {
        let calls = (quota / WINDOW_S).max(needed);
        *lock(&self.held) = Some(Held { calls, left: 0, ends: Instant::now() + ALONE });
    }
}
