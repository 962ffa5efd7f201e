//! `orchestrator agent run`: claims tasks, runs a program for each, and reports what became of it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::text::visible;
use super::super::{Connection, Error};
use super::attempt::{NotStarted, Work};
use super::guard::Guard;
use super::outcome::{Held, Outcome, deliver};
use crate::cli::client::{self, Client};
use crate::domain::name::{Name, Worker};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;
use crate::runtime::signal::{self, Stop};
use crate::runtime::telemetry::{self, Format};

/// How long one claim waits for a task, in milliseconds; gateways allow 60 s.
const WAIT_MS: u64 = 30_000;

/// How long to wait after a claim that returned nothing at once.
const PAUSE: Duration = Duration::from_secs(1);

/// The exit code after a second signal to stop, as shells count it.
const INTERRUPTED: u8 = 130;

/// What is logged unless an option or a variable says otherwise.
const DEFAULT_LEVEL: &str = "info";

/// The options of `orchestrator agent run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The agent whose tasks the program does.
    #[arg(long)]
    agent: Name,
    /// How many programs may run at once, 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    concurrency: u32,
    /// End after so many tasks, once the programs of all of them have ended. Default: do not end.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    tasks: Option<u64>,
    /// The name of this process among the workers of the agent. Default: the host and the process id.
    #[arg(long, value_name = "NAME")]
    worker: Option<Worker>,
    /// How long a lease lasts without a heartbeat, in milliseconds, 1 s to 1 h. Heartbeats are
    /// three times as frequent; by their answers a program is stopped whose task was cancelled.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1_000..=3_600_000))]
    lease_ms: u64,
    /// The exit codes that mean "try again later", joined by commas. Any other code but 0 fails the
    /// task for good; a program that a signal ended is tried again.
    #[arg(long, value_name = "CODES", value_delimiter = ',', default_value = "75")]
    retry_on: Vec<u8>,
    /// How long to wait before it is tried again, in milliseconds, at most 7 days. Default: the
    /// back-off of the fleet.
    #[arg(long, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=604_800_000))]
    retry_after_ms: Option<u64>,
    /// How long programs may go on after SIGTERM or Ctrl-C, in milliseconds. Then they are stopped,
    /// and their tasks return to the agent.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    stop_grace_ms: u64,
    /// How long a program has between SIGTERM and SIGKILL, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    kill_after_ms: u64,
    /// What is logged: a level, or directives such as warn,orchestrator=debug.
    #[arg(long, env = "RUST_LOG", value_name = "LEVEL", default_value = DEFAULT_LEVEL)]
    log_level: String,
    /// Log one JSON object a line instead of text.
    #[arg(long)]
    log_json: bool,
    #[command(flatten)]
    connection: Connection,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Serialize)]
struct Claim<'w> {
    worker: &'w str,
    max: u32,
    wait_ms: u64,
    lease_ms: u64,
}

#[derive(Deserialize)]
struct Claimed {
    tasks: Vec<Given>,
}

/// A task with what proves that this process holds it.
#[derive(Deserialize)]
struct Given {
    task: Box<RawValue>,
    attempt: u32,
    lease: String,
}

/// The one member of a task that matters here.
#[derive(Deserialize)]
struct Identity {
    task_id: Uuid,
}

