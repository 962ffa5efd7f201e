//! Submissions: the tasks that clients want done.

use std::ops::RangeInclusive;
use std::str::FromStr;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::parent::OnParentCancel;
use crate::domain::people::DEFAULT_SOURCE;
use crate::domain::priority::Priority;
use crate::domain::sla::{Sla, target_ms};
use crate::domain::submission::{Idempotency, NewTask, Spec, Start};
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::domain::trace::trace_id_of;
use crate::engine::unknown_type;

use super::super::bounds::{Number, Text};
use super::super::described::described;
use super::super::field::{Faults, Field};
use super::super::json::RawObject;
use super::super::readable::Readable;
use super::super::text::{IdempotencyKey, Time, TraceId};
use super::Limits;
use super::trace_state::TraceState;

/// The range of the delay of a start, in milliseconds: up to a year.
const DELAY_MS: RangeInclusive<Millis> = 0..=365 * 24 * 3_600_000;

/// The range of the time of one attempt, in milliseconds: 1 s to 7 days.
const TIMEOUT_MS: RangeInclusive<Millis> = 1_000..=7 * 24 * 3_600_000;

/// The range of the number of failed attempts that are retried.
const MAX_RETRIES: RangeInclusive<u32> = 0..=100;

/// The range of the part of the SLA time at which to warn, in percent.
const THRESHOLD: RangeInclusive<u8> = 1..=100;

/// The bound of a title.
const TITLE: Bound = Bound { chars: 200, bytes: 800 };

/// The bound of an SLA target in the client's words.
const TARGET: Bound = Bound { chars: 64, bytes: 256 };

/// The bounds of numbers in these bodies.
pub const NUMBERS: &[Number] = &[
    ("Submission", "alert_threshold", *THRESHOLD.start() as u64, *THRESHOLD.end() as u64),
    ("Submission", "delay_ms", *DELAY_MS.start(), *DELAY_MS.end()),
    ("Submission", "max_retries", *MAX_RETRIES.start() as u64, *MAX_RETRIES.end() as u64),
    ("Submission", "timeout_ms", *TIMEOUT_MS.start(), *TIMEOUT_MS.end()),
];

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[("Submission", "title", TITLE), ("Submission", "sla_target", TARGET)];

/// A task to be done.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Submission {
    /// The type of the task, by which routing rules choose its agent. Predefined: faq, bugfix,
    /// deploy, investigate, monitor, alert, refactor, feature, kb_update; configuration adds more.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    kind: Field<Name>,
    /// What the task is about, in words for people: lists, approvals and events show it.
    title: Field<Option<String>>,
    /// The work to do: a JSON object that only the agent interprets, nested at most 64 deep.
    payload: Field<RawObject>,
    /// More information that is returned with the task: a JSON object, nested at most 64 deep.
    metadata: Field<Option<RawObject>>,
    /// How urgent the task is; P2 if left out.
    priority: Field<Option<Priority>>,
    /// The part of your system that the task comes from; `user` if left out. A caller may name
    /// itself, `user`, and the sources that `auth.sources` allows it.
    source: Field<Option<Name>>,
    /// The time to finish, 1 s to a year: `90s`, `15m`, `1h30m`, `3d`, `PT4H` and the like. With
    /// `sla_deadline`, which takes precedence, any text of at most 64 characters. A whole number
    /// instead of a text means seconds, as the predecessor's clients send it.
    sla_target: Field<Option<Target>>,
    /// When the task must be finished.
    sla_deadline: Field<Option<Time>>,
    /// When the first attempt must have started.
    sla_start_deadline: Field<Option<Time>>,
    /// At what part of the SLA time to warn, in percent, 1 to 100.
    alert_threshold: Field<Option<u8>>,
    /// How long to wait before the task may start, in milliseconds, at most a year. Not together
    /// with `run_at`.
    delay_ms: Field<Option<u64>>,
    /// When the task may start. Not together with `delay_ms`.
    run_at: Field<Option<Time>>,
    /// The task that this one is a part of.
    parent_task_id: Field<Option<TaskId>>,
    /// What happens to the task if its parent is cancelled: `continue` or `cancel`; `continue` if
    /// left out. Requires `parent_task_id`.
    on_parent_cancel: Field<Option<OnParentCancel>>,
    /// The id that joins the task with your traces; the trace id of the header `traceparent` if
    /// left out.
    trace_id: Field<Option<TraceId>>,
    /// How many failed attempts are retried, 0 to 100.
    max_retries: Field<Option<u32>>,
    /// How long one attempt may take as a whole, in milliseconds, 1 s to 7 days.
    timeout_ms: Field<Option<u64>>,
    /// A key that makes it safe to repeat the submission. The header `Idempotency-Key` wins.
    idempotency_key: Field<Option<IdempotencyKey>>,
}

