//! Events: everything that happens, for anybody who subscribes.

use serde_json::value::RawValue;

use super::ids::TaskId;
use super::task::Priority;

/// The event types that are known from the start; others of the same form may be published too.
pub const KNOWN_TYPES: &[&str] = &[
    "task.created",
    "task.assigned",
    "task.started",
    "task.progress",
    "task.retrying",
    "task.lost",
    "task.completed",
    "task.failed",
    "task.cancelled",
    "task.requeued",
    "task.released",
    "task.promoted",
    "approval.requested",
    "approval.approved",
    "approval.rejected",
    "approval.expired",
    "sla.warning",
    "sla.violation",
    "deploy.started",
    "deploy.succeeded",
    "deploy.failed",
    "alert.triggered",
    "alert.ack",
    "alert.resolved",
    "pr.opened",
    "pr.merged",
    "kb.updated",
    "kb.gap_detected",
    "agent.online",
    "agent.offline",
];

/// What an event type looks like; stands in error messages and in the API document.
pub const TYPE_PATTERN: &str = "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$";

/// The longest event type, in bytes: it is part of a channel's and a subject's name.
pub const MAX_TYPE_BYTES: usize = 128;

/// Whether `text` is an event type: at least two words of `a-z 0-9 _`, joined by dots.
pub fn is_event_type(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.len() <= MAX_TYPE_BYTES && text.contains('.') && text.split('.').all(is_word)
}

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventPriority {
    /// Of a P0 task.
    Critical,
    /// Of a P1 task.
    High,
    /// Of a P2 task; the default.
    Medium,
    /// Of a P3 task.
    Low,
}

impl EventPriority {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl From<Priority> for EventPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::P0 => Self::Critical,
            Priority::P1 => Self::High,
            Priority::P2 => Self::Medium,
            Priority::P3 => Self::Low,
        }
    }
}

/// An event that a client publishes.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened, by [`is_event_type`].
    pub event_type: String,
    /// Who says so; none: the caller. Somebody else's name is refused.
    pub source_agent: Option<String>,
    /// A JSON object, kept byte for byte.
    pub payload: Box<RawValue>,
    /// The task that it is about.
    pub task_id: Option<TaskId>,
    /// Joins it with the client's traces: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub trace_id: Option<String>,
    /// How urgent.
    pub priority: EventPriority,
    /// A JSON object; it is shown with `"external": true` added, since no transition of ours made it.
    pub metadata: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_types_are_types() {
        assert!(KNOWN_TYPES.iter().all(|text| is_event_type(text)));
        for bad in ["task", "task.", ".task", "task..x", "Task.x", "task.*", "task.x y", "task.1", &"a.b".repeat(50)] {
            assert!(!is_event_type(bad), "{bad}");
        }
    }
}
