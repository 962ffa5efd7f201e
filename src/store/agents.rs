//! Pausing agents, and counting tasks, agents and sessions.

use futures_util::future::try_join_all;
use redis::Value;

use crate::domain::ids::Partition;
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::task::Task;
use crate::domain::time::Millis;

use super::{Error, ORCHESTRATOR, Store, args, script};

/// The numbers of tasks and agents in one partition.
#[derive(Clone, Debug, Default)]
pub struct StatsRow {
    /// The store's time, in milliseconds since 1970.
    pub now: Millis,
    /// How many tasks each state has, for the states that have one set for all agents.
    pub states: Vec<(String, u64)>,
    /// How many open tasks each priority has.
    pub open: Vec<(String, u64)>,
    /// About a hundred of the agents that own tasks or sessions.
    pub agents: Vec<AgentRow>,
    /// The cursor of the next agents. 0 if there are no more.
    pub cursor: u64,
    /// When the first task of the priority queue could start, in milliseconds since 1970. `None` if
    /// the queue is empty.
    pub head_since: Option<Millis>,
}

/// The numbers of one agent in one partition.
#[derive(Clone, Debug)]
pub struct AgentRow {
    /// The name of the agent.
    pub agent: String,
    /// How many tasks wait in its subject.
    pub depth: u64,
    /// How many tasks it has in progress.
    pub in_progress: u64,
    /// Whether the agent is paused, so that its claims return nothing.
    pub is_paused: bool,
    /// How many of its processes have a live session.
    pub sessions: u64,
    /// When one of them last called, in milliseconds since 1970. `None` if no session is live.
    pub last_seen: Option<Millis>,
}

/// What the store knows of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it has assigned tasks or tasks in progress, or is paused.
    pub owns: bool,
    /// Whether it is in the roster of a partition: it owns something or called a short time ago.
    pub is_known: bool,
    /// How many agents the fullest roster of a partition has.
    pub agents: u64,
}

/// The largest number of sessions to return for one agent.
const SHOWN_SESSIONS: usize = 100;

/// The place of a waiting task in its set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// How many tasks are before it in its set.
    pub ahead: u64,
    /// Whether its agent is paused, so that claims return nothing.
    pub is_paused: bool,
    /// How many processes of its agent have a live session.
    pub sessions: u64,
}

impl Store {
    /// Returns the place of a pending or assigned task.
    ///
    /// * `session_ms`: how long a session stays live after its last call.
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
            self.query("place", partition, &pipe).await?;
        Ok(Place { ahead: ahead.unwrap_or_default(), is_paused, sessions })
    }

    /// Returns the numbers of a partition, with the agents from `cursor` on (0 for the first). An
    /// agent can be returned twice.
    ///
    /// * `session_ms`: how long a session stays live after its last call.
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

    /// Returns the numbers of one agent in a partition at `now`, and its newest sessions, at most a
    /// hundred, each with the time of its last call.
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
            self.query("agent", partition, &pipe).await?;
        let newest: Vec<_> =
            newest.into_iter().map(|(worker, at)| (worker, at as Millis)).collect();
        let last_seen = newest.first().map(|(_, at)| *at);
        let agent = agent.as_str().to_owned();
        let row = AgentRow { agent, depth, in_progress, is_paused, sessions: live, last_seen };
        Ok((row, newest))
    }

    /// Returns what all partitions together know of the agent.
    pub async fn standing(&self, agent: &Name) -> Result<Standing, Error> {
        let rows = self.reachable().map(|partition| self.standing_in(partition, agent));
        let rows = try_join_all(rows).await?;
        Ok(rows.into_iter().fold(Standing::default(), |all, one| Standing {
            owns: all.owns || one.owns,
            is_known: all.is_known || one.is_known,
            agents: all.agents.max(one.agents),
        }))
    }

    async fn standing_in(&self, partition: Partition, agent: &Name) -> Result<Standing, Error> {
        let prefix = self.keys().prefix(partition);
        let mut pipe = redis::pipe();
        let sets = [State::Assigned, State::InProgress]
            .map(|state| self.keys().state(partition, state, Some(agent)));
        pipe.cmd("EXISTS").arg(&sets);
        pipe.cmd("SISMEMBER").arg(format!("{prefix}paused")).arg(agent.as_str());
        pipe.cmd("ZSCORE").arg(self.keys().roster(partition)).arg(agent.as_str());
        pipe.cmd("ZCARD").arg(self.keys().roster(partition));
        type Raw = (u64, bool, Option<f64>, u64);
        let (sets, is_paused, score, agents): Raw =
            self.query("standing", partition, &pipe).await?;
        let owns = sets > 0 || is_paused;
        Ok(Standing { owns, is_known: owns || score.is_some(), agents })
    }

    /// Pauses the agent: its claims return nothing, in every partition and for every process.
    pub async fn pause(&self, agent: &Name, caller: &Principal) -> Result<(), Error> {
        self.set_paused("pause", agent, caller).await
    }

    /// Resumes the agent, so that its claims return tasks again.
    pub async fn resume(&self, agent: &Name, caller: &Principal) -> Result<(), Error> {
        self.set_paused("resume", agent, caller).await
    }

    async fn set_paused(&self, verb: &str, agent: &Name, caller: &Principal) -> Result<(), Error> {
        let mut partitions: Vec<_> = self.partitions().collect();
        // The script of the first partition writes the audit entry, which must not come after the
        // change.
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
