//! The memory of a queued task, without its events and with them.

use super::Error;
use super::figure::Figure;
use super::load::{BATCH, Caller, PAYLOAD_BYTES, batches};
use super::setup::Setups;

/// Measures `memory_per_task` (in its agent's subject), `memory_per_pending_task` (not routed yet)
/// and `events_per_task` (the two events in the log), in bytes.
pub(super) async fn measure(setups: &Setups, count: u64) -> Result<(), Error> {
    let setup = setups.store().await?;
    let caller = Caller::new(&setup.engine)?;
    let memory = async || Ok::<_, Error>(setup.engine.store().spent().await?.memory_bytes);
    // One task pays for scripts and connections, which are not the memory of tasks.
    caller.submit(1).await?;
    caller.route().await?;
    setup.engine.store().forget_events().await?;
    let empty = memory().await?;

    for batch in batches(count, BATCH) {
        caller.submit(batch).await?;
    }
    let mut log = memory().await?;
    setup.engine.store().forget_events().await?;
    let pending = memory().await?;
    log -= pending;
    while caller.route().await? > 0 {}
    let routed = memory().await?;
    setup.engine.store().forget_events().await?;
    let assigned = memory().await?;
    log += routed - assigned;
    setup.end().await?;

    let each = |bytes: u64| bytes as f64 / count as f64;
    for (name, bytes) in [
        ("memory_per_task", each(assigned.saturating_sub(empty))),
        ("memory_per_pending_task", each(pending.saturating_sub(empty))),
        ("events_per_task", each(log)),
    ] {
        let figure = Figure::new(name, bytes, "bytes", count);
        figure.with("payload_bytes", PAYLOAD_BYTES).report()?;
    }
    Ok(())
}
