//! Pausing agents, and counting what there is.

use redis::Value;

use crate::domain::ids::Partition;
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::task::{Millis, Task};

use super::{Error, ORCHESTRATOR, Store, args, script};

/// How one partition stands.
#[derive(Clone, Debug, Default)]
pub struct StatsRow {
    /// The store's time.
    pub now: Millis,
    /// Tasks by state, of the states that have one set.
    pub states: Vec<(String, u64)>,
    /// Open tasks by priority.
    pub open: Vec<(String, u64)>,
    /// Agents that ever had or asked for a task.
    pub agents: Vec<AgentRow>,
    /// Since when the head of the queue could start; none: the queue is empty.
    pub head_since: Option<Millis>,
}

/// How one agent stands in one partition.
#[derive(Clone, Debug)]
pub struct AgentRow {
    /// Its name.
    pub agent: String,
    /// Tasks that wait in its subject.
    pub depth: u64,
    /// Tasks that it holds.
    pub in_progress: u64,
    /// Whether its claims are answered with nothing.
    pub is_paused: bool,
    /// Its processes that called lately, and when.
    pub sessions: Vec<(String, f64)>,
}

/// Where a waiting task stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Tasks before it in its set.
    pub ahead: u64,
    /// Whether its agent is paused.
    pub is_paused: bool,
    /// Processes of its agent that called lately.
    pub sessions: u64,
}

impl Store {
    /// Where a pending or assigned task stands; `session_ms`: how long after its last call a session counts as live.
    pub async fn place(&self, task: &Task, session_ms: Millis) -> Result<Place, Error> {
        let partition = task.id.partition();
        let prefix = self.keys().prefix(partition);
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANK")
            .arg(self.keys().state(partition, task.state, Some(&task.agent)))
            .arg(task.id.to_string());
        pipe.cmd("SISMEMBER").arg(format!("{prefix}paused")).arg(task.agent.as_str());
        let since = task.observed_at.saturating_sub(session_ms);
        pipe.cmd("ZCOUNT").arg(format!("{prefix}sessions:{}", task.agent)).arg(since).arg("+inf");
        let (ahead, is_paused, sessions): (Option<u64>, bool, u64) =
            self.query_all("place", &pipe).await?;
        Ok(Place { ahead: ahead.unwrap_or_default(), is_paused, sessions })
    }

    /// How a partition stands; `session_ms`: how long after its last call a session counts as live.
    pub async fn stats(&self, partition: Partition, session_ms: Millis) -> Result<StatsRow, Error> {
        let mut args = args();
        args.arg(session_ms);
        type Raw = (Millis, Vec<(String, u64)>, Vec<(String, u64)>, Vec<Value>, i64);
        let (now, states, open, agents, head): Raw =
            self.run(&script::STATS, partition, ORCHESTRATOR, args).await?;
        let agents = agents.into_iter().map(agent_row).collect::<Result<_, _>>()?;
        Ok(StatsRow { now, states, open, agents, head_since: u64::try_from(head).ok() })
    }

    /// Makes the agent's claims come back empty, in every partition and for every process, until it is resumed.
    pub async fn pause(&self, agent: &Name, caller: &Principal) -> Result<(), Error> {
        self.set_paused("pause", agent, caller).await
    }

    /// Lets the agent claim again.
    pub async fn resume(&self, agent: &Name, caller: &Principal) -> Result<(), Error> {
        self.set_paused("resume", agent, caller).await
    }

    async fn set_paused(&self, verb: &str, agent: &Name, caller: &Principal) -> Result<(), Error> {
        let mut partitions: Vec<_> = self.partitions().collect();
        // The first one's script writes it into the audit log: what it tells of must not happen before.
        partitions.sort();
        for partition in partitions {
            let mut args = args();
            args.arg(agent.as_str()).arg(verb);
            let _changed: bool =
                self.commit_audited(&script::PAUSE, partition, caller, args).await?;
        }
        Ok(())
    }
}

fn agent_row(row: Value) -> Result<AgentRow, Error> {
    let (agent, depth, in_progress, is_paused, sessions) = redis::from_redis_value(row)
        .map_err(|error| Error::corrupt(format!("the answer of stats: {error}")))?;
    Ok(AgentRow { agent, depth, in_progress, is_paused, sessions })
}
