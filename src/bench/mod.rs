//! `orchestrator bench`: throughput, latency and memory, measured on this machine.
//!
//! Each figure gets a store of its own and, if it goes over HTTP, a gateway and a worker as child
//! processes with the default settings. Loads are bounded in count and time and never leave this
//! machine. Figures go to stdout, one JSON object per line; progress goes to stderr.

mod depth;
mod figure;
mod idle;
mod life;
mod load;
mod memory;
mod pickup;
mod setup;
mod submit;
mod timers;
mod wire;

use std::io;

use clap::ValueEnum;
use futures_util::future::BoxFuture;

use crate::engine::{self, Engine};
use crate::runtime::redis_server;
use crate::store;
use setup::Setups;

pub use crate::cli::bench::{Name, Options};

/// The reason why a figure could not be measured.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error("cannot run a private Redis")]
    PrivateRedis(#[from] redis_server::Error),
    #[error(
        "the Redis at --redis-url is not empty; the benchmarks delete everything in it, so name an \
         empty one"
    )]
    NotEmpty,
    #[error("a call to the engine failed")]
    Engine(#[from] engine::Error),
    #[error("the store failed")]
    Store(#[from] store::Error),
    #[error("cannot {action} a child process")]
    Process { action: &'static str, source: io::Error },
    #[error("the gateway process was not ready in time")]
    NotReady,
    #[error("a call to the gateway failed")]
    Io(#[from] io::Error),
    #[error("the gateway answered {status}: {body}")]
    Refused { status: u16, body: String },
    #[error("the gateway's answer cannot be read")]
    Answer(#[from] serde_json::Error),
    #[error("{what}: counted {found} instead of {expected}")]
    Miscount { what: &'static str, found: u64, expected: u64 },
    #[error("{0} took too long")]
    TooLong(&'static str),
}

/// A function that opens an engine over the store at a URL, with this number of partitions.
pub type Open =
    Box<dyn Fn(String, u16) -> BoxFuture<'static, Result<Engine, engine::Error>> + Send + Sync>;

/// Measures the figures that the options name, or all of them.
///
/// # Errors
///
/// Returns an error if a load cannot be run, or if the counts afterwards are wrong.
pub async fn run(options: &Options, open: Open) -> Result<(), Error> {
    let partitions = options.partitions;
    let setups = Setups { redis_url: options.redis_url.clone(), partitions, open };
    let size = |full: u64, quick: u64| if options.quick { quick } else { full };
    let tasks = |full, quick| size(full, quick).min(options.tasks);
    let rounds = if options.quick { 1 } else { options.rounds };
    let life = tasks(40_000, 3_000);
    let names = if options.only.is_empty() { Name::value_variants() } else { &options.only };
    for name in names {
        figure::progress(&format!("{name:?} …"));
        match name {
            Name::FullLifeStore => life::store(&setups, life, rounds).await?,
            Name::FullLifeSingle => life::single(&setups, tasks(3_000, 200), rounds).await?,
            Name::FullLifeBatch => life::batch(&setups, life, rounds).await?,
            Name::SubmitSingle => submit::single(&setups, tasks(20_000, 1_000), rounds).await?,
            Name::SubmitBatch => submit::batch(&setups, tasks(40_000, 3_000), rounds).await?,
            Name::Pickup => pickup::measure(&setups, size(10, 1)).await?,
            Name::MemoryPerTask => memory::measure(&setups, tasks(100_000, 5_000)).await?,
            Name::Depth => depth::measure(&setups, tasks(1_000_000, 10_000), rounds).await?,
            Name::Timers => timers::measure(&setups, tasks(10_000, 1_000), rounds).await?,
            Name::Idle => idle::measure(&setups, size(5, 1)).await?,
        }
    }
    Ok(())
}
