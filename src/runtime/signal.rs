//! SIGTERM and SIGINT (Ctrl-C): the first asks the process to stop in order, a second ends it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the process was told to do. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled by the first signal: stop taking work, finish what is begun.
    pub in_order: CancellationToken,
    /// Cancelled by the second: leave now. Whoever waits for it drops what it owns, so that children are killed too.
    pub at_once: CancellationToken,
}

/// Listens for signals from now on, for as long as the process runs.
///
/// # Errors
///
/// If the handlers cannot be installed.
///
/// # Panics
///
/// Outside a tokio runtime.
#[expect(clippy::disallowed_methods, reason = "it ends with the process and has nothing to finish")]
pub fn listen() -> io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = Stop::default();
    let told = stop.clone();
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "stopping; a second signal ends the process at once");
        told.in_order.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "ending at once");
        told.at_once.cancel();
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
