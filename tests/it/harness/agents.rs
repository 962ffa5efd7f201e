//! What agents do: claim, report, extend.

use std::time::Duration;

use orchestrator::domain::approval::{Approval, OnRejection};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::task::Claimed;
use orchestrator::engine::{Claim, Error, Question};

use super::{Fleet, eventually, json, name, question, report_of};

impl Fleet {
    /// Puts every pending task into its agent's subject.
    pub async fn route(&self) {
        while self.engine.route().await.unwrap().moved > 0 {}
    }

    /// What one process of `agent` asks for, without waiting.
    pub fn ask_for(&self, agent: &str, max: u32) -> Claim {
        Claim {
            agent: name(agent),
            worker: "w1".parse().unwrap(),
            max,
            wait: Duration::ZERO,
            lease_ms: None,
            room: None,
        }
    }

    /// Claims up to `max` tasks of an agent, without waiting.
    pub async fn claim(&self, agent: &str, max: u32) -> Vec<Claimed> {
        self.engine.claim(&self.people.agent, self.ask_for(agent, max)).await.unwrap()
    }

    /// Claims the one task of `faq_agent` once it is back in its subject.
    pub async fn claim_when_back(&self) -> Claimed {
        eventually("the task is back", async || {
            let ask = self.ask_for("faq_agent", 1);
            let claimed = self.engine.claim(&self.people.agent, ask).await;
            claimed
                .as_ref()
                .ok()
                .and_then(|held| held.first())
                .cloned()
                .ok_or(format!("{claimed:?}"))
        })
        .await
    }

    /// Waits until a process of the agent has called.
    pub async fn has_heard_from(&self, agent: &str) {
        eventually("a process of the agent has called", async || {
            let agent = self.engine.agent(&name(agent)).await.unwrap();
            if agent.session_count == 0 { Err("not yet") } else { Ok(()) }
        })
        .await;
    }

    /// Waits until so much waits for each agent, and is held by it.
    pub async fn agents_have(&self, wanted: &[(u64, u64)]) {
        eventually("each agent has what it should", async || {
            let agents = self.engine.agents().await.unwrap();
            let seen: Vec<_> =
                agents.iter().map(|agent| (agent.depth, agent.in_progress)).collect();
            if seen == wanted { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// Routes, and claims the one best task of `faq_agent`.
    pub async fn claim_one(&self) -> Claimed {
        self.claim_one_of("faq_agent").await
    }

    /// Routes, and claims the one best task of an agent.
    pub async fn claim_one_of(&self, agent: &str) -> Claimed {
        self.route().await;
        self.claim(agent, 1).await.pop().unwrap_or_else(|| panic!("nothing waits for {agent}"))
    }

    /// Reports on an attempt.
    pub async fn report(&self, held: &Claimed, outcome: Outcome) -> Result<State, Error> {
        let reports = vec![report_of(held, outcome)];
        let answers = self.engine.report(&self.people.agent, reports).await?;
        answers.into_iter().next().unwrap()
    }

    pub async fn complete(&self, held: &Claimed) -> Result<State, Error> {
        self.report(held, Outcome::Completed { result: None }).await
    }

    /// Fails the attempt in a way that makes another one sensible.
    pub async fn fail(&self, held: &Claimed) -> Result<State, Error> {
        self.report(held, failed(true, None)).await
    }

    /// Fails the task for good.
    pub async fn give_up(&self, held: &Claimed) -> Result<State, Error> {
        self.report(held, failed(false, None)).await
    }

    pub async fn release(&self, held: &Claimed) -> Result<State, Error> {
        self.report(held, Outcome::Released).await
    }

    /// Asks a human whether the agent may go on, and hears a no if `on_rejection` says so.
    pub async fn ask(&self, held: &Claimed, on_rejection: OnRejection) -> Result<Approval, Error> {
        let action = Some(json(r#"{"run": "rm -rf build"}"#));
        let question = Question { action, on_rejection, ..question() };
        let (id, proof) = (held.task.id, (held.task.attempt, &held.lease));
        self.engine.ask(&self.people.agent, id, proof, question).await.map(|(approval, _)| approval)
    }

    /// Says that the agent is still at it; returns until when it may be.
    pub async fn extend(&self, held: &Claimed, extend_ms: Option<u64>) -> Result<u64, Error> {
        let proof = (held.task.attempt, &held.lease);
        self.engine.extend(&self.people.agent, held.task.id, proof, None, extend_ms).await
    }
}

/// An attempt that did not work.
pub fn failed(is_retryable: bool, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::Failed { error: "it broke".to_owned(), is_retryable, retry_after_ms, result: None }
}
