//! `orchestrator bench`: opens engines for the benchmarks, with the default settings.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{Error, INTERRUPTED, connect};
use crate::bench::{self, Open, Options};
use crate::engine;
use crate::settings::Settings;

/// Runs the benchmarks until they are done or `stop` is cancelled.
pub(super) async fn run(options: &Options, stop: &CancellationToken) -> Result<ExitCode, Error> {
    let open: Open = Box::new(|url| Box::pin(open(url)));
    tokio::select! {
        done = bench::run(options, open) => done.map(|()| ExitCode::SUCCESS).map_err(Error::from),
        // Dropping the benchmarks ends the processes that they started.
        () = stop.cancelled() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

async fn open(url: String) -> Result<engine::Engine, engine::Error> {
    let settings = Settings::read(None, &vec![("REDIS_URL".to_owned(), url)]);
    let settings = settings.map_err(|error| engine::Error::Corrupt(Box::new(error)))?;
    connect(&settings).await
}
