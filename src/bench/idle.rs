//! The cost of an idle fleet.

use std::time::Duration;

use tokio::time::sleep;

use super::Error;
use super::figure::Figure;
use super::setup::Setups;

/// How long nothing is measured after the start, until connections and allocators have settled.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures `idle_*` (CPU in percent of a core, Redis commands per second), memory, and how long
/// the gateway took to be ready.
pub(super) async fn measure(setups: &Setups, seconds: u64) -> Result<(), Error> {
    let setup = setups.fleet().await?;
    sleep(SETTLE).await;
    let before = setup.usage().await?;
    sleep(Duration::from_secs(seconds)).await;
    let after = setup.usage().await?;
    let resident_bytes = setup.fleet()?.resident_bytes();
    let ready_in = setup.fleet()?.ready_in;
    setup.end().await?;

    let span = after.at.duration_since(before.at).as_secs_f64();
    let percent = |used: Duration| used.as_secs_f64() / span * 100.0;
    // The second reading is one command itself.
    let commands = (after.redis.commands - before.redis.commands).saturating_sub(1) as f64 / span;
    let redis = Duration::from_micros(after.redis.cpu_us - before.redis.cpu_us);
    let [gateway_mib, worker_mib] = resident_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    for (name, value, unit) in [
        ("idle_gateway_cpu", percent(after.gateway - before.gateway), "percent"),
        ("idle_worker_cpu", percent(after.worker - before.worker), "percent"),
        ("idle_redis_cpu", percent(redis), "percent"),
        ("idle_redis_commands", commands, "1/s"),
        ("gateway_rss", gateway_mib, "MiB"),
        ("worker_rss", worker_mib, "MiB"),
        ("gateway_ready", ready_in.as_secs_f64() * 1000.0, "ms"),
    ] {
        let figure = Figure::new(name, value, unit, seconds).with("seconds", seconds);
        figure.with("commands_include", "those within scripts").report()?;
    }
    Ok(())
}
