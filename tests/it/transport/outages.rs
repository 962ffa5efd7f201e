//! NATS goes away, comes back, is cut off in mid-sentence, or forgets: the stream has each event once.

use std::time::{Duration, Instant};

use orchestrator::transport;

use crate::harness::{BOUND, Fleet, Nats, Wire};

use super::bridges::forgetful;
use super::{bridge_of, no_lag, passed, settle, supervised};

/// How many events happen while NATS is away.
const MANY: usize = 50_000;

/// Submits and routes until `count` events have happened.
async fn happen(fleet: &Fleet, count: usize) {
    for _ in 0..count / 2_000 {
        fleet.submit_many("faq", 1_000).await;
    }
    fleet.route().await;
}

#[tokio::test]
async fn fifty_thousand_events_wait_out_a_nats_outage_and_are_carried_once() {
    let (fleet, mut nats) = (Fleet::start().await, Nats::start().await);
    let bridge = supervised(&fleet, &nats.settings()).await;
    fleet.submit("faq").await;
    no_lag(&fleet.engine).await;
    nats.kill();

    happen(&fleet, MANY).await;
    assert!(fleet.engine.bridge_lag_ms().await.unwrap().unwrap() > 0);
    assert!(fleet.engine.is_ready().await);
    nats.start_again().await;

    for part in 1..=5 {
        nats.grows_to(part * MANY / 5).await;
    }
    no_lag(&fleet.engine).await;
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, MANY + 2);
    bridge.finish(BOUND).await;
    fleet.finish().await;
}

/// Kills NATS each time the stream has grown by a fifth, and starts it again; `pause` lies between.
async fn is_killed_mid_stream(fleet: &Fleet, nats: &mut Nats, pause: Duration) {
    let bridge = supervised(fleet, &nats.settings()).await;
    happen(fleet, 10_000).await;
    for part in 1..5 {
        nats.grows_to(part * 2_000).await;
        nats.kill();
        passed(Instant::now(), pause).await;
        nats.start_again().await;
    }

    no_lag(&fleet.engine).await;
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, 10_000);
    bridge.finish(BOUND).await;
}

#[tokio::test]
async fn a_nats_that_is_killed_mid_stream_and_started_again_has_each_event_once() {
    let (fleet, mut nats) = (Fleet::start().await, Nats::start().await);
    is_killed_mid_stream(&fleet, &mut nats, Duration::ZERO).await;
    fleet.finish().await;
}

#[tokio::test]
async fn an_absence_longer_than_the_server_remembers_ids_repeats_nothing() {
    let (fleet, mut nats) = (Fleet::start().await, Nats::start().await);
    nats.make_stream(forgetful(100)).await;
    is_killed_mid_stream(&fleet, &mut nats, Duration::from_millis(300)).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_anywhere_in_a_wave_loses_and_repeats_nothing() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    nats.make_stream(forgetful(100)).await;
    let wire = Wire::to(nats.port()).await;
    let settings = transport::Settings { url: wire.url().into(), ..nats.settings() };
    let bridge = bridge_of(&fleet.engine, &settings).await;
    settle(&bridge).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    for round in 0..20 {
        fleet.submit_many("faq", 150).await;
        fleet.route().await;
        // Some 1,000 bytes go out for an event and 60 come back.
        match round % 2 {
            0 => wire.cut_after_sending(random.i64(0..200_000)),
            _ => wire.cut_after_hearing(random.i64(0..12_000)),
        }
        settle(&bridge).await;
    }

    assert!(wire.cuts() >= 10, "only {} cuts", wire.cuts());
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, 20 * 150 * 2);
    fleet.finish().await;
}

#[tokio::test]
async fn a_nats_that_comes_back_without_its_data_gets_what_happens_from_then_on() {
    let (fleet, mut nats) = (Fleet::start().await, Nats::start().await);
    let bridge = supervised(&fleet, &nats.settings()).await;
    fleet.submit_many("faq", 10).await;
    no_lag(&fleet.engine).await;
    nats.kill();
    nats.forget();
    fleet.submit_many("faq", 5).await;

    nats.start_again().await;

    no_lag(&fleet.engine).await;
    let log: Vec<_> = fleet.events().await.into_iter().map(|event| event.id.to_string()).collect();
    let kept: Vec<_> = nats.stream().await.iter().map(|message| message.id().to_owned()).collect();
    assert_eq!(kept, log[10..]);
    bridge.finish(BOUND).await;
    fleet.finish().await;
}
