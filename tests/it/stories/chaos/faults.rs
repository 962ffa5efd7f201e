//! What goes wrong, drawn from a seed alone: the same seed brings the same faults in the same order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use super::fleet::{AGENTS, Fleet, GATEWAYS, WORKERS};
use crate::harness::{Process, late};

/// One thing that goes wrong. Milliseconds say for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillGateway(usize),
    KillWorker(usize),
    /// It is told to stop, and another one takes its place.
    ReplaceGateway(usize),
    ReplaceWorker(usize),
    PauseGateway(usize, u64),
    PauseWorker(usize, u64),
    KillAgent(usize),
    PauseAgent(usize, u64),
    CutEveryConnection,
    CutNotifications,
    CutReaders,
    LoseAnswer,
    ForgetScripts,
    KillRedis,
    StopRedis,
    FreezeRedis(u64),
    /// Another Redis takes over, and this one refuses writes until it is given back its part.
    SwitchOver(u64),
    /// The server goes, and comes back under the same address.
    KillNats,
    /// The process that answers over NATS goes.
    KillBridge,
}

impl Fault {
    /// The fault without where and for how long.
    fn kind(self) -> String {
        format!("{self:?}").split('(').next().unwrap().to_owned()
    }

    fn draw(random: &mut Rng) -> Self {
        let (gateway, worker, agent) =
            (random.usize(..GATEWAYS), random.usize(..WORKERS), random.usize(..AGENTS));
        // Some are longer than a lease.
        let ms = if random.u8(..4) == 0 { random.u64(2_000..3_000) } else { random.u64(50..500) };
        match random.u8(..23) {
            0..2 => Self::KillGateway(gateway),
            2..4 => Self::KillWorker(worker),
            4 => Self::ReplaceGateway(gateway),
            5 => Self::ReplaceWorker(worker),
            6 => Self::PauseGateway(gateway, ms),
            7 => Self::PauseWorker(worker, ms),
            8..10 => Self::KillAgent(agent),
            10 => Self::PauseAgent(agent, ms),
            11..13 => Self::CutEveryConnection,
            13 => Self::CutNotifications,
            14 => Self::CutReaders,
            15..17 => Self::LoseAnswer,
            17 => Self::ForgetScripts,
            18 => Self::KillRedis,
            19 => Self::SwitchOver(ms),
            20 => Self::KillNats,
            21 => Self::KillBridge,
            _ if random.bool() => Self::StopRedis,
            _ => Self::FreezeRedis(ms / 2),
        }
    }
}

/// The faults of a seed, each with the pause before it.
pub fn schedule(seed: u64) -> impl Iterator<Item = (Duration, Fault)> {
    let mut random = Rng::with_seed(seed);
    std::iter::repeat_with(move || {
        let pause = Duration::from_millis(random.u64(100..500));
        (pause, Fault::draw(&mut random))
    })
}

/// Brings fault after fault for so long; everything runs when it returns. Returns how many there were of each kind.
pub async fn strike(fleet: &mut Fleet, seed: u64, length: Duration) -> BTreeMap<String, usize> {
    let (end, mut struck) = (Instant::now() + length, BTreeMap::new());
    for (pause, fault) in schedule(seed) {
        if Instant::now() >= end {
            break;
        }
        late(pause).await;
        bring(fleet, fault).await;
        *struck.entry(fault.kind()).or_default() += 1;
    }
    struck
}

async fn bring(fleet: &mut Fleet, fault: Fault) {
    match fault {
        Fault::KillGateway(nth) => {
            fleet.gateways[nth].kill().await;
            fleet.start_gateway(nth);
        }
        Fault::KillWorker(nth) => {
            fleet.workers[nth].kill().await;
            fleet.start_worker(nth);
        }
        Fault::ReplaceGateway(nth) => {
            stopped(&mut fleet.gateways[nth]).await;
            fleet.start_gateway(nth);
        }
        Fault::ReplaceWorker(nth) => {
            stopped(&mut fleet.workers[nth]).await;
            fleet.start_worker(nth);
        }
        Fault::PauseGateway(nth, ms) => paused(&fleet.gateways[nth], ms).await,
        Fault::PauseWorker(nth, ms) => paused(&fleet.workers[nth], ms).await,
        Fault::KillAgent(nth) => {
            fleet.kill_agent(nth).await;
            fleet.start_agent(nth);
        }
        Fault::PauseAgent(nth, ms) => paused(&fleet.agents[nth], ms).await,
        Fault::CutEveryConnection => {
            fleet.redis.cut_connections("normal").await;
            cut_notifications(fleet).await;
        }
        Fault::CutNotifications => drop(cut_notifications(fleet).await),
        Fault::CutReaders => drop(fleet.redis.cut_blocked_connections().await),
        Fault::LoseAnswer => fleet.wire.lose_next_answer(),
        Fault::ForgetScripts => drop(fleet.redis.ask::<String>(&["SCRIPT", "FLUSH"]).await),
        Fault::KillRedis => {
            fleet.redis.kill();
            fleet.redis.start_again().await;
        }
        Fault::StopRedis => {
            fleet.redis.stop().await;
            fleet.redis.start_again().await;
        }
        Fault::SwitchOver(ms) => fleet.redis.switch_over(Duration::from_millis(ms)).await,
        Fault::KillNats => {
            fleet.nats.kill();
            fleet.nats.start_again().await;
        }
        Fault::KillBridge => {
            fleet.bridge.kill().await;
            fleet.start_bridge();
        }
        Fault::FreezeRedis(ms) => {
            fleet.redis.freeze();
            late(Duration::from_millis(ms)).await;
            fleet.redis.thaw();
        }
    }
}

async fn cut_notifications(fleet: &Fleet) -> i64 {
    fleet.redis.cut_connections("pubsub").await
}

async fn stopped(process: &mut Process) {
    process.signal(Signal::TERM);
    let code = process.ended().await;
    // One that was started a moment ago may not have got as far as to listen for signals.
    assert!(code == 0 || code == -15 && process.log().is_empty(), "{code}: {}", process.log());
}

async fn paused(process: &Process, ms: u64) {
    process.pause();
    late(Duration::from_millis(ms)).await;
    process.signal(Signal::CONT);
}

#[test]
fn the_same_seed_brings_the_same_faults() {
    let first = |seed| schedule(seed).take(1_000).collect::<Vec<_>>();

    assert_eq!(first(7), first(7));
    assert_ne!(first(7), first(8));
    let kinds: std::collections::BTreeSet<_> =
        first(7).into_iter().map(|(_, fault)| fault.kind()).collect();
    assert_eq!(kinds.len(), 19, "{kinds:?}");
}
