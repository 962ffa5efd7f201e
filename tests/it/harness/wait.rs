//! Waiting: bounded, and level-triggered. The only place of the tests with a timer.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// How long anything may take at the most: far more than it needs on a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Looks until `look` is content (`Ok`), and returns what it found; gives up after [`BOUND`] saying what it last saw.
pub async fn eventually<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= end => {
                panic!("not within {BOUND:?}: {what}; last seen: {seen:?}")
            }
            Err(_) => sleep(GLANCE).await,
        }
    }
}

/// What `work` comes to, which must not take longer than `bound`.
pub async fn within<T>(bound: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match timeout(bound, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {bound:?}: {what}"),
    }
}

/// Comes so much later: for what is slow, pauses or keeps a pace by itself, and nothing that a test may wait with.
pub async fn late(by: Duration) {
    if !by.is_zero() {
        sleep(by).await;
    }
}

/// Strikes again and again, a `period` apart, while `work` goes on: what the work came to, and how often it struck.
pub async fn striking<T>(
    period: Duration,
    mut strike: impl AsyncFnMut(),
    work: impl Future<Output = T>,
) -> (T, usize) {
    let mut strikes = 0;
    let mut beat = interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let strikes_on = async {
        loop {
            beat.tick().await;
            strike().await;
            strikes += 1;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = strikes_on => unreachable!("it strikes for ever"),
    };
    (done, strikes)
}
