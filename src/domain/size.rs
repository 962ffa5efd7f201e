//! About how many bytes things take in an answer, so that it can be cut before it is written.

use serde_json::value::RawValue;

use super::approval::{Approval, Asked};
use super::audit::AuditEntry;
use super::task::Task;
use super::text::stored_bytes;

/// What a task has in an answer beside what its client and its agents said, in bytes.
const FRAME_BYTES: usize = 2_048;

impl Task {
    /// About how many bytes the task takes in an answer.
    pub fn bytes(&self) -> usize {
        let optional =
            |json: &Option<Box<RawValue>>| json.as_ref().map_or(0, |json| json.get().len());
        let parts = self.payload.get().len() + optional(&self.metadata) + optional(&self.result);
        let error = self.error.as_deref().map_or(0, stored_bytes);
        parts + error + self.asked.as_ref().map_or(0, |asked| asked.bytes()) + FRAME_BYTES
    }
}

impl Approval {
    /// About how many bytes the approval takes in an answer.
    pub fn bytes(&self) -> usize {
        let edit = self.edit.as_ref();
        let edit = edit.map_or(0, |edit| edit.original.get().len() + edit.changes.get().len());
        let asked = match &self.asked {
            Asked::Gate => 0,
            Asked::Step { reason, action, .. } => {
                stored_bytes(reason) + action.as_ref().map_or(0, |action| action.get().len())
            }
        };
        let said = |text: &Option<String>| text.as_deref().map_or(0, stored_bytes);
        let votes = self.votes.iter().map(|vote| said(&vote.comment) + 256).sum::<usize>();
        edit + asked + votes + said(&self.comment) + 2_048
    }
}

impl AuditEntry {
    /// About how many bytes the entry takes in an answer.
    pub fn bytes(&self) -> usize {
        let detail = self.detail.iter().map(|(name, text)| name.len() + stored_bytes(text));
        detail.sum::<usize>() + self.actor.len() + self.subject.len() + 512
    }
}
