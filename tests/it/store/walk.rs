//! A random walk that keeps a pure model and Redis in step.
//!
//! The model knows the table and the counters, and nothing of sets and hashes. Only times come from Redis, whose clock
//! counts. The seed is printed; ORCHESTRATOR_SEED walks a walk again.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::domain::approval::{Decision, Verdict};
use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lease::Lease;
use orchestrator::domain::lifecycle::{RULES, State, Verb};
use orchestrator::domain::principal::Principal;
use orchestrator::domain::report::{Outcome, Report};
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::Task;
use orchestrator::domain::time::Millis;
use orchestrator::engine::StatusChange;

use crate::harness::{Fleet, failed, json, question};

const STEPS: usize = 800;
const MOST_TASKS: usize = 8;
const MAX_LOST: u32 = 3;
const KEPT_MS: Millis = 7 * 24 * 3_600_000;

/// What the model knows of one task.
#[derive(Clone, Debug)]
struct Ghost {
    state: State,
    attempt: u32,
    retries: u32,
    max_retries: u32,
    lost: u32,
    is_gated: bool,
    /// The newest approval is one that the agent asked for.
    has_asked: bool,
    /// Of the role of the human who ended it; none: no human did.
    ended: Option<u8>,
    agent: &'static str,
    /// Of the newest claim; none: a caller took the task itself, or no agent has yet.
    lease: Option<Lease>,
    /// Learnt from Redis after every step.
    seen: Task,
}

impl Ghost {
    fn fits(&self, task: &Task) -> bool {
        (self.state, self.attempt, self.retries, self.lost)
            == (task.state, task.attempt, task.retry_count, task.lost_count)
    }

    /// What a failed attempt leads to.
    fn fail(&mut self, is_retryable: bool) {
        if is_retryable && self.retries < self.max_retries {
            (self.state, self.retries) = (State::Scheduled, self.retries + 1);
        } else {
            self.state = State::Failed;
        }
    }

    /// Believes what Redis says, where the model cannot know.
    fn adopt(&mut self, task: &Task) {
        (self.state, self.attempt) = (task.state, task.attempt);
        (self.retries, self.lost) = (task.retry_count, task.lost_count);
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.state = if self.lost >= MAX_LOST { State::Failed } else { State::Assigned };
    }

    /// When the attempt has taken too long.
    fn until(&self) -> Option<Millis> {
        Some(self.seen.started_at()? + self.seen.spec.timeout_ms?)
    }
}

/// Whether `at` had come, given when a sweep began and ended; none: it came meanwhile, so either may be.
pub fn has_come(at: Millis, (began, ended): (Millis, Millis)) -> Option<bool> {
    if at <= began {
        Some(true)
    } else if at > ended {
        Some(false)
    } else {
        None
    }
}

struct Walk {
    fleet: Fleet,
    random: fastrand::Rng,
    ghosts: BTreeMap<TaskId, Ghost>,
}

impl Walk {
    async fn step(&mut self) -> String {
        let verb = RULES[self.random.usize(..RULES.len())].verb;
        let jump = [0, 0, 0, 0, 0, 1, 31, 70, 3_600, 90_000, 700_000][self.random.usize(..11)];
        self.fleet.advance(Duration::from_secs(jump));
        let ids: Vec<_> = self.ghosts.keys().copied().collect();
        let id = (!ids.is_empty()).then(|| ids[self.random.usize(..ids.len())]);
        match (verb, id) {
            (Verb::Submit, _) | (_, None) => self.submit().await,
            (Verb::Promote | Verb::Route | Verb::Expire | Verb::Reap | Verb::Prune, Some(_)) => {
                self.sweep(verb).await
            }
            // Without rules for them, deadlines move nothing.
            (
                Verb::Warn | Verb::Violate | Verb::Notify | Verb::Reprioritize | Verb::Abort,
                Some(_),
            ) => drop(self.fleet.engine.deadlines().await.unwrap()),
            (Verb::Claim, Some(_)) => self.claim().await,
            (Verb::Repair, Some(_)) => assert_eq!(self.fleet.engine.repair().await.unwrap(), []),
            // Not under the default policy, and not of our own doing.
            (Verb::Vote | Verb::Escalate | Verb::Retarget | Verb::Park, Some(_)) => {}
            (verb, Some(id)) => self.one(verb, id).await,
        }
        format!("{verb} of {id:?} after {jump} s")
    }

