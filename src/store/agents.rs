//! Pausing agents, and counting what there is.

use redis::Value;

use crate::domain::ids::Partition;
use crate::domain::lifecycle::State;
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
    /// About a hundred agents that own something.
    pub agents: Vec<AgentRow>,
    /// Where the next agents are; 0: there are no more.
    pub cursor: u64,
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
    /// How many of its processes called lately.
    pub sessions: u64,
    /// When the last of them did; none: there are none.
    pub last_seen: Option<Millis>,
}

/// Whether an agent has a place in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It has tasks, or is paused.
    pub owns: bool,
    /// It is in the roster of a partition, so it called lately or owns something.
    pub is_known: bool,
    /// How many agents the fullest roster has.
    pub agents: u64,
}

/// The most sessions that are shown of an agent.
const SHOWN_SESSIONS: usize = 100;

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

    /// How a partition stands, with the agents from `cursor` on (0: the first); `session_ms`: how long after its last
    /// call a session counts as live. An agent may come twice.
    pub async fn stats(
        &self,
        partition: Partition,
        session_ms: Millis,
        cursor: u64,
    ) -> Result<StatsRow, Error> {
        let mut args = args();
        args.arg(session_ms).arg(cursor);
        type Raw = (Millis, Vec<(String, u64)>, Vec<(String, u64)>, i64, u64, Vec<Value>);
        let (now, states, open, head, cursor, agents): Raw =
            self.run(&script::STATS, partition, ORCHESTRATOR, args).await?;
        let agents = agents.into_iter().map(agent_row).collect::<Result<_, _>>()?;
        Ok(StatsRow { now, states, open, agents, cursor, head_since: u64::try_from(head).ok() })
    }

    /// How one agent stands in a partition at `now`, and its newest sessions, at most a hundred, with when they called.
    pub async fn agent(
        &self,
        partition: Partition,
        agent: &Name,
        now: Millis,
        session_ms: Millis,
    ) -> Result<(AgentRow, Vec<(String, Millis)>), Error> {
        let prefix = self.keys().prefix(partition);
        let sessions = format!("{prefix}sessions:{agent}");
        let since = now.saturating_sub(session_ms);
        let mut pipe = redis::pipe();
        for state in [State::Assigned, State::InProgress] {
            pipe.cmd("ZCARD").arg(self.keys().state(partition, state, Some(agent)));
        }
        pipe.cmd("SISMEMBER").arg(format!("{prefix}paused")).arg(agent.as_str());
        pipe.cmd("ZCOUNT").arg(&sessions).arg(since).arg("+inf");
        pipe.cmd("ZREVRANGEBYSCORE").arg(&sessions).arg("+inf").arg(since);
        pipe.arg("WITHSCORES").arg("LIMIT").arg(0).arg(SHOWN_SESSIONS);
        type Raw = (u64, u64, bool, u64, Vec<(String, f64)>);
        let (depth, in_progress, is_paused, live, newest): Raw =
            self.query_all("agent", &pipe).await?;
        let newest: Vec<_> =
            newest.into_iter().map(|(worker, at)| (worker, at as Millis)).collect();
        let last_seen = newest.first().map(|(_, at)| *at);
        let agent = agent.as_str().to_owned();
        let row = AgentRow { agent, depth, in_progress, is_paused, sessions: live, last_seen };
        Ok((row, newest))
    }

    /// Whether the agent has a place in any partition.
    pub async fn standing(&self, agent: &Name) -> Result<Standing, Error> {
        let mut pipe = redis::pipe();
        for partition in self.partitions() {
            let prefix = self.keys().prefix(partition);
            let sets = [State::Assigned, State::InProgress]
                .map(|state| self.keys().state(partition, state, Some(agent)));
            pipe.cmd("EXISTS").arg(&sets);
            pipe.cmd("SISMEMBER").arg(format!("{prefix}paused")).arg(agent.as_str());
            pipe.cmd("ZSCORE").arg(self.keys().roster(partition)).arg(agent.as_str());
            pipe.cmd("ZCARD").arg(self.keys().roster(partition));
        }
        let answers: Vec<Option<f64>> = self.query_all("standing", &pipe).await?;
        let mut standing = Standing::default();
        for answers in answers.chunks_exact(4) {
            standing.owns |= answers[..2].iter().flatten().any(|count| *count > 0.0);
            standing.is_known |= answers[2].is_some();
            standing.agents = standing.agents.max(answers[3].unwrap_or_default() as u64);
        }
        standing.is_known |= standing.owns;
        Ok(standing)
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
    type Raw = (String, u64, u64, bool, u64, f64);
    let (agent, depth, in_progress, is_paused, sessions, last): Raw = redis::from_redis_value(row)
        .map_err(|error| Error::corrupt(format!("the answer of stats: {error}")))?;
    let last_seen = (last >= 0.0).then_some(last as Millis);
    Ok(AgentRow { agent, depth, in_progress, is_paused, sessions, last_seen })
}
