//! Many submissions in one request.

use std::borrow::Cow;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::submission::{Idempotency, NewTask};

use super::super::error::Refusal;
use super::super::field::{Faults, Field, List};
use super::super::json::digest;
use super::super::readable::Readable;
use super::super::unknown::{Unknown, requests};
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
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Batch);

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
        limits: &Limits,
        trace: &Trace,
    ) -> Result<Vec<Result<NewTask, Refusal>>, Refusal> {
        let (mut faults, mut unknown) = self.unknown.split("tasks");
        let items = faults.required("tasks", self.tasks).map(|items| items.0);
        if items.as_ref().is_some_and(Vec::is_empty) {
            faults.add("tasks", format!("must have 1 to {MAX_BATCH} items"));
        }
        let items = faults.finish(items)?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let faults = unknown.take(&format!("/tasks/{index}"));
                read_item(faults, &item.0, limits, trace)
            })
            .collect())
    }
}

fn read_item(
    faults: Faults,
    item: &RawValue,
    limits: &Limits,
    trace: &Trace,
) -> Result<NewTask, Refusal> {
    let submission = Submission::read(item).map_err(Refusal::invalid_body)?;
    submission.check(faults, limits, trace.clone(), |key| {
        key.map(|key| Idempotency { key, digest: digest(item.get()) })
    })
}

impl Readable for BatchItem {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Ok(Self(raw.to_owned()))
    }
}

/// In the API document an item is a submission.
impl Type for BatchItem {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Submission::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Submission::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Submission::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

#[cfg(test)]
mod tests {
    use super::super::submission::tests::{LIMITS, pointers};
    use super::*;

    #[test]
    fn a_bad_item_of_a_batch_is_refused_alone() {
        let body = r#"{
            "tasks": [{"type": "faq", "payload": {}, "idempotency_key": "k"}, {"type": 1}, 7]
        }"#;
        let batch: Batch = serde_json::from_str(body).unwrap();

        let mut items = batch.into_tasks(&LIMITS, &Trace::default()).unwrap();

        assert_eq!(items.remove(0).unwrap().idempotency.unwrap().key, "k");
        assert_eq!(pointers(items.remove(0).unwrap_err()), ["/tasks/1/type", "/tasks/1/payload"]);
        assert!(items.remove(0).is_err());
    }
}
