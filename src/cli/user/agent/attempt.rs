//! One attempt: a program works on a task while heartbeats keep its lease.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::connection::Target;
use super::super::text::visible;
use super::group::Group;
use super::guard::Guard;
use super::outcome::{Failure, Held, Outcome};
use super::output::{Output, Progress};
use crate::cli::client::{self, Client};
use crate::runtime::chain::Chain;

/// The shortest time between two heartbeats, however fast the program reports progress.
const GAP: Duration = Duration::from_millis(500);

/// How long after a failed heartbeat the next one follows.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait for the rest of the output of a program that has ended: a process that left the
/// group may keep the pipes open.
const REST: Duration = Duration::from_secs(1);

/// The shell that waits until the guard knows the process group, then becomes the program. If this
/// process dies before, the shell reads nothing and ends.
const SHELL: &str = "/bin/sh";

/// What the shell does.
const LAUNCH: &str = r#"read -r go && exec "$@""#;

/// The exit codes by which shells say that a program cannot be started.
const NOT_STARTED: [u8; 2] = [126, 127];

/// What every attempt of this process has in common.
pub struct Work {
    pub client: Client,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The gateway, which the program may call too.
    pub target: Target,
    /// How long a lease lasts, in milliseconds.
    pub lease_ms: u64,
    /// How long the program has between SIGTERM and SIGKILL.
    pub kill_after: Duration,
    /// The exit codes that mean that a later attempt may succeed.
    pub retry_on: Vec<u8>,
    /// How long to wait before that attempt; `None` for the back-off of the fleet.
    pub retry_after_ms: Option<u64>,
    pub guard: Guard,
    /// Cancelled when programs that still run must end, because this process does.
    pub hurry: CancellationToken,
}

/// Why an attempt is over.
enum End {
    /// The program ended.
    Itself,
    /// The task was cancelled, or the lease lost: the gateway refuses any report.
    Lost,
    /// This process must end.
    Hurry,
}

