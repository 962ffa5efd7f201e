//! What it costs to do nothing.

use std::time::Duration;

use tokio::time::sleep;

use super::Error;
use super::bed::Ground;
use super::figure::{Figure, Reporter};

/// How long after the start nothing is measured: connections settle, allocators calm down.
const SETTLE: Duration = Duration::from_secs(1);

/// `idle_*`: CPU in percent of a core, Redis commands a second, memory; and how long the gateway took to be ready.
pub(super) async fn measure(
    ground: &Ground,
    reporter: &Reporter,
    seconds: u64,
) -> Result<(), Error> {
    let bed = ground.fleet().await?;
    sleep(SETTLE).await;
    let before = bed.used().await?;
    sleep(Duration::from_secs(seconds)).await;
    let after = bed.used().await?;
    let [gateway_bytes, worker_bytes] = bed.fleet()?.resident_bytes();
    let ready_in = bed.fleet()?.ready_in;
    bed.end().await?;

    let span = after.at.duration_since(before.at).as_secs_f64();
    let percent = |used: Duration| used.as_secs_f64() / span * 100.0;
    // The second look is one command itself.
    let commands = (after.redis.commands - before.redis.commands).saturating_sub(1) as f64 / span;
    let redis = Duration::from_micros(after.redis.cpu_us - before.redis.cpu_us);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (name, value, unit) in [
        ("idle_gateway_cpu", percent(after.gateway - before.gateway), "percent"),
        ("idle_worker_cpu", percent(after.worker - before.worker), "percent"),
        ("idle_redis_cpu", percent(redis), "percent"),
        ("idle_redis_commands", commands, "1/s"),
        ("gateway_rss", mib(gateway_bytes), "MiB"),
        ("worker_rss", mib(worker_bytes), "MiB"),
        ("gateway_ready", ready_in.as_secs_f64() * 1000.0, "ms"),
    ] {
        let figure = Figure::new(name, value, unit, seconds).with("seconds", seconds);
        reporter.figure(figure.with("commands_include", "those within scripts"))?;
    }
    Ok(())
}
