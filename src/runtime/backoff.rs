//! How long a loop waits after a failure. This module neither sleeps nor reads the clock.

use std::time::Duration;

/// Exponential waits with jitter. Each wait is twice the previous one up to a cap; then a random
/// part of up to a half is subtracted, so that processes that failed together do not return
/// together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits that begin at `base` and never exceed `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// Counts a failure and returns how long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.wait(fastrand::f64())
    }

    /// Forgets the failures, so that the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many failures were counted since the last [`Backoff::reset`].
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait after the failures so far; `chance` from 0 to 1 subtracts up to a half.
    fn wait(&self, chance: f64) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures.saturating_sub(1));
        self.base.saturating_mul(doubled).min(self.cap).mul_f64(1.0 - chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_until_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoff.next_wait();
            waits.push(backoff.wait(0.0).as_millis());
        }

        assert_eq!(waits[..6], [100, 200, 400, 800, 1_600, 2_000]);
        assert_eq!(waits[39], 2_000);
        assert_eq!(backoff.wait(1.0), Duration::from_secs(1));

        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
        assert_eq!(backoff.failures(), 1);
    }
}
