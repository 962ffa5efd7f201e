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
use figure::Reporter;
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
    #[error("the {0} process was not ready in time")]
    NotReady(&'static str),
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

/// A function that opens an engine over the store at a URL.
pub type Open =
    Box<dyn Fn(String) -> BoxFuture<'static, Result<Engine, engine::Error>> + Send + Sync>;

/// The sizes of the loads of each figure.
#[derive(Clone, Copy, Debug)]
struct Scale {
    rounds: u8,
    life: u64,
    single: u64,
    batch: u64,
    pickup_s: u64,
    memory: u64,
    deepest: u64,
    timers: u64,
    idle_s: u64,
}

impl Scale {
    fn of(options: &Options) -> Self {
        let full = Self {
            rounds: options.rounds,
            life: 40_000,
            single: 20_000,
            batch: 40_000,
            pickup_s: 10,
            memory: 100_000,
            deepest: 1_000_000,
            timers: 10_000,
            idle_s: 5,
        };
        let quick = Self {
            rounds: 1,
            life: 3_000,
            single: 1_000,
            batch: 3_000,
            pickup_s: 1,
            memory: 5_000,
            deepest: 10_000,
            timers: 1_000,
            idle_s: 1,
        };
        let scale = if options.quick { quick } else { full };
        let most = options.tasks;
        Self {
            life: scale.life.min(most),
            single: scale.single.min(most),
            batch: scale.batch.min(most),
            memory: scale.memory.min(most),
            deepest: scale.deepest.min(most),
            timers: scale.timers.min(most),
            ..scale
        }
    }
}

/// Measures the figures that the options name, or all of them.
///
/// # Errors
///
/// Returns an error if a load cannot be run, or if the counts afterwards are wrong.
pub async fn run(options: &Options, open: Open) -> Result<(), Error> {
    let scale = Scale::of(options);
    let setups = Setups::new(options.redis_url.clone(), open);
    let reporter = Reporter;
    let names = if options.only.is_empty() { Name::value_variants() } else { &options.only };
    for name in names {
        reporter.progress(&format!("{name:?} …"));
        match name {
            Name::FullLifeStore => {
                life::store(&setups, &reporter, scale.life, scale.rounds).await?
            }
            Name::FullLifeBatch => {
                life::batch(&setups, &reporter, scale.life, scale.rounds).await?
            }
            Name::SubmitSingle => {
                submit::single(&setups, &reporter, scale.single, scale.rounds).await?
            }
            Name::SubmitBatch => {
                submit::batch(&setups, &reporter, scale.batch, scale.rounds).await?
            }
            Name::Pickup => pickup::measure(&setups, &reporter, scale.pickup_s).await?,
            Name::MemoryPerTask => memory::measure(&setups, &reporter, scale.memory).await?,
            Name::Depth => depth::measure(&setups, &reporter, scale.deepest, scale.rounds).await?,
            Name::Timers => timers::measure(&setups, &reporter, scale.timers, scale.rounds).await?,
            Name::Idle => idle::measure(&setups, &reporter, scale.idle_s).await?,
        }
    }
    Ok(())
}