/// The words of an SLA target.
#[derive(Debug)]
struct Target(String);

// Described as a text alone: a choice of two types would cost generated clients a type of its own,
// and that of Go a dependency.
described!([] Target: "Target", MetaSchema::new("string"));

impl Readable for Target {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if let Ok(seconds) = serde_json::from_str::<u64>(raw.get()) {
            return Ok(Self(format!("{seconds}s")));
        }
        let expected = |_| "must be a string, or a whole number of seconds".to_owned();
        String::read(raw).map(Self).map_err(expected)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0
    }
}

/// The W3C trace context of a request; empty if the request has no valid one.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    traceparent: Option<String>,
    tracestate: Option<String>,
    trace_id: Option<String>,
}

impl Trace {
    /// Reads the headers `traceparent` and `tracestate`; an invalid one is ignored, as the standard
    /// requires, and the second one without the first.
    pub fn of(traceparent: Option<String>, tracestate: TraceState) -> Self {
        let trace_id = traceparent.as_deref().and_then(trace_id_of).map(str::to_owned);
        let traceparent = traceparent.filter(|_| trace_id.is_some());
        let tracestate = tracestate.0.filter(|_| trace_id.is_some());
        Self { traceparent, tracestate, trace_id }
    }
}

impl Submission {
    /// Returns the task that this body submits.
    ///
    /// `idempotency` receives the body's own key, if it has one, and returns what to store of it.
    pub fn into_task(
        self,
        faults: &mut Faults,
        limits: &Limits,
        trace: Trace,
        idempotency: impl FnOnce(Option<String>) -> Option<Idempotency>,
    ) -> Option<NewTask> {
        let kind = faults.required("type", self.kind);
        if let Some(detail) = kind.as_ref().and_then(|kind| unknown_type(&limits.types, kind)) {
            faults.add("type", detail);
        }
        let title = faults.short("title", self.title, TITLE);
        let payload = faults.required("payload", self.payload).map(|object| object.0);
        let payload = faults.sized("payload", payload, limits.max_json_bytes);
        let metadata = faults.optional("metadata", self.metadata).map(|object| object.0);
        let metadata = faults.sized("metadata", metadata, limits.max_json_bytes);
        let priority = faults.optional("priority", self.priority).unwrap_or(Priority::P2);
        let source = faults.optional("source", self.source);
        let source = source.or_else(|| Name::from_str(DEFAULT_SOURCE).ok());
        let deadlines = (self.sla_deadline, self.sla_start_deadline);
        let sla = read_sla(faults, self.sla_target, deadlines, self.alert_threshold, limits);
        let start = read_start(faults, self.delay_ms, self.run_at);
        let parent = faults.optional("parent_task_id", self.parent_task_id);
        let on_parent_cancel = faults.optional("on_parent_cancel", self.on_parent_cancel);
        if on_parent_cancel.is_some() && parent.is_none() {
            faults.add("on_parent_cancel", "must not be given without `parent_task_id`");
        }
        let trace_id = faults.optional("trace_id", self.trace_id).map(|id| id.0).or(trace.trace_id);
        let max_retries = faults
            .within("max_retries", self.max_retries, MAX_RETRIES)
            .unwrap_or(limits.max_retries);
        let timeout_ms = faults.within("timeout_ms", self.timeout_ms, TIMEOUT_MS);
        let key = faults.optional("idempotency_key", self.idempotency_key).map(|key| key.0);
        let spec = Spec {
            kind: kind?,
            title,
            payload: payload?,
            metadata,
            priority,
            source: source?,
            parent,
            on_parent_cancel: on_parent_cancel.unwrap_or_default(),
            trace_id,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            max_retries,
            timeout_ms,
        };
        Some(NewTask { spec, sla, start, idempotency: idempotency(key) })
    }
}

const NOT_A_TARGET: &str = "must be a time of 1 s to a year such as `90s`, `4h`, `1h30m` or \
                            `PT4H`; any other text requires `sla_deadline`";

type TimeField = Field<Option<Time>>;

fn read_sla(
    faults: &mut Faults,
    target: Field<Option<Target>>,
    (deadline, start_deadline): (TimeField, TimeField),
    threshold: Field<Option<u8>>,
    limits: &Limits,
) -> Option<Sla> {
    let target = faults.short("sla_target", target, TARGET);
    let deadline = faults.optional("sla_deadline", deadline).map(|time| time.0);
    let within_ms = target.as_deref().and_then(target_ms);
    if target.is_some() && within_ms.is_none() && deadline.is_none() {
        faults.add("sla_target", NOT_A_TARGET);
    }
    let threshold = faults.within("alert_threshold", threshold, THRESHOLD);
    let start_deadline = faults.optional("sla_start_deadline", start_deadline).map(|time| time.0);
    let has_sla =
        target.is_some() || deadline.is_some() || start_deadline.is_some() || threshold.is_some();
    has_sla.then(|| Sla {
        within_ms,
        target,
        deadline,
        start_deadline,
        start_within_ms: None,
        alert_threshold: threshold.unwrap_or(limits.warn_at_percent),
    })
}

