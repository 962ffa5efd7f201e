//! What agents send about the tasks that they hold: heartbeats and outcomes.

use std::ops::RangeInclusive;
use std::time::Duration;

use poem_openapi::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::ids::TaskId;
use crate::domain::lease::{Attempt, Lease};
use crate::domain::name::Name;
use crate::domain::report::{Outcome, Report};
use crate::domain::task::Progress;
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::engine::Claim;

use super::super::bounds::{ERROR, LEASE, LEASE_MS, Number, Text};
use super::super::field::{Faults, Field, List};
use super::super::json::Raw;
use super::super::text::OutcomeKind;
use super::Limits;
use super::claim::ClaimRequest;

/// The range of the wait before a retry that an agent may choose, in milliseconds: up to 7 days.
const RETRY_AFTER_MS: RangeInclusive<Millis> = 0..=7 * 24 * 3_600_000;

/// The bound of the message of a heartbeat.
const MESSAGE: Bound = Bound { chars: 500, bytes: 2_048 };

/// The bounds of numbers in these bodies.
pub const NUMBERS: &[Number] = &[
    ("Heartbeat", "extend_ms", *LEASE_MS.start(), *LEASE_MS.end()),
    ("Failure", "retry_after_ms", *RETRY_AFTER_MS.start(), *RETRY_AFTER_MS.end()),
    ("OutcomeItem", "retry_after_ms", *RETRY_AFTER_MS.start(), *RETRY_AFTER_MS.end()),
];

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[
    ("ProgressReport", "message", MESSAGE),
    ("Heartbeat", "lease", LEASE),
    ("Completion", "lease", LEASE),
    ("Failure", "lease", LEASE),
    ("Failure", "error", ERROR),
    ("Release", "lease", LEASE),
    ("OutcomeItem", "lease", LEASE),
    ("OutcomeItem", "error", ERROR),
];

const MAX_OUTCOMES: usize = 1_000;

/// The error of a failed attempt whose agent gives none.
pub(super) const NO_ERROR: &str = "the agent gave no reason";

/// The agent is still working on the attempt; its lease is extended.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Heartbeat {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
    /// The progress of the attempt, shown with the task.
    progress: Field<Option<ProgressRequest>>,
    /// How long the lease lasts from now, in milliseconds, 1 s to 1 h; as configured if left out.
    extend_ms: Field<Option<u64>>,
}

/// The progress of an attempt.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "ProgressReport")]
pub struct ProgressRequest {
    /// How much is done, in percent, 0 to 100.
    percent: Field<f64>,
    /// What the agent is doing. Text beyond 500 characters, or 2,048 bytes in stored form, is cut
    /// off.
    message: Field<Option<String>>,
}

impl Heartbeat {
    /// Returns the attempt and its lease, the progress, and by how much to extend the lease.
    pub fn into_parts(
        self,
        faults: &mut Faults,
    ) -> Option<(Held, Option<Progress>, Option<Millis>)> {
        let held = read_held(faults, self.attempt, self.lease);
        let progress = faults.optional("progress", self.progress);
        let progress =
            progress.and_then(|progress| faults.inside("progress", |faults| progress.read(faults)));
        let extend_ms = faults.within("extend_ms", self.extend_ms, LEASE_MS);
        Some((held?, progress, extend_ms))
    }
}

impl ProgressRequest {
    fn read(self, faults: &mut Faults) -> Option<Progress> {
        let percent = faults.required("percent", self.percent);
        let percent = faults.within("percent", Field::Given(percent), 0.0..=100.0);
        let message = faults.optional("message", self.message);
        // A heartbeat must not fail because of its message.
        let message = message.map(|text| MESSAGE.cut(text));
        let message = faults.short("message", Field::Given(message), MESSAGE);
        Some(Progress { percent: percent?, message })
    }
}

/// The agent completed the attempt that it holds.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Completion {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
    /// The result of the task: any JSON, nested at most 64 deep.
    result: Field<Option<Raw>>,
}