/// The system cannot start another process.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {SHELL}")]
pub struct NotStarted(#[source] std::io::Error);

impl Work {
    /// Runs the program on the task. Returns the outcome, or `None` if there is none to report
    /// because the attempt is lost.
    ///
    /// # Errors
    ///
    /// [`NotStarted`] if no process can be started; the task was not touched.
    pub async fn attempt(
        &self,
        held: &Held,
        task: Box<RawValue>,
    ) -> Result<Option<Outcome>, NotStarted> {
        let mut command = self.command(held);
        let mut group = Group::start(&mut command, &self.guard).map_err(NotStarted)?;
        tracing::info!(task.id = %held.task_id, task.attempt = held.attempt, "attempt started");
        let output = Arc::new(Output::default());
        let mut pipes = JoinSet::new();
        let (stdin, stdout, stderr) = group.pipes();
        if let Some(stdin) = stdin {
            pipes.spawn(feed(stdin, task));
        }
        if let Some(stdout) = stdout {
            let output = Arc::clone(&output);
            pipes.spawn(async move { output.keep_result(stdout).await });
        }
        if let Some(stderr) = stderr {
            let (output, id) = (Arc::clone(&output), held.task_id);
            let log = move |line: &str| tracing::info!(task.id = %id, "{}", visible(line));
            pipes.spawn(async move { output.read_log(stderr, log).await });
        }
        let end = tokio::select! {
            _ = group.leader_ends() => End::Itself,
            () = self.keep(held, &output) => End::Lost,
            () = self.hurry.cancelled() => End::Hurry,
        };
        if !matches!(end, End::Itself) {
            group.signal(Signal::TERM);
            // Later it is killed.
            let _ = timeout(self.kill_after, group.leader_ends()).await;
        }
        let status = group.finish().await;
        // What is missing after that is held back by a process that left the group.
        let _ = timeout(REST, async { while pipes.join_next().await.is_some() {} }).await;
        Ok(self.judge(held, &end, status.ok(), &output))
    }

    fn command(&self, held: &Held) -> Command {
        let mut command = Command::new(SHELL);
        command.args(["-c", LAUNCH, SHELL]).args(&self.command);
        self.target.set_in(&mut command);
        command.env(super::TASK_ID, held.task_id.to_string());
        command.env(super::ATTEMPT, held.attempt.to_string());
        command.env(super::LEASE, &held.lease);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Sends heartbeats until one is refused: the attempt is lost. Progress is sent with them, and
    /// soon. While the gateway is away the program goes on: the lease may survive.
    async fn keep(&self, held: &Held, output: &Output) {
        let every = Duration::from_millis(self.lease_ms / 3);
        let path = format!("/tasks/{}/heartbeat", held.task_id);
        let mut news = output.progress.subscribe();
        let mut last = Instant::now();
        let mut is_failing = false;
        loop {
            let wait = if is_failing { RETRY.min(every) } else { every };
            tokio::select! {
                () = sleep_until(last + wait) => {}
                // The sender lives as long as the output.
                _ = news.changed() => sleep_until(last + GAP).await,
            }
            last = Instant::now();
            let progress = news.borrow_and_update().clone();
            let heartbeat = Heartbeat {
                attempt: held.attempt,
                lease: &held.lease,
                progress,
                extend_ms: self.lease_ms,
            };
            let error = match timeout(every, self.client.post::<Value>(&path, &heartbeat)).await {
                Ok(Ok(_)) => {
                    is_failing = false;
                    continue;
                }
                Ok(Err(error)) if !error.is_transient() => {
                    log_lost(held, &error);
                    return;
                }
                Ok(Err(error)) => Chain(&error).to_string(),
                Err(_) => "the gateway does not answer".to_owned(),
            };
            if !is_failing {
                tracing::warn!(task.id = %held.task_id, error, "heartbeat failed, retrying");
            }
            is_failing = true;
        }
    }

    fn judge(
        &self,
        held: &Held,
        end: &End,
        status: Option<ExitStatus>,
        output: &Output,
    ) -> Option<Outcome> {
        let held = held.clone();
        if matches!(end, End::Lost) {
            return None;
        }
        if status.is_some_and(|status| status.success()) {
            return Some(match output.result() {
                Ok(result) => Outcome::completed(held, result),
                Err(error) => Outcome::failed(held, self.failure(error, true)),
            });
        }
        if matches!(end, End::Hurry) {
            return Some(Outcome::released(held));
        }
        if output.is_too_large() {
            let error = output.result().err().unwrap_or_default();
            return Some(Outcome::failed(held, self.failure(error, true)));
        }
        let code = status.and_then(|status| status.code());
        let is_retryable = match code.and_then(|code| u8::try_from(code).ok()) {
            Some(code) => self.retry_on.contains(&code) || NOT_STARTED.contains(&code),
            // A signal is not the program's own decision.
            None => true,
        };
        let how = match (code, status.and_then(|status| status.signal())) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "it is unknown how the program ended".to_owned(),
        };
        let error = match output.last_lines() {
            last if last.is_empty() => how,
            last => format!("{how}: {last}"),
        };
        Some(Outcome::failed(held, self.failure(error, is_retryable)))
    }

    fn failure(&self, error: String, retryable: bool) -> Failure {
        Failure { error, retryable, retry_after_ms: self.retry_after_ms.filter(|_| retryable) }
    }
}

#[derive(Serialize)]
struct Heartbeat<'l> {
    attempt: u32,
    lease: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    extend_ms: u64,
}

/// Writes the task to the program, which need not read it, and closes the pipe.
async fn feed(mut stdin: ChildStdin, task: Box<RawValue>) {
    // The empty line is for the shell. An error means that the program does not want the rest.
    let _ = stdin.write_all(format!("\n{}\n", task.get()).as_bytes()).await;
}

fn log_lost(held: &Held, error: &client::Error) {
    tracing::warn!(
        task.id = %held.task_id, task.attempt = held.attempt, error = %Chain(error),
        "attempt lost, stopping its program"
    );
}