    async fn submit(&mut self) {
        if self.ghosts.len() >= MOST_TASKS {
            return;
        }
        let (kind, agent) =
            if self.random.bool() { ("faq", "faq_agent") } else { ("deploy", "ops_agent") };
        let delay = [0, 40_000, 200_000][self.random.usize(..3)];
        let (max_retries, timeout) = (self.random.u32(0..3), self.random.bool().then_some(60_000));
        let seen = self.fleet.submit_with(kind, |new| {
            new.start = if delay == 0 { Start::Now } else { Start::After(delay) };
            (new.spec.max_retries, new.spec.timeout_ms) = (max_retries, timeout);
        });
        let seen = seen.await;
        let is_gated = kind == "deploy";
        let state = match (is_gated, delay) {
            (true, _) => State::Blocked,
            (false, 0) => State::Pending,
            (false, _) => State::Scheduled,
        };
        let (attempt, retries, lost, has_asked) = (0, 0, 0, false);
        let ghost = Ghost {
            state,
            attempt,
            retries,
            max_retries,
            lost,
            is_gated,
            has_asked,
            ended: None,
            agent,
            lease: None,
            seen,
        };
        self.ghosts.insert(ghost.seen.id, ghost);
    }

    async fn claim(&mut self) {
        let agent = ["faq_agent", "ops_agent"][self.random.usize(..2)];
        let max = self.random.u32(1..4);
        let claimed = self.fleet.claim(agent, max).await;
        let waiting = |ghost: &&Ghost| ghost.state == State::Assigned && ghost.agent == agent;
        let expected = self.ghosts.values().filter(waiting).count().min(max as usize);
        assert_eq!(claimed.len(), expected, "claimed of {agent}");
        for held in claimed {
            let ghost = self.ghosts.get_mut(&held.task.id).unwrap();
            assert_eq!((ghost.state, ghost.agent), (State::Assigned, agent));
            (ghost.state, ghost.attempt) = (State::InProgress, ghost.attempt + 1);
            ghost.lease = Some(held.lease);
        }
    }