/// The attempt that the agent holds failed.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Failure {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
    /// Why the attempt failed. Text beyond 8,192 bytes in stored form is cut off.
    error: Field<Option<String>>,
    /// Whether another attempt could succeed; true if left out.
    retryable: Field<Option<bool>>,
    /// How long to wait before the next attempt, in milliseconds, instead of the usual back-off; at
    /// most 7 days.
    retry_after_ms: Field<Option<u64>>,
    /// What the agent found before it failed: any JSON.
    result: Field<Option<Raw>>,
}

/// The agent returns the task without having worked on it.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Release {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
}

impl Completion {
    /// Returns the report on task `id`.
    pub fn into_report(self, faults: &mut Faults, id: TaskId, limits: &Limits) -> Option<Report> {
        let held = read_held(faults, self.attempt, self.lease);
        let outcome = Outcome::Completed { result: read_result(faults, self.result, limits) };
        report(id, held, outcome)
    }
}

impl Failure {
    /// Returns the report on task `id`.
    pub fn into_report(self, faults: &mut Faults, id: TaskId, limits: &Limits) -> Option<Report> {
        let held = read_held(faults, self.attempt, self.lease);
        let fields = (self.error, self.retryable, self.retry_after_ms, self.result);
        report(id, held, read_failure(faults, fields, limits))
    }
}

impl Release {
    /// Returns the report on task `id`.
    pub fn into_report(self, faults: &mut Faults, id: TaskId) -> Option<Report> {
        report(id, read_held(faults, self.attempt, self.lease), Outcome::Released)
    }
}

fn report(id: TaskId, held: Option<Held>, outcome: Outcome) -> Option<Report> {
    held.map(|(attempt, lease)| Report { id, attempt, lease, outcome })
}

/// The attempt and the lease by which an agent proves that it holds the task.
pub(super) type Held = (Attempt, Lease);

pub(super) fn read_held(
    faults: &mut Faults,
    attempt: Field<u32>,
    lease: Field<String>,
) -> Option<Held> {
    let attempt = faults.required("attempt", attempt);
    let lease = faults.required("lease", lease);
    let lease = faults.short("lease", Field::Given(lease), LEASE);
    Some((attempt?, Lease::from_caller(lease?)))
}

fn read_result(
    faults: &mut Faults,
    result: Field<Option<Raw>>,
    limits: &Limits,
) -> Option<Box<RawValue>> {
    let result = faults.optional("result", result).map(|raw| raw.0);
    faults.sized("result", result, limits.max_json_bytes)
}

type FailureFields =
    (Field<Option<String>>, Field<Option<bool>>, Field<Option<u64>>, Field<Option<Raw>>);

fn read_failure(
    faults: &mut Faults,
    (error, retryable, after, result): FailureFields,
    limits: &Limits,
) -> Outcome {
    let retry_after_ms = faults.optional("retry_after_ms", after);
    Outcome::Failed {
        error: read_error(faults, error),
        is_retryable: faults.optional("retryable", retryable).unwrap_or(true),
        retry_after_ms: faults.within(
            "retry_after_ms",
            Field::Given(retry_after_ms),
            RETRY_AFTER_MS,
        ),
        result: read_result(faults, result, limits),
    }
}

/// The error of a failed attempt. Too long a text is cut, because the report must be accepted; some
/// clients of the predecessor send none.
pub(super) fn read_error(faults: &mut Faults, error: Field<Option<String>>) -> String {
    let error = faults.optional("error", error).filter(|error| !error.is_empty());
    ERROR.cut(error.unwrap_or_else(|| NO_ERROR.to_owned()))
}

/// Outcomes of several attempts, and a claim of the next tasks.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "OutcomeBatch")]
pub struct Outcomes {
    /// The outcomes, at most 1,000; each is accepted or refused on its own.
    outcomes: Field<List<OutcomeItem, MAX_OUTCOMES>>,
    /// Claims the next tasks in the same call; none are claimed if left out. It waits only if there
    /// are no outcomes: their acceptance is answered at once.
    claim: Field<Option<ClaimRequest>>,
}

