//! Execute, then fall silent: for every script of the store, one answer is cut off and one comes
//! too late. A caller that calls again, as clients and duties do, finds everything done, and done
//! once.

mod bulks;
mod readers;

use std::time::Duration;

use futures_util::future::join_all;
use orchestrator::domain::approval::{ApprovalStatus, OnRejection};
use orchestrator::domain::audit::{AuditFilter, Credential};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::principal::Role;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::submission::{NewTask, Start};
use orchestrator::domain::task::Task;
use orchestrator::engine::{Error, StatusChange, Target};
use orchestrator::store::script::{self, Script};

use crate::harness::{
    DAY, Fate, Fleet, eventually, failed, idempotency, name, new_event, new_task, within,
};

/// How long an answer may take, and how long a late one takes.
const PATIENCE_MS: u64 = 1_000;
const LATE: Fate = Fate::AnswerLate(Duration::from_millis(1_500));

/// One script whose answer does not arrive.
pub(super) struct Story {
    pub(super) fleet: Fleet,
    script: &'static Script,
    fate: Fate,
}

impl Story {
    pub(super) async fn begin(script: &'static Script, fate: Fate) -> Self {
        let fleet = Fleet::build()
            .lossy()
            .redis(&["--enable-debug-command", "yes"])
            .response_timeout_ms(PATIENCE_MS)
            .start()
            .await;
        fleet.redis.ask::<String>(&["SCRIPT", "LOAD", &script.text]).await;
        Self { fleet, script, fate }
    }

