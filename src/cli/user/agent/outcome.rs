//! The outcomes of attempts, and their way to the gateway.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cli::client::{Client, Error};
use crate::domain::name::Name;
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;

/// The most outcomes of one call.
const BATCH: usize = 100;

/// About the most bytes of results in one call: less than `http.max_body_bytes`.
const BATCH_BYTES: usize = 1 << 20;

/// How long one call may take before it is repeated.
const CALL: Duration = Duration::from_secs(15);

/// How long to go on after the last attempt while the gateway is away.
const GRACE: Duration = Duration::from_secs(15);

/// An attempt of a task that this process holds.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// The task.
    pub task_id: Uuid,
    /// The number of the attempt.
    pub attempt: u32,
    /// The lease that the claim returned.
    pub lease: String,
}

/// How an attempt ended, as the API expects it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    held: Held,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(flatten)]
    failure: Option<Failure>,
}

/// Why an attempt failed, and whether another can help.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The last words of the program.
    pub error: String,
    /// Whether another attempt could succeed.
    pub retryable: bool,
    /// How long to wait before it, in milliseconds; `None` for the usual back-off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Outcome {
    /// The program did the task.
    pub fn completed(held: Held, result: Option<Box<RawValue>>) -> Self {
        Self { held, outcome: "completed", result, failure: None }
    }

    /// The program could not do the task.
    pub fn failed(held: Held, failure: Failure) -> Self {
        Self { held, outcome: "failed", result: None, failure: Some(failure) }
    }

    /// The task returns as if it had never been claimed.
    pub fn released(held: Held) -> Self {
        Self { held, outcome: "released", result: None, failure: None }
    }

    fn bytes(&self) -> usize {
        self.result.as_ref().map_or(0, |result| result.get().len())
    }

    /// Turns an outcome that the gateway does not accept as it is into a failure with the reason.
    /// `None` if it is one already.
    fn into_failure(self, refused: &Error) -> Option<Self> {
        self.result.as_ref()?;
        let error = format!("the gateway refused the result: {refused}");
        Some(Self::failed(self.held, Failure { error, retryable: true, retry_after_ms: None }))
    }
}

#[derive(Serialize)]
struct Body<'o> {
    outcomes: &'o [Outcome],
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    status: Option<String>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    status: u16,
    detail: String,
}

/// Delivers outcomes until all their senders are gone, those that come together in one call. While
/// the gateway is away it tries again.
///
/// Returns the number of outcomes that it could not deliver within [`GRACE`] of the last.
pub async fn deliver(
    client: &Client,
    agent: &Name,
    mut outcomes: mpsc::UnboundedReceiver<Outcome>,
) -> usize {
    let path = format!("/agents/{agent}/results");
    let mut waiting: Vec<Outcome> = Vec::new();
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut most = BATCH;
    let mut give_up = None;
    loop {
        if waiting.is_empty() {
            most = BATCH;
            let Some(outcome) = outcomes.recv().await else { return 0 };
            waiting.push(outcome);
        }
        while let Ok(outcome) = outcomes.try_recv() {
            waiting.push(outcome);
        }
        let count = fitting(&waiting, most);
        let body = Body { outcomes: &waiting[..count] };
        match timeout(CALL, client.post::<Answer>(&path, &body)).await {
            Ok(Ok(Answer { results })) => {
                backoff.reset();
                let are_all = results.len() == count;
                let sent = waiting.drain(..count.min(results.len()));
                let again: Vec<_> = sent.zip(results).filter_map(settle).collect();
                if are_all && again.is_empty() {
                    continue;
                }
                waiting.extend(again);
            }
            Ok(Err(error)) if !error.is_transient() => {
                if count > 1 {
                    // One of them is to blame: they go one by one.
                    most = 1;
                    continue;
                }
                let outcome = waiting.remove(0);
                let task = outcome.held.task_id;
                tracing::error!(task.id = %task, error = %Chain(&error), "the outcome is refused");
                waiting.splice(..0, outcome.into_failure(&error));
                continue;
            }
            Ok(Err(error)) => log_retry(&backoff, &Chain(&error).to_string()),
            Err(_) => log_retry(&backoff, "the gateway does not answer"),
        }
        if outcomes.is_closed() {
            let end = *give_up.get_or_insert_with(|| Instant::now() + GRACE);
            if Instant::now() >= end {
                return waiting.len();
            }
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Returns how many of the first outcomes fit into one call, at least one.
fn fitting(waiting: &[Outcome], most: usize) -> usize {
    let mut bytes = 0;
    let fit = waiting.iter().take(most).take_while(|outcome| {
        bytes += outcome.bytes();
        bytes <= BATCH_BYTES
    });
    fit.count().max(1)
}

/// Logs what became of an outcome. Returns it if it must be sent again.
fn settle((outcome, accepted): (Outcome, Accepted)) -> Option<Outcome> {
    let Held { task_id, attempt, .. } = &outcome.held;
    match accepted.problem {
        Some(problem) if problem.status >= 500 || problem.status == 429 => return Some(outcome),
        Some(problem) => tracing::warn!(
            task.id = %task_id, task.attempt = attempt, error = problem.detail,
            "the attempt had ended before its outcome"
        ),
        None => tracing::info!(
            task.id = %task_id, task.attempt = attempt, outcome = outcome.outcome,
            status = accepted.status.unwrap_or_default(), "attempt ended"
        ),
    }
    None
}

fn log_retry(backoff: &Backoff, error: &str) {
    if backoff.failures() == 0 {
        tracing::warn!(error, "outcomes wait for the gateway");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(result: &str) -> Outcome {
        let held = Held { task_id: Uuid::nil(), attempt: 2, lease: "l".to_owned() };
        Outcome::completed(held, Some(RawValue::from_string(result.to_owned()).unwrap()))
    }

    #[test]
    fn a_batch_has_few_large_results_and_at_least_one() {
        let large = format!("\"{}\"", "x".repeat(BATCH_BYTES / 2));
        let waiting = [completed(&large), completed("1"), completed(&large), completed("2")];

        assert_eq!(fitting(&waiting, 100), 2);
        assert_eq!(fitting(&waiting, 1), 1);
        let huge = format!("\"{}\"", "x".repeat(BATCH_BYTES));
        assert_eq!(fitting(&[completed(&huge)], 100), 1);
    }

    #[test]
    fn outcomes_have_the_form_of_the_api() {
        let json = serde_json::to_string(&completed("[1.0 ]")).unwrap();

        let id = Uuid::nil();
        let expected = format!(
            r#"{{"task_id":"{id}","attempt":2,"lease":"l","outcome":"completed","result":[1.0 ]}}"#
        );
        assert_eq!(json, expected);
        let refused = Error::Refused { status: 422, kind: String::new(), detail: "no".to_owned() };
        let failed = completed("1").into_failure(&refused).unwrap();
        let json = serde_json::to_value(&failed).unwrap();
        assert_eq!((&json["outcome"], &json["retryable"]), (&json!("failed"), &json!(true)));
        assert!(failed.into_failure(&refused).is_none());
    }
}
