//! Estimates of the bytes that things take in a response, so that a page is cut before writing it.

use serde_json::value::RawValue;

use super::approval::{Approval, Asked};
use super::audit::AuditEntry;
use super::task::Task;
use super::text::stored_bytes;

/// The size of a task in a response without the texts of its client and its agents, in bytes.
const FRAME_BYTES: usize = 2_048;

fn json_bytes(json: &RawValue) -> usize {
    json.get().len()
}

impl Task {
    /// Returns about how many bytes the task takes in a response.
    pub fn bytes(&self) -> usize {
        let metadata = self.spec.metadata.as_deref().map_or(0, json_bytes);
        let result = self.result.as_deref().map_or(0, json_bytes);
        let error = self.error.as_deref().map_or(0, stored_bytes);
        let approval = self.asked.as_ref().map_or(0, |approval| approval.bytes());
        json_bytes(&self.spec.payload) + metadata + result + error + approval + FRAME_BYTES
    }
}

impl Approval {
    /// Returns about how many bytes the approval takes in a response.
    pub fn bytes(&self) -> usize {
        let edit = self.edit.as_ref();
        let edit = edit.map_or(0, |edit| json_bytes(&edit.original) + json_bytes(&edit.changes));
        let asked = match &self.asked {
            Asked::Gate => 0,
            Asked::Step { reason, action, .. } => {
                stored_bytes(reason) + action.as_deref().map_or(0, json_bytes)
            }
        };
        let comments = self.votes.iter().filter_map(|vote| vote.comment.as_deref());
        let votes = comments.map(stored_bytes).sum::<usize>() + 256 * self.votes.len();
        let comment = self.comment.as_deref().map_or(0, stored_bytes);
        edit + asked + votes + comment + 2_048
    }
}

impl AuditEntry {
    /// Returns about how many bytes the entry takes in a response.
    pub fn bytes(&self) -> usize {
        let detail = self.detail.iter().map(|(name, text)| name.len() + stored_bytes(text));
        detail.sum::<usize>() + self.actor.len() + self.subject.len() + 512
    }
}
