//! Who is calling, and what the caller's role allows.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a caller may do, in four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads tasks, events and approvals.
    User,
    /// Also submits, claims and reports tasks, and publishes events.
    Agent,
    /// A user who also decides approvals.
    Approver,
    /// Everything.
    Admin,
}

/// One thing that a call may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// See tasks, agents and figures.
    TasksRead,
    /// Submit, cancel and requeue tasks.
    TasksWrite,
    /// Read the event log.
    EventsRead,
    /// Publish events.
    EventsPublish,
    /// See approvals.
    ApprovalsRead,
    /// Approve and reject.
    ApprovalsDecide,
    /// Claim tasks and report on them.
    Agent,
    /// Pause agents and the like.
    Admin,
}

impl Scope {
    /// The word in the API document and in refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
            Self::EventsRead => "events:read",
            Self::EventsPublish => "events:publish",
            Self::ApprovalsRead => "approvals:read",
            Self::ApprovalsDecide => "approvals:decide",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::User, Self::Agent, Self::Approver, Self::Admin];

    /// Whether this role holds `scope`.
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

    /// The word in keys, tokens and refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or(UnknownRole)
    }
}

/// The word names no [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of user, agent, approver, admin")]
pub struct UnknownRole;

/// An authenticated caller. Where he calls from is no part of who he is.
#[derive(Clone, Debug)]
pub struct Principal {
    subject: Subject,
    role: Role,
    origin: Option<Origin>,
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        (&self.subject, self.role) == (&other.subject, other.role)
    }
}

impl Eq for Principal {}

/// Where a call comes from, as far as we can know ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The other end of an HTTP connection: the caller's own address, or that of the proxy before us. What a header
    /// says of it is the client's word and is not believed.
    Peer(SocketAddr),
    /// A request over NATS.
    Nats,
}

impl fmt::Display for Origin {
    /// The address with its port, or `nats`: what the audit log keeps.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(address) => {
                SocketAddr::new(address.ip().to_canonical(), address.port()).fmt(formatter)
            }
            Self::Nats => formatter.write_str("nats"),
        }
    }
}

/// What a caller is called: the name of an API key or the `sub` of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An API key of this name.
    Key(String),
    /// The bearer of a token with this `sub`.
    User(String),
}

/// The name of a caller can be written to a log and a key as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a caller's name has 1 to 64 of A-Z a-z 0-9 . _ @ + : -")]
pub struct NotASubject;

impl Principal {
    /// A caller of this name and role.
    pub fn new(subject: Subject, role: Role) -> Result<Self, NotASubject> {
        let (Subject::Key(name) | Subject::User(name)) = &subject;
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+:-".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(is_safe) {
            Ok(Self { subject, role, origin: None })
        } else {
            Err(NotASubject)
        }
    }

    /// The same caller, calling from there.
    pub fn at(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Where the call comes from, in words; empty if that is not known.
    pub fn origin(&self) -> String {
        self.origin.map(|origin| origin.to_string()).unwrap_or_default()
    }

    /// The bare name, which an event's `source_agent` may carry.
    pub fn name(&self) -> &str {
        let (Subject::Key(name) | Subject::User(name)) = &self.subject;
        name
    }

    /// What the role allows.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Display for Principal {
    /// The name with its kind, `key:ops` or `user:alice`: what timelines and approvals keep.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Key(name) => write!(formatter, "key:{name}"),
            Subject::User(name) => write!(formatter, "user:{name}"),
        }
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

    #[test]
    fn a_name_that_could_break_a_log_line_is_refused() {
        for bad in ["", "a b", "a\"b", "a\\b", "a\nb", &"x".repeat(65)] {
            assert!(Principal::new(Subject::User(bad.to_owned()), Role::User).is_err(), "{bad}");
        }
        let alice =
            Principal::new(Subject::User("alice@example.com".to_owned()), Role::User).unwrap();
        assert_eq!(alice.to_string(), "user:alice@example.com");
    }

    #[test]
    fn a_caller_is_the_same_wherever_he_calls_from() {
        let alice = Principal::new(Subject::User("alice".to_owned()), Role::User).unwrap();
        let peer = "[::ffff:10.0.0.7]:4711".parse().unwrap();
        let elsewhere = alice.clone().at(Some(Origin::Peer(peer)));

        assert_eq!(alice, elsewhere);
        assert_eq!(elsewhere.to_string(), "user:alice");
        assert_eq!(
            (alice.origin(), elsewhere.origin()),
            (String::new(), "10.0.0.7:4711".to_owned())
        );
    }
}