    /// A verb of one task, which the model follows if the table lets it start.
    async fn one(&mut self, verb: Verb, id: TaskId) {
        let (is_stale, is_foreign) = (self.random.u8(..6) == 0, self.random.u8(..6) == 0);
        let ghost = self.ghosts.get_mut(&id).unwrap();
        let attempt = if is_stale { ghost.attempt.saturating_sub(1) } else { ghost.attempt };
        let lease = ghost.lease.clone().filter(|_| !is_foreign);
        let stranger = Lease::new([0; 16]);
        let proof = (attempt, lease.as_ref().unwrap_or(&stranger));
        // Of a task that a caller took, that caller reports.
        let is_takers = ghost.lease.is_none() && matches!(verb, Verb::Complete | Verb::Fail);
        let people = &self.fleet.people;
        let who = if self.random.bool() { &people.alice } else { &people.agent };
        let now = self.fleet.engine.check().await.unwrap();
        ask(&self.fleet, verb, (&ghost.seen, who), (!is_takers).then_some(proof)).await;
        let is_report =
            matches!(verb, Verb::Ask | Verb::Complete | Verb::Retry | Verb::Fail | Verb::Release);
        let is_proven = is_takers || lease.is_some() && attempt == ghost.attempt;
        if !verb.rule().from.contains(&ghost.state) || is_report && !is_proven {
            return;
        }
        if verb == Verb::Requeue && ghost.ended.is_some_and(|rank| who.role().rank() < rank) {
            return;
        }
        match verb {
            Verb::Ask => {
                (ghost.is_gated, ghost.has_asked, ghost.state) = (true, true, State::Blocked);
            }
            Verb::Approve | Verb::Edit if ghost.has_asked => ghost.state = State::Assigned,
            Verb::Approve | Verb::Edit => {
                let ended = self.fleet.engine.check().await.unwrap();
                let is_ahead = match has_come(ghost.seen.scheduled_for.unwrap_or(0), (now, ended)) {
                    Some(has_come) => !has_come,
                    None => self.fleet.state_of(id).await == State::Scheduled,
                };
                ghost.state = if is_ahead { State::Scheduled } else { State::Pending };
            }
            Verb::Take => {
                (ghost.state, ghost.attempt) = (State::InProgress, ghost.attempt + 1);
                ghost.lease = None;
            }
            Verb::Complete => ghost.state = State::Completed,
            Verb::Retry => ghost.fail(true),
            Verb::Fail => {
                ghost.fail(false);
                ghost.ended = is_takers.then_some(3);
            }
            Verb::Release => ghost.state = State::Assigned,
            Verb::Cancel => {
                ghost.state = State::Cancelled;
                ghost.ended = Some(who.role().rank()).filter(|rank| *rank > 1);
            }
            Verb::Reject => (ghost.state, ghost.ended) = (State::Cancelled, Some(2)),
            Verb::Requeue => {
                (ghost.retries, ghost.lost, ghost.ended) = (0, 0, None);
                ghost.has_asked = false;
                ghost.state = if ghost.is_gated { State::Blocked } else { State::Pending };
            }
            _ => {}
        }
    }

    /// A duty: moves every task that is due, and no other.
    async fn sweep(&mut self, verb: Verb) {
        let engine = &self.fleet.engine;
        let began = engine.check().await.unwrap();
        match verb {
            Verb::Promote => engine.promote().await.unwrap(),
            Verb::Route => engine.route().await.unwrap(),
            Verb::Expire => engine.expire().await.unwrap(),
            Verb::Reap => engine.reap().await.unwrap(),
            _ => engine.prune().await.unwrap(),
        };
        let span = (began, engine.check().await.unwrap());
        let (mut pruned, mut unsure) = (Vec::new(), Vec::new());
        for (id, ghost) in &mut self.ghosts {
            if !verb.rule().from.contains(&ghost.state) {
                continue;
            }
            let at = match verb {
                Verb::Promote => ghost.seen.scheduled_for.unwrap(),
                Verb::Expire => engine
                    .approval(ghost.seen.approval.unwrap())
                    .await
                    .unwrap()
                    .0
                    .expires_at
                    .unwrap(),
                Verb::Reap => ghost.seen.lease_until.unwrap(),
                Verb::Prune => ghost.seen.completed_at().unwrap() + KEPT_MS,
                _ => 0,
            };
            let until =
                ghost.until().filter(|_| verb == Verb::Reap).map(|until| has_come(until, span));
            match (has_come(at, span), until) {
                (Some(false), _) => continue,
                (None, _) | (_, Some(None)) => {
                    unsure.push(*id);
                    continue;
                }
                (Some(true), _) => {}
            }
            match verb {
                Verb::Route => ghost.state = State::Assigned,
                Verb::Promote => ghost.state = State::Pending,
                Verb::Expire => ghost.state = State::Cancelled,
                Verb::Prune => pruned.push(*id),
                _ if until == Some(Some(true)) => ghost.fail(true),
                _ => ghost.lose(),
            }
        }
        for id in unsure {
            match engine.task(id).await {
                Ok(task) => self.ghosts.get_mut(&id).unwrap().adopt(&task),
                Err(_) => drop(self.ghosts.remove(&id)),
            }
        }
        for id in pruned {
            assert!(engine.task(id).await.is_err(), "{id} was to be pruned");
            self.ghosts.remove(&id);
        }
    }

