//! The back-off: how long a failed task waits before its next attempt.

use serde::Deserialize;

use super::time::Millis;

/// Exponential back-off: `base_ms · 2^(failures − 1)`, at most `max_ms`. A random part of up to one
/// half is subtracted so that tasks that failed together do not return together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds.
    pub base_ms: Millis,
    /// The longest wait, in milliseconds.
    pub max_ms: Millis,
}

impl Backoff {
    /// Returns the wait after `failures` (from 1) failed attempts. `chance` is random, from 0 to 1.
    pub fn wait_ms(&self, failures: u32, chance: f64) -> Millis {
        let doubled = 2u64.saturating_pow(failures.saturating_sub(1)).saturating_mul(self.base_ms);
        let full = doubled.min(self.max_ms) as f64;
        (full * (1.0 - chance.clamp(0.0, 1.0) / 2.0)).round() as Millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_its_cap_minus_up_to_half_jitter() {
        let backoff = Backoff { base_ms: 1_000, max_ms: 60_000 };

        assert_eq!(backoff.wait_ms(1, 0.0), 1_000);
        assert_eq!(backoff.wait_ms(3, 0.0), 4_000);
        assert_eq!(backoff.wait_ms(3, 1.0), 2_000);
        assert_eq!(backoff.wait_ms(99, 0.0), 60_000);
    }
}
