//! The caller of an operation: who it is, and what it may do.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::folded::folded;
use super::name::Name;
use super::restrictions::{Restrictions, allows};
use super::text::percent_encoded;

pub use super::role::{Role, Scope};

/// An authenticated caller. Principals of one subject and role are equal, wherever they call from.
#[derive(Clone, Debug)]
pub struct Principal {
    subject: Subject,
    role: Role,
    restrictions: Option<Arc<Restrictions>>,
    origin: Option<Origin>,
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        (&self.subject, self.role) == (&other.subject, other.role)
    }
}

impl Eq for Principal {}

/// The origin of a call, as far as the gateway itself can observe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The peer of the HTTP connection: the caller's own address, or that of a proxy before the
    /// gateway that the settings do not trust.
    Peer(SocketAddr),
    /// The address that a trusted proxy names. It does not name the port.
    Forwarded(IpAddr),
    /// A request over NATS, which does not tell the address.
    Nats,
}

impl fmt::Display for Origin {
    /// Writes the address, with its port if that is known, or `nats`, as the audit log keeps it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(address) => {
                SocketAddr::new(address.ip().to_canonical(), address.port()).fmt(formatter)
            }
            Self::Forwarded(address) => address.to_canonical().fmt(formatter),
            Self::Nats => formatter.write_str("nats"),
        }
    }
}

/// The name of a caller: the name of an API key or the `sub` of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The caller has the API key of this name.
    Key(String),
    /// The caller bears a token with this `sub`.
    User(String),
}

/// The longest name of a caller, in characters.
pub const MAX_NAME: usize = 256;

/// The actor of what happens without a caller, as timelines and events name it. No caller can have
/// this name, in any spelling.
pub const ORCHESTRATOR: &str = "orchestrator";

/// The error of a caller's name that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a caller's name has 1 to 256 characters, a visible one among them and no control character, \
     and is not `orchestrator`"
)]
pub struct NotASubject;

impl Subject {
    /// Returns the name without its kind: `ops` for `key:ops`.
    pub fn name(&self) -> &str {
        let (Self::Key(name) | Self::User(name)) = self;
        name
    }

    /// Returns the subject with its name [`folded`], as subjects are compared.
    pub fn folded(&self) -> Self {
        match self {
            Self::Key(name) => Self::Key(folded(name)),
            Self::User(name) => Self::User(folded(name)),
        }
    }

    /// Reads what [`fmt::Display`] writes. `None` if `actor` is no caller, such as `orchestrator`.
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
    /// Writes the name with its kind, `key:ops` or `user:alice`: one word that needs no escape in a
    /// record, a JSON string, a log line or a response. Every byte of the name that would need one
    /// is percent-encoded, as is `%`, so that no two names are written alike.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Key(_)) { "key" } else { "user" };
        let name = percent_encoded(self.name(), |byte| {
            byte.is_ascii_graphic() && !b"%\"\\".contains(&byte)
        });
        write!(formatter, "{kind}:{name}")
    }
}

/// Decodes the percent-encoding of [`Subject`]. `None` if it is malformed.
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

/// Returns whether the name is [`ORCHESTRATOR`] in any spelling.
pub fn is_orchestrator(name: &str) -> bool {
    folded(name) == ORCHESTRATOR
}

impl Origin {
    /// Reads what [`fmt::Display`] writes. `None` if the text is not that.
    pub fn read(text: &str) -> Option<Self> {
        if text == "nats" {
            return Some(Self::Nats);
        }
        text.parse().ok().map(Self::Peer)
    }
}

impl Principal {
    /// Makes a caller with this name and role, whose origin is not known.
    pub fn new(subject: Subject, role: Role) -> Result<Self, NotASubject> {
        let name = subject.name();
        let is_usable = (1..=MAX_NAME).contains(&name.chars().count())
            && !name.contains(|letter: char| letter.is_control())
            && !name.contains(['\u{2028}', '\u{2029}'])
            && !folded(name).is_empty()
            && !is_orchestrator(name);
        if !is_usable {
            return Err(NotASubject);
        }
        Ok(Self { subject, role, restrictions: None, origin: None })
    }

    /// Returns the same caller with a key that has these restrictions.
    pub fn restricted(self, restrictions: Restrictions) -> Self {
        let restrictions = Some(restrictions).filter(|one| !one.is_empty()).map(Arc::new);
        Self { restrictions, ..self }
    }

    /// Returns what the caller's key may do less than its role. `None` if it may do all of it.
    pub fn restrictions(&self) -> Option<&Restrictions> {
        self.restrictions.as_deref()
    }

    /// Returns whether the caller has `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        let restricted = self.restrictions().is_none_or(|only| allows(&only.scopes, &scope));
        self.role.allows(scope) && restricted
    }

    /// Returns the tenant to which the caller is bound. `None` if it sees all of them.
    pub fn tenant(&self) -> Option<&Name> {
        self.restrictions()?.tenant.as_ref()
    }

    /// Returns whether the caller sees what belongs to this tenant, or to none.
    pub fn sees(&self, tenant: Option<&Name>) -> bool {
        self.tenant().is_none() || self.tenant() == tenant
    }

    /// Returns the same caller with this origin; `None` if it is not known.
    pub fn at(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Returns the origin of the call as text. Empty if it is not known.
    pub fn origin(&self) -> String {
        self.origin.map(|origin| origin.to_string()).unwrap_or_default()
    }

    /// Returns the caller's name together with its kind.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns the name without its kind, which an event's `source_agent` may carry.
    pub fn name(&self) -> &str {
        self.subject.name()
    }

    /// Returns the role, which decides what the caller may do.
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Display for Principal {
    /// Writes the name with its kind, as timelines and approvals keep it: see [`Subject`].
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subject.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_identity_providers_are_stored_as_one_word() {
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
    fn a_name_that_readers_would_confuse_is_refused() {
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
    fn a_caller_is_the_same_from_every_origin() {
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
