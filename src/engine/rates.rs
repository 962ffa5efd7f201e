//! Rates: how many calls of each class a caller may make and how many bytes it may submit, in all
//! processes of a store together.
//!
//! The limits hold for windows. A process takes parts of a window from the store and lets calls
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

/// The length of a window of submitted bytes, in milliseconds.
const BYTES_WINDOW_MS: Millis = 3_600_000;

/// The word for submitted bytes in the store, beside those of the classes.
const BYTES: &str = "bytes";

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
    bytes: Book,
}

/// The accounts of one class of calls, or of submitted bytes.
struct Book {
    /// The word for it in the store.
    what: &'static str,
    /// How much a window has; 0 if there is no limit.
    quota: u64,
    window_ms: Millis,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    by_caller: HashMap<Arc<str>, Arc<Account>>,
    /// How many accounts there may be before ended ones are removed.
    most: usize,
}

/// What became of an attempt to take something.
struct Taken {
    is_enough: bool,
    /// How much is left in all processes, as far as this one knows.
    left: u64,
    /// In how many milliseconds the window ends.
    rest_ms: Millis,
}

/// What this process holds for one caller.
#[derive(Default)]
struct Account {
    held: Mutex<Option<Held>>,
    /// Held by the call that takes a part; the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Held {
    amount: u64,
    /// How much more the store had when it gave the last part.
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
            what: class.as_str(),
            quota: limits.calls_per_second(class) * WINDOW_S,
            window_ms: WINDOW_MS,
            accounts: Mutex::default(),
        });
        let bytes = Book {
            what: BYTES,
            quota: limits.submitted_bytes_per_hour,
            window_ms: BYTES_WINDOW_MS,
            accounts: Mutex::default(),
        };
        Self(Arc::new(Shared { store: store.clone(), books, bytes }))
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
        let taken = self.take(book, caller, calls).await;
        let standing = Standing {
            class,
            quota: book.quota,
            window_s: WINDOW_S,
            left: taken.left,
            rest_ms: taken.rest_ms,
        };
        if taken.is_enough { Admission::Admitted(standing) } else { Admission::Refused(standing) }
    }

    /// Counts bytes that a caller submits. Returns how many milliseconds to wait if they are more
    /// than it may submit now. More than a window has count as a whole window.
    pub(super) async fn wait_for_bytes(&self, caller: &str, bytes: usize) -> Option<Millis> {
        let book = &self.0.bytes;
        if book.quota == 0 {
            return None;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(book.quota);
        let taken = self.take(book, &caller.into(), bytes).await;
        (!taken.is_enough).then_some(taken.rest_ms)
    }

    /// Takes all of `amount` for a caller, or nothing.
    async fn take(&self, book: &Book, caller: &Arc<str>, amount: u64) -> Taken {
        let account = book.account(caller);
        if let Some(taken) = account.take(amount) {
            return taken;
        }
        let _turn = account.turn.lock().await;
        loop {
            // Another call may have taken a part, or used up this one.
            if let Some(taken) = account.take(amount) {
                return taken;
            }
            self.refill(book, &account, caller, amount).await;
        }
    }

    /// Takes a part from the store that is enough for `amount`, or learns that there is none.
    async fn refill(&self, book: &Book, account: &Account, caller: &str, amount: u64) {
        let began = Instant::now();
        let held = lock(&account.held).filter(|held| held.ends > began);
        let needed = amount.saturating_sub(held.map_or(0, |held| held.amount)).max(1);
        let part = self.0.store.allot(caller, book.what, book.quota, book.window_ms, needed);
        match timeout(PATIENCE, part).await {
            Ok(Ok(part)) => account.add(part, began, book.window_ms),
            Ok(Err(error)) => {
                tracing::debug!(%error, "rates are counted by this process alone");
                account.count_alone(book, amount);
            }
            Err(_) => account.count_alone(book, amount),
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
}

impl Account {
    fn is_live(&self, now: Instant) -> bool {
        lock(&self.held).is_some_and(|held| held.ends > now)
    }

    /// Takes all of `amount` from what is held, or nothing. `None` if a part must be taken from the
    /// store first.
    fn take(&self, amount: u64) -> Option<Taken> {
        let now = Instant::now();
        let mut held = lock(&self.held);
        let held = held.as_mut().filter(|held| held.ends > now)?;
        let is_enough = held.amount >= amount;
        if !is_enough && held.amount + held.left >= amount {
            return None;
        }
        if is_enough {
            held.amount -= amount;
        }
        let rest_ms = held.ends.duration_since(now).as_millis() as Millis;
        Some(Taken { is_enough, left: held.amount + held.left, rest_ms })
    }

    /// Adds a part that was requested at `began`.
    fn add(&self, part: Part, began: Instant, window_ms: Millis) {
        let ends = began + Duration::from_millis(part.rest_ms);
        let mut held = lock(&self.held);
        // Both ends are about the same if they are of one window.
        let has_begun = ends.checked_sub(Duration::from_millis(window_ms / 2));
        let kept = held.filter(|held| has_begun.is_none_or(|begun| held.ends > begun));
        let amount = part.amount + kept.map_or(0, |held| held.amount);
        let ends = kept.map_or(ends, |held| held.ends.min(ends));
        *held = Some(Held { amount, left: part.left, ends });
    }

    /// Holds for a while as much as the rate allows, at least what is needed.
    fn count_alone(&self, book: &Book, needed: u64) {
        let share = book.quota * ALONE.as_millis() as Millis / book.window_ms;
        let ends = Instant::now() + ALONE;
        *lock(&self.held) = Some(Held { amount: share.max(needed), left: 0, ends });
    }
}
