//! A fleet with a task in every kind of place, for the doctor: what is broken stands among what is sound.

use std::time::Duration;

use orchestrator::domain::approval::ApprovalStatus;
use orchestrator::domain::ids::{ApprovalId, TaskId};
use orchestrator::domain::report::Outcome;
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::Task;
use orchestrator::engine::{Finding, Repair, TaskFilter};

use crate::harness::{Fleet, approval_key, json, key};

/// A task in every kind of place.
pub struct Ward {
    pub fleet: Fleet,
    pub blocked: Task,
    pub scheduled: TaskId,
    pub pending: TaskId,
    /// A child of `pending`, and pending too.
    pub child: TaskId,
    pub assigned: TaskId,
    pub held: TaskId,
    /// Assigned, after an approver approved it.
    pub approved: Task,
    pub completed: TaskId,
}

impl Ward {
    pub async fn open() -> Self {
        let fleet = Fleet::start().await;
        let approved = fleet.submit("deploy").await;
        fleet.approve(approved.approval.unwrap()).await.unwrap();
        fleet.submit_many("faq", 3).await;
        let done = fleet.claim_one().await;
        fleet.report(&done, Outcome::Completed { result: Some(json("1")) }).await.unwrap();
        let held = fleet.claim_one().await.task.id;
        let assigned = fleet.engine.tasks(&TaskFilter::default(), 4, None).await.unwrap().items;
        let is_it = |task: &&Task| task.state.as_str() == "assigned" && task.id != approved.id;
        let assigned = assigned.iter().find(is_it).unwrap().id;
        let blocked = fleet.submit("deploy").await;
        let scheduled = fleet.submit_with("faq", |new| new.start = Start::After(9_000)).await.id;
        let pending = fleet.submit("faq").await.id;
        let child = fleet.submit_with("faq", |new| new.spec.parent = Some(pending)).await.id;
        let completed = done.task.id;
        Self { fleet, blocked, scheduled, pending, child, assigned, held, approved, completed }
    }

    pub async fn redis(&self, words: &[&str]) {
        let changed: i64 = self.fleet.redis.ask(words).await;
        assert!(changed >= 0);
    }

    /// Loses the approval, and its place among those of its status.
    pub async fn lose_approval(&self, id: ApprovalId, status: &str) {
        let list = key(&format!("approvals:{status}"));
        self.redis(&["ZREM", &list, &id.to_string()]).await;
        self.redis(&["DEL", &approval_key(id)]).await;
    }

    /// Ends the test: the doctor speaks of `subject`, in these words, and of nothing else.
    pub async fn finds(self, subject: impl ToString, what: &[&str]) {
        let findings = self.fleet.engine.doctor().await.unwrap();
        let subject = subject.to_string();
        let is_strange =
            |found: &&Finding| found.subject != subject && !found.subject.starts_with("open");
        let strangers: Vec<_> = findings.iter().filter(is_strange).collect();
        assert!(strangers.is_empty(), "{strangers:#?}");
        for words in what {
            assert!(
                findings.iter().any(|found| found.problem.to_string().contains(words)),
                "nothing of {words:?} in {findings:#?}"
            );
        }
        self.fleet.discard();
    }

    /// Has the doctor repair the damage, which it finds in these words; all of it, so that it finds
    /// nothing more.
    pub async fn is_repaired(&self, what: &str) -> Vec<Finding> {
        let found = self.fleet.engine.doctor().await.unwrap();
        assert!(
            found.iter().any(|found| found.problem.to_string().contains(what)),
            "nothing of {what:?} in {found:#?}"
        );
        let repaired = self.fleet.engine.repair().await.unwrap();
        assert!(
            repaired.iter().any(|found| found.problem.to_string().contains(what)),
            "nothing of {what:?} in {repaired:#?}"
        );
        let is_left = |found: &&Finding| found.repair != Repair::Done;
        let left: Vec<_> = repaired.iter().filter(is_left).collect();
        assert!(left.is_empty(), "{left:#?}");
        assert_eq!(self.fleet.engine.doctor().await.unwrap(), [], "after {repaired:#?}");
        repaired
    }

    /// Ends the test: every task that is open goes on to its end, and the doctor finds nothing.
    pub async fn ends_well(self) {
        let fleet = &self.fleet;
        let gated: Vec<_> = fleet
            .engine
            .approvals(&[ApprovalStatus::Pending], 100, None, false)
            .await
            .unwrap()
            .items;
        for approval in gated {
            // What is decided already is refused.
            drop(fleet.approve(approval.id).await);
        }
        fleet.advance(Duration::from_secs(60));
        fleet.engine.promote().await.unwrap();
        fleet.engine.reap().await.unwrap();
        fleet.route().await;
        for agent in ["faq_agent", "ops_agent"] {
            for held in fleet.claim(agent, 100).await {
                fleet.complete(&held).await.unwrap();
            }
        }
        let tasks = fleet.engine.tasks(&TaskFilter::default(), 100, None).await.unwrap().items;
        let open: Vec<_> = tasks.iter().filter(|task| !task.state.is_terminal()).collect();
        assert!(open.is_empty(), "{open:#?}");
        self.fleet.finish().await;
    }
}
