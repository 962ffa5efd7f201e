//! What the restrictions of a caller's key leave of a call. A caller without any costs nothing.

use std::collections::HashMap;

use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::principal::{Principal, Scope};
use crate::domain::restrictions::{Restrictions, allows};

use super::{Engine, Error};

/// Refuses a caller whose key does not allow the agent of this subject. Those that it allows are
/// agents of the caller's tenant.
pub(super) fn check_agent(caller: &Principal, subject: &Name) -> Result<(), Error> {
    let allowed = agents_of(caller);
    let is_allowed = |agent: &Name| agent.for_tenant(caller.tenant()) == *subject;
    if allowed.is_empty() || allowed.iter().any(is_allowed) {
        return Ok(());
    }
    Err(Error::ForeignAgent {
        agent: subject.agent(),
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

/// Refuses a task that the caller does not see, as if it did not exist, or whose agent its key does
/// not allow.
///
/// * `subject`: that of the task. `None` if there is no such task.
pub(super) fn allow(caller: &Principal, id: TaskId, subject: Option<&Name>) -> Result<(), Error> {
    match subject {
        Some(subject) if caller.sees(subject.tenant().as_ref()) => check_agent(caller, subject),
        None if caller.tenant().is_none() => Ok(()),
        Some(_) | None => Err(Error::UnknownTask(id)),
    }
}

impl Engine {
    /// Refuses a task that the caller does not see, or whose agent its key does not allow.
    pub(super) async fn check_task(&self, caller: &Principal, id: TaskId) -> Result<(), Error> {
        let subjects = self.checked_subjects(caller, &[id]).await?;
        subjects.map_or(Ok(()), |subjects| allow(caller, id, subjects.get(&id)))
    }

    /// Returns the subjects of these tasks, of those that exist, for [`allow`]. `None` if the caller
    /// sees every task and its key allows every agent.
    pub(super) async fn checked_subjects(
        &self,
        caller: &Principal,
        ids: &[TaskId],
    ) -> Result<Option<HashMap<TaskId, Name>>, Error> {
        if agents_of(caller).is_empty() && caller.tenant().is_none() {
            return Ok(None);
        }
        let tasks = self.store.tasks_of(ids).await?;
        Ok(Some(tasks.into_iter().map(|(id, task)| (id, task.agent)).collect()))
    }
}