    /// Calls until it is known what came of it; the script's first answer does not arrive.
    async fn call<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let proxy = self.fleet.proxy.as_ref().unwrap();
        proxy.arm(Some(&self.script.digest), self.fate);
        let mut answer = call().await;
        assert!(proxy.has_lost_it(), "{} was not called", self.script.name);
        let is_unknown = matches!(answer, Err(Error::Unavailable(_)));
        assert!(is_unknown || self.fate != LATE, "{}: an answer that is late", self.script.name);
        while matches!(answer, Err(Error::Unavailable(_))) {
            answer = call().await;
        }
        answer
    }

    /// A duty is simply run again.
    async fn sweep<T>(&self, call: impl AsyncFn() -> Result<T, Error>) {
        assert!(self.call(call).await.is_ok(), "{}", self.script.name);
    }

    /// Where the task is, and how many transitions it has made.
    async fn stands(&self, task: &Task) -> (State, usize) {
        let task = self.fleet.task(task.id).await;
        (task.state, task.timeline.len())
    }

    /// A call on one task, which is there afterwards after so many transitions.
    async fn leads_to<T>(
        &self,
        task: &Task,
        end: (State, usize),
        call: impl AsyncFn() -> Result<T, Error>,
    ) {
        // A caller that repeats by hand may learn that it is done already: also an answer.
        let _ = self.call(call).await;
        assert_eq!(self.stands(task).await, end, "{}", self.script.name);
    }

    /// What calls the script, and what must have come of it.
    pub(super) async fn tell(&self) {
        let (fleet, alice) = (&self.fleet, &self.fleet.people.alice);
        match self.script.name {
            "submit" | "route" | "promote" | "expire" | "deadlines" | "prune" => {
                self.tell_of_waiting().await;
            }
            "claim" | "give_back" | "take" | "ask" | "extend" | "outcome" | "reap" => {
                self.tell_of_work().await;
            }
            "cancel" => {
                let task = fleet.submit("faq").await;
                self.leads_to(&task, (State::Cancelled, 2), async || fleet.cancel(task.id).await)
                    .await;
            }
            "cascade" => self.tell_of_children().await,
            "bulk_start" | "bulk_turn" | "bulk_note" | "bulk_abort" | "raise" => {
                self.tell_of_bulks().await;
            }
            "requeue" => {
                let task = fleet.submit("faq").await;
                fleet.cancel(task.id).await.unwrap();
                self.leads_to(&task, (State::Pending, 3), async || fleet.requeue(task.id).await)
                    .await;
            }
            "approve" | "reject" => self.tell_of_a_decision().await,
            "retarget" => {
                let task = fleet.submit("deploy").await;
                let approval = task.approval.unwrap();
                let target = || Target::Rule("urgent".to_owned());
                let dave = &fleet.people.dave;
                let retarget = async || fleet.engine.retarget(dave, approval, target(), None).await;
                assert!(self.call(retarget).await.is_ok());
                assert_eq!(self.stands(&task).await.0, State::Blocked);
            }
            "publish" => {
                // An event has no key: a client that calls again after no answer publishes it again, and may.
                let published = self
                    .call(async || fleet.engine.publish(alice, new_event("pr.merged")).await)
                    .await;
                let events = fleet.events().await;
                assert_eq!(events.last().unwrap().id.to_uuid(), published.unwrap());
                assert_eq!(events.len(), if self.fate == LATE { 2 } else { 1 });
            }
            "allot" => self.tell_of_a_part().await,
            "pause" | "credentials" | "refuse" | "api_keys" => self.tell_of_audit().await,
            _ => self.tell_of_readers().await,
        }
    }

    /// What is no change of a task, and stands in the audit log once.
    async fn tell_of_audit(&self) {
        let (fleet, alice) = (&self.fleet, &self.fleet.people.alice);
        match self.script.name {
            "pause" => {
                let paused = self
                    .call(async || fleet.engine.pause(alice, &name("faq_agent")).await)
                    .await
                    .unwrap();
                assert!(paused.is_paused);
            }
            "refuse" => {
                let refuse = async || {
                    let call = "GET /admin/routing";
                    Ok(fleet.store.note_refusal(alice, call, "missing-scope", 3).await?)
                };
                self.call(refuse).await.unwrap();
            }
            "api_keys" => {
                // Who calls again by hand after no answer learns that there is a key.
                let create = async || fleet.engine.create_first_key(name("root"), None).await;
                assert_eq!(self.call(create).await.is_ok(), self.fate != LATE);
                assert!(!fleet.engine.key_ring().await.unwrap().is_empty());
            }
            _ => {
                let fingerprint = "0123456789abcdef".to_owned();
                let key = Credential {
                    subject: "key:ops".to_owned(),
                    role: Some(Role::Admin),
                    fingerprint,
                };
                self.sweep(async || {
                    fleet.engine.note_credentials(std::slice::from_ref(&key)).await
                })
                .await;
            }
        }
        let (page, _) = fleet.engine.audit(&AuditFilter::default(), 10, None).await.unwrap();
        // A refusal has no key: one that is recorded again after no answer is there twice.
        let is_again = self.script.name == "refuse" && self.fate == LATE;
        assert_eq!(page.items.len(), 1 + usize::from(is_again), "{}", self.script.name);
    }

    async fn tell_of_waiting(&self) {
        let fleet = &self.fleet;
        match self.script.name {
            "submit" => {
                let new = || NewTask { idempotency: idempotency("k", "b"), ..new_task("faq") };
                let task = self.call(async || fleet.try_submit(new()).await).await.unwrap().task;
                assert_eq!(self.stands(&task).await, (State::Pending, 1));
                assert_eq!(fleet.redis.count_tasks().await, 1);
            }
            "route" => {
                let task = fleet.submit("faq").await;
                self.sweep(async || fleet.engine.route().await).await;
                assert_eq!(self.stands(&task).await, (State::Assigned, 2));
            }
            "promote" => {
                let task = fleet.submit_with("faq", |new| new.start = Start::After(60_000)).await;
                fleet.advance(Duration::from_secs(60));
                self.sweep(async || fleet.engine.promote().await).await;
                assert_eq!(self.stands(&task).await, (State::Pending, 2));
            }
            "expire" => {
                let task = fleet.submit("deploy").await;
                fleet.advance(DAY);
                self.sweep(async || fleet.engine.expire().await).await;
                // Its time to finish had passed before, which its end says too.
                assert_eq!(self.stands(&task).await, (State::Cancelled, 4));
            }
            "deadlines" => {
                let task = fleet.submit("faq").await;
                fleet.advance(DAY);
                self.sweep(async || fleet.engine.deadlines().await).await;
                assert_eq!(self.stands(&task).await, (State::Pending, 3));
            }
            _ => {
                let task = fleet.submit("faq").await;
                fleet.cancel(task.id).await.unwrap();
                fleet.advance(8 * DAY);
                self.sweep(async || fleet.engine.prune().await).await;
                assert!(matches!(fleet.engine.task(task.id).await, Err(Error::UnknownTask(_))));
            }
        }
    }

    async fn tell_of_work(&self) {
        let (fleet, alice) = (&self.fleet, &self.fleet.people.alice);
        let task = fleet.submit("faq").await;
        fleet.route().await;
        match self.script.name {
            "claim" => {
                // What was leased to the call whose answer was lost comes back, and is not counted.
                let claim = async || fleet.engine.claim(alice, fleet.ask_for("faq_agent", 1)).await;
                let held = self.call(claim).await.unwrap();
                let again = match held.into_iter().next() {
                    Some(held) => held,
                    None => fleet.claim_when_back().await,
                };
                let seen = (again.task.id, again.task.attempt, again.task.lost_count);
                assert_eq!(seen, (task.id, 2, 0));
                return;
            }
            "give_back" => {
                let held = fleet.claim_one().await;
                let seal = held.lease.seal(&fleet.people.agent.to_string());
                let (at, agent) = (task.id.partition(), &task.agent);
                let give_back =
                    async || Ok(fleet.store.give_back(at, agent, &[seal.as_str()], &[]).await?);
                return self.leads_to(&task, (State::Assigned, 4), give_back).await;
            }
            "take" => {
                let take = async || {
                    fleet.engine.change_status(alice, task.id, StatusChange::InProgress).await
                };
                return self.leads_to(&task, (State::InProgress, 3), take).await;
            }
            _ => {}
        }
        let held = fleet.claim_one().await;
        match self.script.name {
            "ask" => {
                let ask = async || fleet.ask(&held, OnRejection::Cancel).await;
                self.leads_to(&task, (State::Blocked, 4), ask).await;
                let asked = fleet.engine.approvals(&[], 10, None, false).await.unwrap();
                assert_eq!(asked.items.len(), 1);
            }
            "extend" => {
                let until = self.call(async || fleet.extend(&held, None).await).await.unwrap();
                assert!(
                    until >= held.lease_until && self.stands(&task).await == (State::InProgress, 3)
                );
            }
            "reap" => {
                fleet.advance(Duration::from_secs(31));
                self.sweep(async || fleet.engine.reap().await).await;
                assert_eq!(
                    (self.stands(&task).await, fleet.task(task.id).await.lost_count),
                    ((State::Assigned, 4), 1)
                );
            }
            _ => self.tell_of_outcomes().await,
        }
    }

    async fn tell_of_a_decision(&self) {
        let fleet = &self.fleet;
        let task = fleet.submit("deploy").await;
        let approval = task.approval.unwrap();
        let status = if self.script.name == "approve" {
            self.leads_to(&task, (State::Pending, 2), async || fleet.approve(approval).await).await;
            ApprovalStatus::Approved
        } else {
            self.leads_to(&task, (State::Cancelled, 2), async || fleet.reject(approval).await)
                .await;
            ApprovalStatus::Rejected
        };
        assert_eq!(fleet.approval_of(task.id).await.status, status);
    }

    async fn tell_of_outcomes(&self) {
        for (outcome, end) in [
            (Outcome::Completed { result: None }, State::Completed),
            (failed(true, None), State::Scheduled),
            (Outcome::Released, State::Assigned),
        ] {
            let task = self.fleet.submit("faq").await;
            self.fleet.route().await;
            let held = self.fleet.claim_one().await;
            let report = async || self.fleet.report(&held, outcome.clone()).await;
            assert_eq!(
                (self.call(report).await.unwrap(), self.stands(&task).await),
                (end, (end, 4))
            );
            let retries = self.fleet.task(task.id).await.retry_count;
            assert_eq!(retries, u32::from(end == State::Scheduled));
        }
    }

    async fn tell_of_readiness(&self) {
        let proxy = self.fleet.proxy.as_ref().unwrap();
        proxy.arm(Some(&self.script.digest), self.fate);
        // A write that worked speaks for a second.
        eventually("a write is tried, and works", async || {
            let state = (self.fleet.engine.is_ready().await, proxy.has_lost_it());
            if state == (true, true) { Ok(()) } else { Err(state) }
        })
        .await;
    }
}

/// Every script by its name, each over a Redis of its own.
async fn every_script(fate: Fate) {
    let stories = script::ALL.iter().map(async |script| {
        let story = Story::begin(script, fate).await;
        within(script.name, story.tell()).await;
        story.fleet.finish().await;
    });
    assert_eq!(join_all(stories).await.len(), script::ALL.len());
}

#[tokio::test]
async fn whichever_answer_is_cut_off_the_call_has_its_effect_once() {
    every_script(Fate::AnswerCut).await;
}

#[tokio::test]
async fn whichever_answer_comes_too_late_calling_again_has_its_effect_once() {
    every_script(LATE).await;
}
