//! One agent key, and a stranger without any, do their worst beside a client that behaves. The client is served as if it
//! were alone, memory stays bounded, no script holds Redis for long, and afterwards everything is as it was before.
//!
//! In the suite each attack is short and the bars are wide: the build is one for tests, and others run beside it.
//! `make abuse SECONDS=60` takes the build, the time and the bars of the promise; `ATTACK=name` tells of one attack alone.

mod agent;
mod bus;
mod gauge;
mod scene;
mod stranger;
mod target;
mod victim;

use std::time::{Duration, Instant};

use gauge::Gauge;
use scene::Scene;
use target::{Attack, Target};
use victim::{Lives, live};

use crate::harness::{BOUND, may_take};

/// What must hold beside an attack.
struct Bars {
    /// How many times longer than alone a life of a task may take, at the 99th percentile; `None` if time says nothing.
    slowdown: Option<u32>,
    /// How long a script may hold Redis.
    script: Duration,
    /// How long it may take until everything is as before.
    calm: Duration,
}

/// The promise, on a machine that does nothing else.
const PROMISED: Bars =
    Bars { slowdown: Some(3), script: Duration::from_millis(25), calm: Duration::from_secs(10) };

/// What a build for tests can show beside other tests.
const BUSY: Bars = Bars { slowdown: None, script: Duration::from_millis(500), calm: BOUND };

/// What a life alone counts as at the least: below that the machine decides, and no client notices.
const SHORTEST_LIFE: Duration = Duration::from_millis(20);

/// The most memory that the gateway may hold.
const GATEWAY_KB: u64 = 256 * 1_024;

/// The most memory that Redis may use for what the attacks leave there, with the settings of the scene.
const REDIS_BYTES: u64 = 512 * 1_024 * 1_024;

/// What one attack came to.
struct Report {
    beside: Lives,
    wrong: Vec<String>,
}

/// Lets the victim live alone for a while, then beside the attack, and judges what was seen.
async fn tell(
    scene: &Scene,
    attack: &Attack,
    span: Duration,
    bars: &Bars,
    alone: &mut Lives,
) -> Report {
    scene.forget_slow_scripts(bars.script).await;
    alone.extend(live(scene, span / 3).await);
    let before = scene.state().await;
    let gauge = Gauge::start(scene);
    let target = Target::of(scene);
    let assault = target.unleash(attack, span);
    let beside = live(scene, span).await;
    let tally = assault.join().unwrap();
    let seen = gauge.finish().await;
    let calmed = Instant::now();
    let mut wrong = scene.is_as_before(&before, bars.calm).await;
    let slow = scene.slow_scripts().await;

    let usual = alone.percentile(99).max(SHORTEST_LIFE);
    let (middle, worst) = (beside.percentile(50), beside.percentile(99));
    println!(
        "| {} | {} lives, p50 {middle:.1?}, p99 {worst:.1?} (alone {:.1?}) | gateway {} MB | redis {} MB | health {:.0?} | \
         calm after {:.1?} | slow {slow:?} | {tally} |",
        attack.name,
        beside.count(),
        alone.percentile(99),
        seen.gateway_kb / 1_024,
        seen.redis_bytes >> 20,
        seen.health,
        calmed.elapsed(),
    );
    wrong.extend(beside.wrong.iter().map(|what| format!("the client was answered: {what}")));
    wrong.extend(seen.wrong);
    wrong.extend(slow.into_iter().map(|what| format!("a long script: {what}")));
    if bars.slowdown.is_some_and(|slowdown| worst > usual.saturating_mul(slowdown)) {
        wrong.push(format!("p99 is {worst:?} and alone {usual:?}"));
    }
    if seen.gateway_kb > GATEWAY_KB || seen.redis_bytes > REDIS_BYTES {
        wrong.push(format!("{} kB of the gateway, {} of Redis", seen.gateway_kb, seen.redis_bytes));
    }
    wrong.extend(tally.faults());
    Report {
        beside,
        wrong: wrong.into_iter().map(|what| format!("{}: {what}", attack.name)).collect(),
    }
}

fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_served_despite_an_abusive_key_or_stranger() {
    let seconds = setting::<f64>("ORCHESTRATOR_ABUSE_SECONDS");
    let (span, bars) = match seconds {
        Some(seconds) => (Duration::from_secs_f64(seconds), PROMISED),
        None => (Duration::from_secs(2), BUSY),
    };
    let only = setting::<String>("ORCHESTRATOR_ABUSE_ATTACK");
    let attacks: Vec<_> = [agent::ATTACKS, bus::ATTACKS, stranger::ATTACKS].concat();
    may_take(5 * BOUND + (2 * span + bars.calm) * attacks.len() as u32);
    let (mut alone, mut wrong, mut lives) = (Lives::default(), Vec::new(), 0);

    for attack in
        attacks.iter().filter(|one| only.as_ref().is_none_or(|only| one.name.contains(only)))
    {
        // What one attack leaves behind is not the next one's.
        let scene = Scene::set().await;
        let report = tell(&scene, attack, span, &bars, &mut alone).await;
        lives += report.beside.count();
        wrong.extend(report.wrong);
        scene.clear().await;
    }

    assert!(lives > 0 && alone.wrong.is_empty(), "{lives} lives; alone: {:?}", alone.wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