/// Why the agent ends before it is asked to.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the gateway refuses claims")]
    Refused(#[from] client::Error),
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    #[error("an attempt failed inside of this program, which is a bug")]
    Attempt(#[from] tokio::task::JoinError),
}

impl Options {
    /// Works until a signal asks it to stop, it has done as many tasks as it should, or the gateway or
    /// the program refuses for good.
    pub async fn run(self) -> Result<ExitCode, Error> {
        let format = if self.log_json { Format::Json } else { Format::Text };
        // A variable that is set to nothing is as good as none.
        let level = if self.log_level.is_empty() { DEFAULT_LEVEL } else { &self.log_level };
        let log = telemetry::Settings { level: level.to_owned(), format };
        telemetry::start(&log).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
        let Stop { in_order, at_once } = signal::listen().map_err(Error::Programs)?;
        tokio::select! {
            done = self.serve(&in_order) => done,
            () = at_once.cancelled() => Ok(ExitCode::from(INTERRUPTED)),
        }
    }

    async fn serve(self, stop: &CancellationToken) -> Result<ExitCode, Error> {
        check_program(&self.command[0])?;
        let target = self.connection.target()?;
        let client = target.client()?;
        let worker = self.worker.map_or_else(own_name, |worker| worker.to_string());
        let work = Arc::new(Work {
            client: client.clone(),
            target,
            command: self.command,
            lease_ms: self.lease_ms,
            kill_after: Duration::from_millis(self.kill_after_ms),
            retry_on: self.retry_on,
            retry_after_ms: self.retry_after_ms,
            guard: Guard::start().map_err(Error::Programs)?,
            hurry: CancellationToken::new(),
        });
        let (report, reports) = mpsc::unbounded_channel();
        let left = self.tasks.unwrap_or(u64::MAX);
        let mut crew =
            Crew { work, attempts: JoinSet::new(), report, size: self.concurrency, left };
        let grace = Duration::from_millis(self.stop_grace_ms);
        let claims = async {
            let claim =
                |max| Claim { worker: &worker, max, wait_ms: WAIT_MS, lease_ms: self.lease_ms };
            tracing::info!(agent.name = %self.agent, worker.name = worker, "the agent works");
            let ended = crew.claim_until(stop, &client, &self.agent, claim).await;
            if let Err(fault) = &ended {
                tracing::error!(error = %Chain(fault), "no more claims");
            }
            crew.finish(grace).await;
            ended
        };
        let (ended, lost) = tokio::join!(claims, deliver(&client, &self.agent, reports));
        if lost > 0 {
            tracing::error!(count = lost, "outcomes were not delivered; their leases will end");
        }
        Ok(if ended.is_ok() && lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The attempts that run, and the way for their outcomes.
struct Crew {
    work: Arc<Work>,
    attempts: JoinSet<Result<(), NotStarted>>,
    report: mpsc::UnboundedSender<Outcome>,
    /// How many attempts may run at once.
    size: u32,
    /// How many more tasks may be claimed.
    left: u64,
}

impl Crew {
    /// Claims tasks for the attempts that may run until `stop` is cancelled or no more may be claimed.
    async fn claim_until<'w>(
        &mut self,
        stop: &CancellationToken,
        client: &Client,
        agent: &Name,
        claim: impl Fn(u32) -> Claim<'w>,
    ) -> Result<(), Fault> {
        let path = format!("/agents/{agent}/claim");
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while let Some(free) = self.free(stop).await? {
            let began = Instant::now();
            let body = claim(free);
            let claimed = tokio::select! {
                claimed = client.post::<Claimed>(&path, &body) => claimed,
                () = stop.cancelled() => break,
            };
            let wait = match claimed {
                Ok(Claimed { tasks }) => {
                    if backoff.failures() > 0 {
                        tracing::info!("the gateway answers again");
                    }
                    backoff.reset();
                    let is_idle = tasks.is_empty() && began.elapsed() < PAUSE;
                    self.left = self.left.saturating_sub(tasks.len() as u64);
                    self.start(tasks, stop);
                    if is_idle { PAUSE } else { Duration::ZERO }
                }
                Err(error) if error.is_transient() => {
                    if backoff.failures() == 0 {
                        tracing::warn!(error = %Chain(&error), "the claim failed, retrying");
                    }
                    backoff.next_wait()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Waits until another attempt may run, and returns how many; `None` once `stop` is cancelled, or
    /// all have ended and no more may begin.
    async fn free(&mut self, stop: &CancellationToken) -> Result<Option<u32>, Fault> {
        while let Some(ended) = self.attempts.try_join_next() {
            ended??;
        }
        loop {
            let busy = u32::try_from(self.attempts.len()).unwrap_or(self.size);
            if stop.is_cancelled() {
                return Ok(None);
            }
            let left = u32::try_from(self.left).unwrap_or(u32::MAX);
            let free = self.size.saturating_sub(busy).min(left);
            if free > 0 {
                return Ok(Some(free));
            }
            if busy == 0 {
                return Ok(None);
            }
            tokio::select! {
                Some(ended) = self.attempts.join_next() => ended??,
                () = stop.cancelled() => {}
            }
        }
    }

    /// Starts an attempt of each task. What came while this process stops is released instead.
    fn start(&mut self, tasks: Vec<Given>, stop: &CancellationToken) {
        for Given { task, attempt, lease } in tasks {
            let task_id = match serde_json::from_str::<Identity>(task.get()) {
                Ok(Identity { task_id }) => task_id,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "a task without an id, skipping it");
                    continue;
                }
            };
            let held = Held { task_id, attempt, lease };
            if stop.is_cancelled() {
                // The receiver lives until all senders are gone.
                let _ = self.report.send(Outcome::released(held));
                continue;
            }
            let (work, report) = (Arc::clone(&self.work), self.report.clone());
            self.attempts.spawn(async move {
                let outcome = work.attempt(&held, task).await;
                let (outcome, ended) = match outcome {
                    Ok(outcome) => (outcome, Ok(())),
                    Err(error) => (Some(Outcome::released(held)), Err(error)),
                };
                if let Some(outcome) = outcome {
                    let _ = report.send(outcome);
                }
                ended
            });
        }
    }

    /// Gives the attempts so much time to end, then stops their programs.
    async fn finish(mut self, grace: Duration) {
        let hurry = self.work.hurry.clone();
        let late = async {
            sleep(grace).await;
            hurry.cancel();
            std::future::pending::<()>().await;
        };
        let all = async { while self.attempts.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = late => {}
        }
    }
}

/// Checks that there is such a program, before any task is claimed for it.
fn check_program(name: &OsStr) -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_path = name.as_bytes().contains(&b'/');
    let is_program = |path: PathBuf| {
        let found = std::fs::metadata(path);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let is_there = match is_path {
        true => is_program(name.into()),
        false => std::env::split_paths(&path).any(|directory| is_program(directory.join(name))),
    };
    if is_there {
        return Ok(());
    }
    let hint = if is_path { "it is no executable file" } else { "it is not on the PATH" };
    Err(Error::Usage(format!("cannot start `{}`: {hint}", visible(&name.to_string_lossy()))))
}

/// Returns a name for this process that no other worker has.
fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || ".-_".contains(*letter);
    let host: String = host.chars().filter(is_plain).take(100).collect();
    format!("{}-{}", if host.is_empty() { "agent" } else { &host }, std::process::id())
}
