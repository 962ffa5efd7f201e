//! The options of `orchestrator bench`.

use clap::{ValueEnum, value_parser};

/// What to measure, and how large the loads are.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Use this Redis, which must be empty, instead of private ones. It is emptied afterwards.
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Measure only these figures.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<Name>,
    /// Use at most this many tasks for a figure.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    #[arg(value_parser = value_parser!(u64).range(100..=10_000_000))]
    pub tasks: u64,
    /// Measure this many rounds; the output shows the median and the extremes.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = value_parser!(u8).range(1..=20))]
    pub rounds: u8,
    /// Divide the store into this many partitions.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u16).range(1..=256))]
    pub partitions: u16,
    /// Run briefly, with small loads and one round: shows that everything works, not how fast.
    #[arg(long)]
    pub quick: bool,
}

/// A group of figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// Submit, route, claim and complete through the engine in this process, and the same in a
    /// naive store.
    FullLifeStore,
    /// The same with one task in each call.
    FullLifeSingle,
    /// Submit, route, claim and complete through the HTTP batch calls.
    FullLifeBatch,
    /// Submit tasks one by one with `POST /tasks`.
    SubmitSingle,
    /// Submit tasks in batches with `POST /tasks/batch`.
    SubmitBatch,
    /// Time until a waiting agent has a task.
    Pickup,
    /// Memory of a queued task in Redis.
    MemoryPerTask,
    /// Cost of submitting and claiming at different depths of the queue.
    Depth,
    /// Ten thousand deadlines that pass within one second, and their effect on claims.
    Timers,
    /// CPU, commands and memory of an idle fleet.
    Idle,
}
