//! Who calls.

use orchestrator::domain::principal::{Principal, Role, Subject};

/// One caller of every kind.
#[derive(Clone, Debug)]
pub struct People {
    /// An admin; submits most tasks.
    pub alice: Principal,
    /// An approver who never submits.
    pub bob: Principal,
    /// A second approver.
    pub carol: Principal,
    /// An admin who never submits.
    pub dave: Principal,
    /// The API key of an agent.
    pub agent: Principal,
}

impl People {
    pub fn new() -> Self {
        let user = |name: &str, role| Principal::new(Subject::User(name.to_owned()), role).unwrap();
        Self {
            alice: user("alice", Role::Admin),
            bob: user("bob", Role::Approver),
            carol: user("carol", Role::Approver),
            dave: user("dave", Role::Admin),
            agent: Principal::new(Subject::Key("crew".to_owned()), Role::Agent).unwrap(),
        }
    }
}