fn read_start(
    faults: &mut Faults,
    delay_ms: Field<Option<u64>>,
    run_at: Field<Option<Time>>,
) -> Start {
    let delay_ms = faults.within("delay_ms", delay_ms, DELAY_MS);
    let run_at = faults.optional("run_at", run_at).map(|time| time.0);
    match (delay_ms, run_at) {
        (Some(_), Some(_)) => {
            faults.add("run_at", "must not be given together with `delay_ms`");
            Start::Now
        }
        (Some(delay_ms), None) => Start::After(delay_ms),
        (None, Some(run_at)) => Start::At(run_at),
        (None, None) => Start::Now,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::error::Refusal;
    use super::super::LIMITS;
    use super::*;

    fn submit(body: &str) -> Result<NewTask, Refusal> {
        let submission: Submission = serde_json::from_str(body).unwrap();
        let mut faults = Faults::default();
        let task = submission.into_task(&mut faults, &LIMITS, Trace::default(), |_| None);
        Ok(faults.finish(task)?)
    }

    pub fn pointers(refusal: Refusal) -> Vec<String> {
        refusal.into_problem("").errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn all_wrong_fields_are_reported_at_once() {
        let body = r#"{
            "payload": [], "priority": "P7", "source": "No Name", "delay_ms": 5,
            "run_at": "2030-01-01T00:00:00Z", "max_retries": 101, "timeout_ms": 10,
            "alert_threshold": 0, "sla_target": "", "trace_id": "a b", "metadata": 3
        }"#;

        let found = pointers(submit(body).unwrap_err());

        for name in [
            "type",
            "payload",
            "priority",
            "source",
            "run_at",
            "max_retries",
            "timeout_ms",
            "alert_threshold",
            "sla_target",
            "trace_id",
            "metadata",
        ] {
            assert!(found.contains(&format!("/{name}")), "{name} in {found:?}");
        }
        assert_eq!(found.len(), 11);
    }

    #[test]
    fn a_field_left_out_or_null_has_its_default() {
        let task = submit(r#"{"type": "faq", "payload": {"n": 1.0}, "priority": null}"#).unwrap();

        assert_eq!(
            (task.spec.priority, task.spec.source.as_str(), task.spec.max_retries),
            (Priority::P2, "user", 3)
        );
        assert_eq!(task.spec.payload.get(), r#"{"n": 1.0}"#);
        assert!(task.sla.is_none() && task.start == Start::Now && task.spec.metadata.is_none());
    }

    #[test]
    fn a_whole_number_as_sla_target_means_seconds() {
        let with = |target: &str| {
            submit(&format!(r#"{{"type": "faq", "payload": {{}}, "sla_target": {target}}}"#))
        };

        let sla = with("3600").unwrap().sla.unwrap();
        assert_eq!((sla.within_ms, sla.target.as_deref()), (Some(3_600_000), Some("3600s")));
        for wrong in ["0", "-1", "1.5", "1e3", "99999999999999999999", "true", "\"3600\""] {
            assert_eq!(pointers(with(wrong).unwrap_err()), ["/sla_target"], "{wrong}");
        }
    }

    #[test]
    fn a_payload_that_is_too_large_or_too_deep_is_refused() {
        let large = format!(r#"{{"type": "faq", "payload": {{"a": "{}"}}}}"#, "x".repeat(100));
        let deep = format!(
            r#"{{"type": "faq", "payload": {{"a": {}{}}}}}"#,
            "[".repeat(64),
            "]".repeat(64)
        );

        assert_eq!(pointers(submit(&large).unwrap_err()), ["/payload"]);
        assert_eq!(pointers(submit(&deep).unwrap_err()), ["/payload"]);
    }

    #[test]
    fn a_trace_context_is_taken_only_if_it_is_valid() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

        assert_eq!(
            Trace::of(Some(valid.to_owned()), TraceState(None)).trace_id.unwrap(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        for bad in [
            "",
            "00-1-2-3",
            &valid.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &valid.to_uppercase(),
        ] {
            let state = TraceState(Some("a=b".to_owned()));
            let trace = Trace::of(Some(bad.to_owned()), state);
            assert!(trace.traceparent.is_none() && trace.tracestate.is_none(), "{bad}");
        }
    }
}
