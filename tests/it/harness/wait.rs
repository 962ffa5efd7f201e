//! Waiting: bounded, and level-triggered. The only place of the tests with a timer.

use std::cell::Cell;
use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::limit;

/// How long anything may take at the most: far more than it needs on a busy machine, for a wait that ends early costs
/// nothing.
pub const BOUND: Duration = Duration::from_secs(60);

/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Looks until `look` is content (`Ok`), and returns what it found; gives up after [`BOUND`] saying what it last saw.
pub async fn eventually<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    limit::watch();
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

/// What `work` comes to, which must not take longer than [`BOUND`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(BOUND, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within {BOUND:?}: {what}"),
    }
}

/// Comes so much later: for what is slow, pauses or keeps a pace by itself, and nothing that a test may wait with.
pub async fn late(by: Duration) {
    if !by.is_zero() {
        sleep(by).await;
    }
}

/// Looks again and again while the work is done: what each look that came to its end saw.
pub async fn looking_on<T>(
    work: impl Future<Output = ()>,
    mut look: impl AsyncFnMut() -> T,
) -> Vec<T> {
    let mut seen = Vec::new();
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return seen,
            one = look() => seen.push(one),
        }
    }
}

/// Strikes again and again, a `period` apart, while `work` is done over and over, until `hits` strikes have hit
/// something: what each work came to. `strike` returns how often it hit.
pub async fn striking<T>(
    period: Duration,
    hits: i64,
    mut strike: impl AsyncFnMut() -> i64,
    mut work: impl AsyncFnMut() -> T,
) -> Vec<T> {
    let hit = Cell::new(0);
    let mut beat = interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let strikes_on = async {
        loop {
            beat.tick().await;
            hit.set(hit.get() + strike().await);
        }
    };
    let works_on = async {
        let mut done = vec![work().await];
        while hit.get() < hits {
            done.push(work().await);
        }
        done
    };
    tokio::select! {
        done = works_on => done,
        () = strikes_on => unreachable!("it strikes for ever"),
    }
}
