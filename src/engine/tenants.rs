//! Tenants: what a caller that is bound to one sees. A caller that is not costs nothing.
//!
//! A tenant's tasks are in subjects of their own, such as `dev_agent@acme`, which also say whose a
//! task, an approval or a figure is; see [`Name::for_tenant`]. What another tenant has, and what has
//! none, counts as missing.

use crate::domain::approval::Approval;
use crate::domain::ids::{ApprovalId, BulkId, TaskId};
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::task::Task;

use super::{AgentStatus, Bulk, Engine, Error};

impl Engine {
    /// Refuses a task that the caller does not see, as if it did not exist.
    pub async fn check_visible(&self, caller: &Principal, id: TaskId) -> Result<(), Error> {
        if caller.tenant().is_none() {
            return Ok(());
        }
        self.known(id)?;
        let tasks = self.store.tasks_of(&[id]).await?;
        let is_seen = tasks.get(&id).is_some_and(|task| caller.sees(task.tenant().as_ref()));
        if is_seen { Ok(()) } else { Err(Error::UnknownTask(id)) }
    }

    /// Returns the approval and the task that it is for, if the caller sees them.
    pub async fn approval_for(
        &self,
        caller: &Principal,
        id: ApprovalId,
    ) -> Result<(Approval, Task), Error> {
        let (approval, task) = self.approval(id).await?;
        if caller.sees(task.tenant().as_ref()) {
            return Ok((approval, task));
        }
        Err(Error::UnknownApproval(id))
    }

    /// Returns the bulk as it is now, if the caller sees it.
    pub async fn bulk_for(&self, caller: &Principal, id: BulkId) -> Result<Bulk, Error> {
        let bulk = self.bulk(id).await?;
        if caller.sees(bulk.order.filter.tenant.as_ref()) {
            return Ok(bulk);
        }
        Err(Error::UnknownBulk(id))
    }

    /// Returns the agents that the caller sees, by name; see [`Engine::agents`].
    pub async fn agents_for(&self, caller: &Principal) -> Result<Vec<AgentStatus>, Error> {
        let mut agents = self.agents().await?;
        let Some(tenant) = caller.tenant() else { return Ok(agents) };
        agents.retain(|status| status.agent.tenant().as_ref() == Some(tenant));
        for agent in self.routed() {
            let subject = agent.for_tenant(Some(tenant));
            if !agents.iter().any(|status| status.agent == subject) {
                agents.push(AgentStatus::idle(subject));
            }
        }
        agents.sort_by(|one, other| one.agent.cmp(&other.agent));
        Ok(agents)
    }

    /// Returns the agent as the caller sees it: with the subject of the caller's tenant.
    pub async fn agent_for(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        self.agent(&agent.for_tenant(caller.tenant())).await
    }
}
