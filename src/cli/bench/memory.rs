//! How much memory a queued task takes, and its share of the event log apart.

use super::Error;
use super::bed::Ground;
use super::figure::{Figure, Reporter};
use super::life::batches;
use super::load::{Caller, PAYLOAD_BYTES};

/// `memory_per_task` (in its agent's subject), `memory_per_pending_task` (not routed yet) and `events_per_task` (the
/// two events in the log, in bytes).
pub(super) async fn measure(ground: &Ground, reporter: &Reporter, count: u64) -> Result<(), Error> {
    let bed = ground.store().await?;
    let caller = Caller::new(&bed.engine)?;
    let memory = async || Ok::<_, Error>(bed.engine.spent().await?.memory_bytes);
    // Scripts and connections are not the tasks' memory: one task pays for them.
    caller.submit(1).await?;
    caller.route().await?;
    bed.engine.forget_events().await?;
    let empty = memory().await?;

    for batch in batches(count) {
        caller.submit(batch).await?;
    }
    let mut log = memory().await?;
    bed.engine.forget_events().await?;
    let pending = memory().await?;
    log -= pending;
    while caller.route().await? > 0 {}
    let routed = memory().await?;
    bed.engine.forget_events().await?;
    let assigned = memory().await?;
    log += routed - assigned;
    bed.end().await?;

    let each = |bytes: u64| bytes as f64 / count as f64;
    for (name, bytes) in [
        ("memory_per_task", each(assigned.saturating_sub(empty))),
        ("memory_per_pending_task", each(pending.saturating_sub(empty))),
        ("events_per_task", each(log)),
    ] {
        reporter.figure(
            Figure::new(name, bytes, "bytes", count).with("payload_bytes", PAYLOAD_BYTES),
        )?;
    }
    Ok(())
}
