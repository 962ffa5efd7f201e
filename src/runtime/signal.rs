//! SIGTERM and SIGINT (Ctrl-C): the first asks the process to stop in order, a second ends it at
//! once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the signals so far ask of the process. It is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled by the first signal: accept no more work, finish what has begun.
    pub in_order: CancellationToken,
    /// Cancelled by the second signal: end now. A task that waits for it drops what it owns, so
    /// that children are killed too.
    pub at_once: CancellationToken,
}

/// Listens for signals from now on, as long as the process runs. Panics outside a tokio runtime.
#[expect(clippy::disallowed_methods, reason = "it ends with the process and has nothing to finish")]
pub fn listen() -> io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = Stop::default();
    let signalled = stop.clone();
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "stopping; a second signal ends the process at once");
        signalled.in_order.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "ending at once");
        signalled.at_once.cancel();
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
