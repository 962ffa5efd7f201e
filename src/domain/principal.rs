//! Who is calling, and what the caller's role allows.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::folded::folded;

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

    /// The lowest role that a human decides in: what a caller of it or of a higher one ended, no agent reopens.
    pub const HUMAN: Self = Self::Approver;

    /// Its place in the order of roles, from 0. What a human ended, only a caller of no lower rank reopens.
    pub fn rank(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Agent => 1,
            Self::Approver => 2,
            Self::Admin => 3,
        }
    }

    /// The role of this rank.
    pub fn of_rank(rank: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.rank() == rank)
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An API key of this name.
    Key(String),
    /// The bearer of a token with this `sub`.
    User(String),
}

/// The longest name of a caller, in characters.
pub const MAX_NAME: usize = 256;

/// What acts when no caller does, as timelines and events name it; no caller has this name, in any spelling.
pub const ORCHESTRATOR: &str = "orchestrator";

/// The name of a caller cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a caller's name has 1 to 256 characters, a visible one among them and no control character, and is not \
     `orchestrator`"
)]
pub struct NotASubject;

impl Subject {
    /// The bare name.
    pub fn name(&self) -> &str {
        let (Self::Key(name) | Self::User(name)) = self;
        name
    }

    /// The same with its name as it is compared.
    pub fn folded(&self) -> Self {
        match self {
            Self::Key(name) => Self::Key(folded(name)),
            Self::User(name) => Self::User(folded(name)),
        }
    }

    /// Reads what [`fmt::Display`] writes; none: `actor` is no caller, such as `orchestrator`.
    pub fn of_actor(actor: &str) -> Option<Self> {
        let (kind, word) = actor.split_once(':')?;
        let name = decoded(word)?;
        match kind {
            "key" => Some(Self::Key(name)),
            "user" => Some(Self::User(name)),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    /// The name with its kind, `key:ops` or `user:alice`: one word, which stands as it is in a record, a JSON string, a
    /// log line and an answer. Every byte of the name that could break one of them is percent-encoded, as is `%`, so
    /// that no two names are written alike.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if matches!(self, Self::Key(_)) { "key:" } else { "user:" })?;
        for byte in self.name().bytes() {
            if byte.is_ascii_graphic() && !b"%\"\\".contains(&byte) {
                formatter.write_char(char::from(byte))?;
            } else {
                write!(formatter, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// The name that a word of [`Subject`]'s stands for.
fn decoded(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Whether a name is that of what acts when no caller does, however it is spelled.
pub fn is_orchestrator(name: &str) -> bool {
    folded(name) == ORCHESTRATOR
}

impl Principal {
    /// A caller of this name and role.
    pub fn new(subject: Subject, role: Role) -> Result<Self, NotASubject> {
        let name = subject.name();
        let is_breaking =
            |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        let is_usable = (1..=MAX_NAME).contains(&name.chars().count())
            && !name.contains(is_breaking)
            && !folded(name).is_empty()
            && !is_orchestrator(name);
        if is_usable { Ok(Self { subject, role, origin: None }) } else { Err(NotASubject) }
    }

    /// The same caller, calling from there.
    pub fn at(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Where the call comes from, in words; empty if that is not known.
    pub fn origin(&self) -> String {
        self.origin.map(|origin| origin.to_string()).unwrap_or_default()
    }

    /// What the caller is called, with its kind.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The bare name, which an event's `source_agent` may carry.
    pub fn name(&self) -> &str {
        self.subject.name()
    }

    /// What the role allows.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Display for Principal {
    /// The name with its kind: what timelines and approvals keep. See [`Subject`].
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.fmt(formatter)
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
    fn the_names_of_identity_providers_are_usable_and_stored_as_one_safe_word() {
        let arn = "arn:aws:sts::123456789012:assumed-role/Role/session";
        for (name, word) in [
            ("auth0|5f7c8ec7c33c6c004bbafe82", "auth0|5f7c8ec7c33c6c004bbafe82"),
            ("O'Brien@example.com", "O'Brien@example.com"),
            (arn, arn),
            ("Jürgen Groß", "J%C3%BCrgen%20Gro%C3%9F"),
            ("CN=ops, O=\"Big\\Co\"", "CN=ops,%20O=%22Big%5CCo%22"),
            ("100%", "100%25"),
            ("%20", "%2520"),
            ("key:alice", "key:alice"),
            ("a\u{202e}b", "a%E2%80%AEb"),
            (&"ü".repeat(256), &"%C3%BC".repeat(256)),
        ] {
            for subject in [Subject::Key(name.to_owned()), Subject::User(name.to_owned())] {
                let kind = if matches!(subject, Subject::Key(_)) { "key" } else { "user" };
                let actor = Principal::new(subject.clone(), Role::User).unwrap().to_string();
                assert_eq!(actor, format!("{kind}:{word}"));
                assert_eq!(Subject::of_actor(&actor), Some(subject));
            }
        }
    }

    #[test]
    fn a_name_that_readers_could_not_tell_is_refused() {
        let long = "x".repeat(257);
        let reserved = ["orchestrator", "Orchestrator", " ORCHESTRATOR ", "orches\u{200b}trator"];
        let fullwidth = "\u{ff4f}rchestrator";
        let bad = ["", " ", "\u{200b}", "a\nb", "a\0", "a\u{85}b", "a\u{2028}b", &long, fullwidth];
        for name in bad.into_iter().chain(reserved) {
            assert!(
                Principal::new(Subject::User(name.to_owned()), Role::User).is_err(),
                "{name:?}"
            );
        }
        for no_caller in ["orchestrator", "role:x", "user:%", "user:%zz", "user:%ff"] {
            assert_eq!(Subject::of_actor(no_caller), None, "{no_caller}");
        }
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