    /// Compares every ghost with its task.
    async fn compare(&mut self, story: &[String]) {
        for (id, ghost) in &mut self.ghosts {
            let task = self.fleet.task(*id).await;
            let last: Vec<_> = story.iter().rev().take(5).collect();
            assert!(
                ghost.fits(&task),
                "the model has {ghost:#?}, Redis has {task:#?}; before, newest first: {last:#?}"
            );
            ghost.seen = task;
        }
    }
}

/// Asks Redis for the verb; the model, not the answer, says what must come of it. Without a proof alice reports, who
/// takes tasks; `who` cancels and requeues.
async fn ask(
    fleet: &Fleet,
    verb: Verb,
    (task, who): (&Task, &Principal),
    proof: Option<(u32, &Lease)>,
) {
    let id = task.id;
    let outcome = match verb {
        Verb::Complete => Outcome::Completed { result: None },
        Verb::Retry => failed(true, None),
        Verb::Fail => failed(false, None),
        Verb::Release => Outcome::Released,
        Verb::Approve | Verb::Reject => {
            let Some(approval) = task.approval else { return };
            let answer = if verb == Verb::Approve {
                fleet.approve(approval).await
            } else {
                fleet.reject(approval).await
            };
            return drop(answer);
        }
        Verb::Ask => {
            return drop(
                fleet.engine.ask(&fleet.people.agent, id, proof.unwrap(), question()).await,
            );
        }
        Verb::Edit => {
            let Some(approval) = task.approval else { return };
            let (payload, digest) =
                (Some(json(r#"{"n":1}"#)), Some(fleet.approval_of(id).await.digest));
            let decision =
                Decision { verdict: Verdict::Approve { payload }, comment: None, digest };
            return drop(fleet.engine.decide(&fleet.people.bob, approval, decision).await);
        }
        Verb::Take => {
            return drop(
                fleet.engine.change_status(&fleet.people.alice, id, StatusChange::InProgress).await,
            );
        }
        Verb::Extend => {
            let crew = &fleet.people.agent;
            return drop(fleet.engine.extend(crew, id, proof.unwrap(), None, None).await);
        }
        Verb::Cancel => return drop(fleet.engine.cancel(who, id, None).await),
        Verb::Requeue => return drop(fleet.engine.requeue(who, id).await),
        other => unreachable!("{other} is a duty's"),
    };
    let Some((attempt, lease)) = proof else {
        let change = StatusChange::Ended(outcome);
        return drop(fleet.engine.change_status(&fleet.people.alice, id, change).await);
    };
    let report = Report { id, attempt, lease: lease.clone(), outcome };
    fleet.engine.report(&fleet.people.agent, vec![report]).await.unwrap();
}

async fn walk(seed: u64) {
    println!("walking with ORCHESTRATOR_SEED={seed}");
    let fleet = Fleet::build().settings(|settings| {
        let approvals = &mut settings.approvals;
        // Other tests are about who asks again and again.
        (approvals.max_asks, approvals.ask_backoff_ms) = (1_000, 0);
    });
    let fleet = fleet.start().await;
    let mut walk = Walk { fleet, random: fastrand::Rng::with_seed(seed), ghosts: BTreeMap::new() };
    let mut story = Vec::new();
    for _ in 0..STEPS {
        story.push(walk.step().await);
        walk.compare(&story).await;
    }
    walk.fleet.finish().await;
}

pub fn seed(default: u64) -> u64 {
    std::env::var("ORCHESTRATOR_SEED").map_or(default, |seed| seed.parse().unwrap())
}

#[tokio::test]
async fn the_model_and_redis_stay_in_step_on_a_known_walk() {
    walk(seed(7)).await;
}

#[tokio::test]
async fn the_model_and_redis_stay_in_step_on_a_new_walk() {
    walk(seed(fastrand::u64(..))).await;
}
