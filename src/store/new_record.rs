//! A task as the engine hands it over to be stored.

use crate::domain::approval::{OnExpiry, Terms};
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::submission::NewTask;
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::Error;

/// A submission with everything that the engine decided about it.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The id of the new task, which contains its partition.
    pub id: TaskId,
    /// The submission itself, with its payload byte for byte.
    pub new: NewTask,
    /// The caller that submitted it, such as `key:ops`.
    pub by: String,
    /// The agent that routing chose for it.
    pub agent: Name,
    /// How much earlier than its submission it counts in the queue, in milliseconds.
    pub head_start_ms: Millis,
    /// The approval that it waits for. `None` if it needs none.
    pub gate: Option<Gate>,
    /// Whether its SLA clocks stop while it waits for a human.
    pub stands_while_blocked: bool,
    /// What to do when its SLA thresholds pass; see [`crate::domain::rules::Plan`].
    pub actions: String,
    /// The state of its parent a moment ago, if the parent lives in another partition. `None` if it
    /// lives in the same one.
    pub parent_elsewhere: Option<ParentState>,
    /// The hash of the idempotency key and its owner, which is a part of a key in the store.
    pub key_hash: Option<String>,
}

/// The state of a parent. `None` if no task has its id.
pub type ParentState = Option<State>;

/// An approval to request with a task.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The id of the approval, in the partition of the task.
    pub id: ApprovalId,
    /// The digest of the content; see [`crate::domain::content::Content::digest`].
    pub digest: String,
    /// The rule that requires it, in the words that approvers see.
    pub rule: String,
    /// The terms of the decision: levels, quorum, expiry and reminders.
    pub terms: Terms,
}

impl Gate {
    /// Returns the lines that scripts get of it, without id and digest; `gate.lua` lists them.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the terms cannot be written as JSON.
    pub fn lines(&self) -> Result<String, Error> {
        let Terms { levels, quorum, four_eyes, on_expiry, remind_every_ms } = &self.terms;
        let silence = if *on_expiry == OnExpiry::Hold { "hold" } else { "reject" };
        let remind = remind_every_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let times: Vec<_> = levels.iter().map(|level| level.expires_after_ms.to_string()).collect();
        let terms = serde_json::to_string(&self.terms)
            .map_err(|error| Error::corrupt(format!("terms: {error}")))?;
        let four_eyes = u8::from(*four_eyes);
        let times = times.join(",");
        let rule = quoted(&self.rule);
        Ok(format!("{quorum}\n{four_eyes}\n{silence}\n{remind}\n{times}\n{terms}\n{rule}"))
    }
}
