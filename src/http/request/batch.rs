//! Many submissions in one request.

use poem_openapi::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::submission::{Idempotency, NewTask};

use super::super::described::described;
use super::super::error::Refusal;
use super::super::field::{Field, List};
use super::super::json::digest;
use super::super::readable::Readable;
use super::super::unknown::Unknown;
use super::Limits;
use super::submission::{Submission, Trace};

/// The most tasks of one batch, so that one request does not delay the others for long.
pub const MAX_BATCH: usize = 1_000;

/// Up to 1,000 tasks to submit.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "SubmissionBatch")]
pub struct Batch {
    /// The tasks; each is accepted or refused on its own.
    tasks: Field<List<BatchItem, MAX_BATCH>>,
}

/// One item, kept as text so that its digest covers exactly what the client sent.
#[derive(Debug)]
pub struct BatchItem(Box<RawValue>);

impl Batch {
    /// Returns the task of each item, or the refusal of a malformed one.
    ///
    /// # Errors
    ///
    /// The list itself is missing, empty or too long.
    pub fn into_tasks(
        self,
        unknown: Unknown,
        limits: &Limits,
        trace: &Trace,
    ) -> Result<Vec<Result<NewTask, Refusal>>, Refusal> {
        unknown.read_items("tasks", self.tasks, |BatchItem(item), mut faults| {
            let submission = Submission::read(&item).map_err(Refusal::invalid_body)?;
            let task = submission.into_task(&mut faults, limits, trace.clone(), |key| {
                key.map(|key| Idempotency { key, digest: digest(item.get()) })
            });
            Ok(faults.finish(task)?)
        })
    }
}

impl Readable for BatchItem {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Ok(Self(raw.to_owned()))
    }
}

described!([] BatchItem as Submission);

#[cfg(test)]
mod tests {
    use super::super::LIMITS;
    use super::super::submission::tests::pointers;
    use super::*;

    #[test]
    fn a_bad_item_of_a_batch_is_refused_alone() {
        let body = r#"{
            "tasks": [{"type": "faq", "payload": {}, "idempotency_key": "k"}, {"type": 1}, 7]
        }"#;
        let batch: Batch = serde_json::from_str(body).unwrap();

        let mut items = batch.into_tasks(Unknown::default(), &LIMITS, &Trace::default()).unwrap();

        assert_eq!(items.remove(0).unwrap().idempotency.unwrap().key, "k");
        assert_eq!(pointers(items.remove(0).unwrap_err()), ["/tasks/1/type", "/tasks/1/payload"]);
        assert!(items.remove(0).is_err());
    }
}