/// The outcome of one attempt.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "OutcomeItem")]
pub struct OutcomeItem {
    /// The task of the attempt.
    task_id: Field<TaskId>,
    /// The attempt that the agent holds; a stale one is refused.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
    /// How the attempt ended.
    outcome: Field<OutcomeKind>,
    /// The result of the task: any JSON.
    result: Field<Option<Raw>>,
    /// Why the attempt failed. Text beyond 8,192 bytes in stored form is cut off.
    error: Field<Option<String>>,
    /// Whether another attempt could succeed; true if left out.
    retryable: Field<Option<bool>>,
    /// How long to wait before the next attempt, in milliseconds, instead of the usual back-off; at
    /// most 7 days.
    retry_after_ms: Field<Option<u64>>,
}

impl Outcomes {
    /// Returns the reports in order, and the claim of `agent`.
    pub fn into_parts(
        self,
        faults: &mut Faults,
        agent: Name,
        limits: &Limits,
    ) -> (Vec<Report>, Option<Claim>) {
        let items =
            faults.required("outcomes", self.outcomes).map(|list| list.0).unwrap_or_default();
        let mut reports = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("outcomes/{index}");
            reports.extend(faults.inside(&place, |faults| item.read(faults, limits)));
        }
        let claim = faults.optional("claim", self.claim);
        let mut claim = claim
            .and_then(|claim| faults.inside("claim", |faults| claim.into_claim(faults, agent)));
        if let Some(claim) = claim.as_mut().filter(|_| !reports.is_empty()) {
            // The acceptance of outcomes does not wait for tasks.
            claim.wait = Duration::ZERO;
        }
        (reports, claim)
    }
}

impl OutcomeItem {
    fn read(self, faults: &mut Faults, limits: &Limits) -> Option<Report> {
        let id = faults.required("task_id", self.task_id);
        let held = read_held(faults, self.attempt, self.lease);
        let outcome = match faults.required("outcome", self.outcome)? {
            OutcomeKind::Completed => {
                Outcome::Completed { result: read_result(faults, self.result, limits) }
            }
            OutcomeKind::Failed => read_failure(
                faults,
                (self.error, self.retryable, self.retry_after_ms, self.result),
                limits,
            ),
            OutcomeKind::Released => Outcome::Released,
        };
        report(id?, held, outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::super::LIMITS;
    use super::*;
    use crate::engine::Fault;

    fn read(body: &str) -> Result<(Vec<Report>, Option<Claim>), Vec<Fault>> {
        let outcomes: Outcomes = serde_json::from_str(body).unwrap();
        let mut faults = Faults::default();
        let agent = Name::from_str("dev_agent").unwrap();
        let parts = outcomes.into_parts(&mut faults, agent, &LIMITS);
        faults.finish(Some(parts))
    }

    #[test]
    fn faults_of_all_outcomes_and_of_the_claim_are_reported_at_once() {
        let body = r#"{
            "outcomes": [
                {"task_id": "x", "attempt": -1, "outcome": "done"},
                {"outcome": "failed", "error": 5, "attempt": 1, "lease": 5,
                 "task_id": "019ab3c4-0000-7000-8000-000000000000"}
            ],
            "claim": {"max": 101}
        }"#;

        let errors = read(body).unwrap_err();

        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected = [
            "/outcomes/0/task_id",
            "/outcomes/0/attempt",
            "/outcomes/0/lease",
            "/outcomes/0/outcome",
            "/outcomes/1/lease",
            "/outcomes/1/error",
            "/claim/worker",
            "/claim/max",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_result_comes_byte_for_byte_and_a_claim_has_defaults() {
        let body = r#"{
            "outcomes": [
                {"task_id": "019ab3c4-0000-7000-8000-000000000000", "attempt": 1, "lease": "x",
                 "outcome": "completed", "result": [1.0, {"b" :1, "a": 2}]}
            ],
            "claim": {"worker": "w1"}
        }"#;

        let (reports, claim) = read(body).unwrap();

        let Outcome::Completed { result: Some(result) } = &reports[0].outcome else {
            panic!("{reports:?}")
        };
        assert_eq!(result.get(), r#"[1.0, {"b" :1, "a": 2}]"#);
        assert_eq!(claim.unwrap().max, 1);
    }
}
