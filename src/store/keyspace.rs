//! Reads what a key holds from its name: the reverse of [`super::keys`], for the walk of the
//! doctor.

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, BulkId, Partition, TaskId};

use super::keys::{Keys, is_per_agent};

/// What a key of a partition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Tasks,
    /// Groups of tasks.
    Index,
    /// The tasks of this agent in a state with one set per agent.
    TasksOf(String),
    Children(TaskId),
    Approval(ApprovalId),
    Approvals,
    Sessions(String),
    Paused,
    /// Nothing that the doctor can compare with other keys.
    Other,
}

/// Returns the partition of a key, its Redis type and its content. `None` if the layout has no such
/// key.
pub(super) fn read(keys: &Keys, key: &str) -> Option<(Partition, &'static str, Content)> {
    let (number, name) = key.strip_prefix(&keys.root())?.split_once("}:")?;
    let partition = Partition(number.parse().ok()?);
    let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
    let (redis_type, content) = match (kind, rest) {
        ("records" | "specs" | "results" | "progress", "") => ("hash", Content::Tasks),
        ("timers", "") => ("zset", Content::Tasks),
        ("tasks", "") => ("zset", Content::Index),
        ("reminders", "") => ("zset", Content::Approvals),
        ("bulk", id) => id.parse::<BulkId>().ok().map(|_| ("hash", Content::Other))?,
        ("sla", hour) => hour.parse::<u64>().ok().map(|_| ("hash", Content::Other))?,
        ("open" | "refused" | "bridge" | "credentials" | "keys" | "doctor", "")
        | ("audit", "head") => ("hash", Content::Other),
        ("keys", "version") => ("string", Content::Other),
        ("keys", "used") => ("zset", Content::Other),
        ("roster" | "cascade" | "marks" | "bulks" | "signed_out", "") => ("zset", Content::Other),
        ("paused", "") => ("set", Content::Paused),
        ("owned", _) => ("set", Content::Other),
        ("events" | "audit", "") => ("stream", Content::Other),
        ("corrected" | "logged" | "waited", "")
        | ("idempotency" | "nonce" | "published" | "rate" | "recorded" | "share" | "void", _) => {
            ("string", Content::Other)
        }
        ("children", parent) => ("zset", Content::Children(parent.parse().ok()?)),
        ("approval", id) => ("hash", Content::Approval(id.parse().ok()?)),
        ("approvals", status) => {
            ("zset", status.parse::<ApprovalStatus>().ok().map(|_| Content::Approvals)?)
        }
        ("sessions", agent) => ("zset", Content::Sessions(agent.to_owned())),
        (state, agent) => {
            let is_per_agent = is_per_agent(state.parse().ok()?);
            match agent {
                "" if !is_per_agent => ("zset", Content::Tasks),
                agent if is_per_agent && !agent.is_empty() => {
                    ("zset", Content::TasksOf(agent.to_owned()))
                }
                _ => return None,
            }
        }
    };
    Some((partition, redis_type, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::State;
    use crate::domain::name::Name;

    fn keys() -> Keys {
        Keys::new(&"orchestrator".parse().unwrap())
    }

    #[test]
    fn each_key_name_reveals_its_type_and_content() {
        let keys = keys();
        let partition = Partition(7);
        let agent = "dev_agent".parse::<Name>().unwrap();
        let task = TaskId::new(partition);
        let approval = ApprovalId::new(partition);
        for (key, redis_type, content) in [
            (keys.tasks(partition), "zset", Content::Index),
            (keys.timers(partition), "zset", Content::Tasks),
            (keys.hour(partition, 498_751), "hash", Content::Other),
            (keys.state(partition, State::Pending, None), "zset", Content::Tasks),
            (
                keys.state(partition, State::Assigned, Some(&agent)),
                "zset",
                Content::TasksOf("dev_agent".to_owned()),
            ),
            (keys.children(partition, task), "zset", Content::Children(task)),
            (keys.approval(approval), "hash", Content::Approval(approval)),
            (keys.approvals(partition, ApprovalStatus::Expired), "zset", Content::Approvals),
            (format!("{}paused", keys.prefix(partition)), "set", Content::Paused),
            (keys.events(partition), "stream", Content::Other),
            (keys.api_keys(partition), "hash", Content::Other),
            (keys.key_version(partition), "string", Content::Other),
            (keys.key_uses(partition), "zset", Content::Other),
        ] {
            assert_eq!(read(&keys, &key), Some((partition, redis_type, content)), "{key}");
        }
    }

    #[test]
    fn a_name_outside_the_layout_is_unknown() {
        for name in [
            "pending:dev_agent",
            "assigned",
            "approvals:perhaps",
            "approval:x",
            "nonsense",
            "tasks:1",
            "keys:1",
            "",
        ] {
            assert_eq!(read(&keys(), &format!("orchestrator:{{0}}:{name}")), None, "{name}");
        }
        assert_eq!(read(&keys(), "orchestrator:{x}:tasks"), None);
        assert_eq!(read(&keys(), "other:{0}:tasks"), None);
    }
}
