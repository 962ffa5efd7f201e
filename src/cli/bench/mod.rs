//! `orchestrator bench`: how fast, how soon, how small, measured on this machine.
//!
//! Each figure gets a store of its own and, where it goes over HTTP, a gateway and a worker as child processes with
//! the settings that come built in. Loads are bounded in count and time and never leave this machine. Figures go to
//! stdout, one JSON object a line; what is going on goes to stderr.

mod bed;
mod depth;
mod figure;
mod idle;
mod life;
mod load;
mod memory;
mod pickup;
mod submit;
mod timers;
mod wire;

use std::io;

use clap::ValueEnum;
use futures_util::future::BoxFuture;

use crate::engine::{self, Engine};
use crate::runtime::redis_server;
use bed::Ground;
use figure::Reporter;

/// What is to be measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Use this Redis, which must be empty, instead of private ones. It is emptied afterwards.
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Only these figures.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<Name>,
    /// The most tasks in any figure.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub tasks: u64,
    /// How often to measure; the median is shown, with the extremes beside it.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub rounds: u8,
    /// A short run: small loads, one round. Shows that everything works, not how fast.
    #[arg(long)]
    pub quick: bool,
}

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// Submit, route, claim, complete through the engine in this process, and the same in a naive store.
    FullLifeStore,
    /// Submit, route, claim, complete through the HTTP batch calls.
    FullLifeBatch,
    /// `POST /tasks`, one by one.
    SubmitSingle,
    /// `POST /tasks/batch`.
    SubmitBatch,
    /// How soon a waiting agent has a task.
    Pickup,
    /// How much memory a queued task takes.
    MemoryPerTask,
    /// What submitting and claiming cost at different depths of the queue.
    Depth,
    /// Ten thousand deadlines that pass within one second, and what claims notice of them.
    Timers,
    /// What it costs to do nothing.
    Idle,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error("cannot run a private Redis")]
    PrivateRedis(#[from] redis_server::Error),
    #[error(
        "the Redis at --redis-url is not empty; the bench empties what it uses, so it takes only an empty one"
    )]
    NotEmpty,
    #[error("the store failed")]
    Engine(#[from] engine::Error),
    #[error("cannot {action} a process of our own")]
    Process { action: &'static str, source: io::Error },
    #[error("the {0} process was not ready in time")]
    NotReady(&'static str),
    #[error("a call of the gateway failed")]
    Io(#[from] io::Error),
    #[error("the gateway answered {status}: {body}")]
    Refused { status: u16, body: String },
    #[error("the gateway's answer cannot be read")]
    Answer(#[from] serde_json::Error),
    #[error("{what} came to {found} instead of {expected}")]
    Miscount { what: &'static str, found: u64, expected: u64 },
    #[error("{0} took too long")]
    TooLong(&'static str),
}

/// Opens an engine over the store at a URL.
pub type Open =
    Box<dyn Fn(String) -> BoxFuture<'static, Result<Engine, engine::Error>> + Send + Sync>;

/// How large the loads are.
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

/// Measures what is asked for.
///
/// # Errors
///
/// If a load cannot be run, or the counts afterwards are not what they must be.
pub async fn run(options: &Options, open: Open) -> Result<(), Error> {
    let scale = Scale::of(options);
    let ground = Ground::new(options.redis_url.clone(), open);
    let reporter = Reporter;
    let names = if options.only.is_empty() { Name::value_variants() } else { &options.only };
    for name in names {
        reporter.progress(&format!("{name:?} …"));
        match name {
            Name::FullLifeStore => {
                life::store(&ground, &reporter, scale.life, scale.rounds).await?
            }
            Name::FullLifeBatch => {
                life::batch(&ground, &reporter, scale.life, scale.rounds).await?
            }
            Name::SubmitSingle => {
                submit::single(&ground, &reporter, scale.single, scale.rounds).await?
            }
            Name::SubmitBatch => {
                submit::batch(&ground, &reporter, scale.batch, scale.rounds).await?
            }
            Name::Pickup => pickup::measure(&ground, &reporter, scale.pickup_s).await?,
            Name::MemoryPerTask => memory::measure(&ground, &reporter, scale.memory).await?,
            Name::Depth => depth::measure(&ground, &reporter, scale.deepest, scale.rounds).await?,
            Name::Timers => timers::measure(&ground, &reporter, scale.timers, scale.rounds).await?,
            Name::Idle => idle::measure(&ground, &reporter, scale.idle_s).await?,
        }
    }
    Ok(())
}
