//! What the restrictions of a caller's key leave of a call. A caller without any costs nothing.

use std::collections::HashMap;

use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::principal::{Principal, Scope};
use crate::domain::restrictions::{Restrictions, allows};

use super::{Engine, Error};

/// Refuses a caller whose key does not allow the agent.
pub(super) fn check_agent(caller: &Principal, agent: &Name) -> Result<(), Error> {
    let allowed = agents_of(caller);
    if allows(allowed, agent) {
        return Ok(());
    }
    Err(Error::ForeignAgent {
        agent: agent.clone(),
        allowed: allowed.to_vec(),
        caller: caller.to_string(),
    })
}

/// Refuses a caller who has not the scope, for a call whose content decides which one it needs.
pub(super) fn check_scope(caller: &Principal, scope: Scope) -> Result<(), Error> {
    if caller.may(scope) { Ok(()) } else { Err(Error::MissingScope { role: caller.role(), scope }) }
}

/// Returns why the caller's key does not allow to submit tasks of this type. `None` if it does.
pub(super) fn foreign_type(caller: &Principal, kind: &Name) -> Option<String> {
    let Restrictions { task_types, .. } = caller.restrictions()?;
    if allows(task_types, kind) {
        return None;
    }
    let known: Vec<_> = task_types.iter().map(Name::as_str).collect();
    Some(format!("is not a type that {caller} may submit; its types: {}", known.join(", ")))
}

fn agents_of(caller: &Principal) -> &[Name] {
    caller.restrictions().map(|only| only.agents.as_slice()).unwrap_or_default()
}

impl Engine {
    /// Refuses a caller whose key does not allow the agent of the task.
    pub(super) async fn check_task(&self, caller: &Principal, id: TaskId) -> Result<(), Error> {
        let agents = self.checked_agents(caller, &[id]).await?;
        agents.get(&id).map_or(Ok(()), |agent| check_agent(caller, agent))
    }

    /// Returns the agents of these tasks, of those that exist, for [`check_agent`]. Empty if the
    /// caller's key allows every agent.
    pub(super) async fn checked_agents(
        &self,
        caller: &Principal,
        ids: &[TaskId],
    ) -> Result<HashMap<TaskId, Name>, Error> {
        if agents_of(caller).is_empty() {
            return Ok(HashMap::new());
        }
        let tasks = self.store.tasks_of(ids).await?;
        Ok(tasks.into_iter().map(|(id, task)| (id, task.agent)).collect())
    }
}
