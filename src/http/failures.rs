//! Counts failed authentications by address, so that guesses are slowed down and seen.
//!
//! A call with a valid credential is never counted or refused here: callers that share the address
//! of an attacker keep working.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::principal::Origin;

/// The time for which failures are counted, from the first one on.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are counted on their own: about 4 MB. Further ones share one count.
const MOST_ADDRESSES: usize = 65_536;

/// How often addresses whose time is over are removed at most while there is no room.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The failed authentications of the last minute.
#[derive(Debug)]
pub struct Failures {
    /// How many an address may have within [`WINDOW`]; 0 if there is no limit.
    most: u32,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_source: HashMap<Source, Count>,
    /// The count of all sources for which there is no room.
    others: Option<Count>,
    swept: Option<Instant>,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits: a client can have any address of such a network.
    V6(u64),
    /// All callers over NATS, which does not tell their addresses.
    Nats,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    ends: Instant,
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        let address = match origin {
            Origin::Peer(peer) => peer.ip(),
            Origin::Forwarded(address) => address,
            Origin::Nats => return Self::Nats,
        };
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((u128::from(address) >> 64) as u64),
        }
    }
}

impl Failures {
    /// No failures yet, of which an address may have `most` within a minute; 0 for no limit.
    pub fn new(most: u32) -> Self {
        Self { most, table: Mutex::default() }
    }

    /// Counts a failed authentication. Returns how long to wait if the address has had as many as it
    /// may have.
    pub fn count(&self, origin: Origin) -> Option<Duration> {
        if self.most == 0 {
            return None;
        }
        let now = Instant::now();
        // Counts stay whole after a panic.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let count = table.count(origin.into(), now);
        if count.ends <= now {
            *count = Count { failures: 0, ends: now + WINDOW };
        }
        count.failures = count.failures.saturating_add(1);
        (count.failures > self.most).then(|| count.ends.duration_since(now))
    }
}

impl Table {
    fn count(&mut self, source: Source, now: Instant) -> &mut Count {
        let fresh = Count { failures: 0, ends: now + WINDOW };
        if self.by_source.len() >= MOST_ADDRESSES && !self.by_source.contains_key(&source) {
            if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_EVERY) {
                self.swept = Some(now);
                self.by_source.retain(|_, count| count.ends > now);
            }
            if self.by_source.len() >= MOST_ADDRESSES {
                return self.others.get_or_insert(fresh);
            }
        }
        self.by_source.entry(source).or_insert(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::Forwarded(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_may_fail_ten_times_a_minute() {
        let failures = Failures::new(10);
        for _ in 0..10 {
            assert_eq!(failures.count(origin("203.0.113.9")), None);
        }

        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(failures.count(origin("203.0.113.9")), Some(Duration::from_secs(1)));
        assert!(failures.count(origin("::ffff:203.0.113.9")).is_some());
        assert_eq!(failures.count(origin("203.0.113.8")), None);

        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(failures.count(origin("203.0.113.9")), None);
    }

    #[test]
    fn the_addresses_of_one_network_of_64_bits_count_together() {
        let failures = Failures::new(2);
        for last in 1..=2 {
            assert_eq!(failures.count(origin(&format!("2001:db8::{last}"))), None);
        }

        assert!(failures.count(origin("2001:db8:0:0:ffff::1")).is_some());
        assert_eq!(failures.count(origin("2001:db8:0:1::1")), None);
        assert_eq!(failures.count(Origin::Nats), None);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_without_room_share_a_count_until_there_is_room() {
        let failures = Failures::new(1);
        let address = |nth: u32| Origin::Forwarded(Ipv4Addr::from(nth).into());
        for nth in 0..MOST_ADDRESSES as u32 {
            assert_eq!(failures.count(address(nth)), None);
        }

        assert_eq!(failures.count(address(u32::MAX)), None);
        assert!(failures.count(address(u32::MAX - 1)).is_some());
        assert!(failures.count(address(7)).is_some());
        let count = || failures.table.lock().unwrap().by_source.len();
        assert_eq!(count(), MOST_ADDRESSES);

        tokio::time::advance(WINDOW).await;
        assert_eq!(failures.count(address(u32::MAX)), None);
        assert_eq!(count(), 1);
    }

    #[test]
    fn without_a_limit_no_failure_is_counted() {
        let failures = Failures::new(0);

        assert!((0..100).all(|_| failures.count(Origin::Nats).is_none()));
    }
}
