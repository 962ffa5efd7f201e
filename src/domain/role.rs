//! The roles of callers, and the scopes that each includes.

use super::word::words;

words! {
    /// What a caller may do: one of four roles, each a set of [`Scope`]s.
    pub enum Role {
        /// Reads tasks, events and approvals.
        User = "user",
        /// Also submits, claims and reports tasks, and publishes events.
        Agent = "agent",
        /// A user who also decides approvals.
        Approver = "approver",
        /// Every scope, including pausing agents and cancelling any task.
        Admin = "admin",
    }
}

words! {
    /// A permission that an operation requires and a role includes.
    pub enum Scope {
        /// Read tasks, the state of agents, queue figures and reports.
        TasksRead = "tasks:read",
        /// Submit, cancel and requeue tasks.
        TasksWrite = "tasks:write",
        /// Read the event log and follow it as a stream.
        EventsRead = "events:read",
        /// Publish events of the caller's own to the log.
        EventsPublish = "events:publish",
        /// Read approvals and the content that they are about.
        ApprovalsRead = "approvals:read",
        /// Approve and reject, with or without an edit of the payload.
        ApprovalsDecide = "approvals:decide",
        /// Claim tasks, extend leases and report the outcome of attempts.
        Agent = "agent",
        /// Pause and resume agents, retarget approvals and read the audit log.
        Admin = "admin",
    }
}

impl Role {
    /// Returns whether a caller with this role has `scope`.
    pub fn allows(self, scope: Scope) -> bool {
        let reads = matches!(scope, Scope::TasksRead | Scope::EventsRead | Scope::ApprovalsRead);
        match self {
            Self::User => reads,
            Self::Agent => {
                reads || matches!(scope, Scope::TasksWrite | Scope::Agent | Scope::EventsPublish)
            }
            Self::Approver => reads || scope == Scope::ApprovalsDecide,
            Self::Admin => true,
        }
    }

    /// The lowest role of a human who decides. No agent reopens what this or a higher role ended.
    pub const HUMAN: Self = Self::Approver;

    /// Returns the position of the role in ascending order, from 0. A task that a human ended can
    /// be reopened only by a caller of at least the same rank.
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// Returns the role of this rank. `None` if there is none.
    pub fn of_rank(rank: u8) -> Option<Self> {
        Self::ALL.get(usize::from(rank)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_never_decides_and_an_approver_never_submits() {
        assert!(!Role::Agent.allows(Scope::ApprovalsDecide));
        assert!(!Role::Approver.allows(Scope::TasksWrite));
        assert!(!Role::User.allows(Scope::TasksWrite));
        assert!(Role::Admin.allows(Scope::ApprovalsDecide));
    }
}
