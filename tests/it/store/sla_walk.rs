//! A random walk over tasks with deadlines: under any calls in any order, each threshold that
//! passes while its clock runs is announced, once, and no other. The seed is printed;
//! ORCHESTRATOR_SEED walks a walk again.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::sla::Sla;
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::{Claimed, Task};
use orchestrator::domain::time::Millis;

use super::walk::{has_come, seed};
use crate::harness::{Fleet, finish_within};

const STEPS: usize = 500;

struct Walk {
    fleet: Fleet,
    random: fastrand::Rng,
    tasks: Vec<TaskId>,
    held: BTreeMap<TaskId, Claimed>,
}

impl Walk {
    async fn step(&mut self) {
        // Short, so that many thresholds pass between two steps and many do not.
        self.fleet.advance(Duration::from_millis(self.random.u64(0..6_000)));
        let id =
            (!self.tasks.is_empty()).then(|| self.tasks[self.random.usize(..self.tasks.len())]);
        match (self.random.u8(..14), id) {
            (0..=3, _) | (_, None) => self.submit().await,
            (4, _) => drop(self.fleet.engine.deadlines().await.unwrap()),
            (5, _) => drop(self.fleet.engine.promote().await.unwrap()),
            (6, _) => self.fleet.route().await,
            (7, _) => {
                for held in self
                    .fleet
                    .claim("faq_agent", 1)
                    .await
                    .into_iter()
                    .chain(self.fleet.claim("ops_agent", 1).await)
                {
                    self.held.insert(held.task.id, held);
                }
            }
            (8, Some(id)) => drop(self.fleet.cancel(id).await),
            (9, Some(id)) => self.requeue(id).await,
            (10, Some(id)) => self.decide(id).await,
            (_, Some(_)) => self.report().await,
        }
    }

    async fn submit(&mut self) {
        let (kind, delay) =
            (["faq", "deploy"][self.random.usize(..2)], [0, 0, 9_000][self.random.usize(..3)]);
        let mut within = || self.random.u8(..4).ne(&0).then(|| self.random.u64(1_000..40_000));
        let sla = Sla {
            within_ms: within(),
            start_within_ms: within(),
            alert_threshold: self.random.u8(1..=100),
            ..finish_within(0)
        };
        let task = self.fleet.submit_with(kind, |new| {
            new.sla = Some(sla);
            new.start = if delay == 0 { Start::Now } else { Start::After(delay) };
        });
        self.tasks.push(task.await.id);
    }

    async fn decide(&mut self, id: TaskId) {
        if let Some(approval) = self.fleet.task(id).await.approval {
            let is_yes = self.random.u8(..4) > 0;
            drop(if is_yes {
                self.fleet.approve(approval).await
            } else {
                self.fleet.reject(approval).await
            });
        }
    }

    async fn report(&mut self) {
        let Some((_, held)) = self.held.pop_first() else { return };
        drop(match self.random.u8(..4) {
            0 => self.fleet.release(&held).await,
            1 => self.fleet.fail(&held).await,
            2 => self.fleet.give_up(&held).await,
            _ => self.fleet.complete(&held).await,
        });
    }

    /// A life ends here and another begins: what is to be said of the first can be said.
    async fn requeue(&mut self, id: TaskId) {
        let task = self.fleet.task(id).await;
        if matches!(task.state, State::Failed | State::Cancelled) {
            check(&task, (task.since, task.since));
            self.fleet.requeue(id).await.unwrap();
        }
    }
}

/// Whether of each threshold was announced in the task's last life what had passed by the sweep that began and ended at
/// these times.
fn check(task: &Task, swept: (Millis, Millis)) {
    let life: Vec<_> =
        task.timeline.iter().rev().take_while(|one| one.verb != Verb::Requeue).collect();
    let said = |clock: &str, verb: Verb| {
        let is_it = |reason: &String| reason.contains(&format!("to {clock} "));
        life.iter().filter(|one| one.verb == verb && one.reason.as_ref().is_some_and(is_it)).count()
    };
    let end = if task.state.is_terminal() { (task.since, task.since) } else { swept };
    let started = life.iter().rev().find(|one| one.verb == Verb::Claim).map(|one| (one.at, one.at));
    let sla = task.sla.as_ref().unwrap();
    for (clock, deadline, end) in
        [("start", sla.start_deadline, started.unwrap_or(end)), ("finish", sla.deadline, end)]
    {
        let Some(deadline) = deadline else { continue };
        let span = deadline - task.clocks_since;
        let warns_at = task.clocks_since
            + (span as f64 / 100.0 * f64::from(sla.alert_threshold)).floor() as Millis;
        for (verb, at) in [(Verb::Warn, warns_at), (Verb::Violate, deadline)] {
            // What passes while it is swept may be announced or not.
            let Some(has_passed) = has_come(at, end) else { continue };
            let expected = usize::from(has_passed);
            assert_eq!(
                said(clock, verb),
                expected,
                "{verb} of {clock}, due at {at}, clock until {end:?}: {task:#?}"
            );
        }
    }
}

async fn walk(seed: u64, stands: bool) {
    println!("walking with ORCHESTRATOR_SEED={seed}");
    let fleet = Fleet::build().settings(|settings| {
        settings.sla.exclude_approval_time = stands;
        settings.tasks.backoff.base_ms = 1;
    });
    let random = fastrand::Rng::with_seed(seed);
    let mut walk =
        Walk { fleet: fleet.start().await, random, tasks: Vec::new(), held: BTreeMap::new() };
    for _ in 0..STEPS {
        walk.step().await;
    }
    let began = walk.fleet.engine.check().await.unwrap();
    while walk.fleet.engine.deadlines().await.unwrap().moved > 0 {}
    let swept = (began, walk.fleet.engine.check().await.unwrap());
    let mut announced = 0;
    for id in &walk.tasks {
        let task = walk.fleet.task(*id).await;
        announced += task
            .timeline
            .iter()
            .filter(|one| matches!(one.verb, Verb::Warn | Verb::Violate))
            .count();
        let is_standing = stands && task.state == State::Blocked;
        check(&task, if is_standing { (task.since, task.since) } else { swept });
    }
    assert!(announced > STEPS / 4, "only {announced} announcements: the walk shows nothing");
    walk.fleet.finish().await;
}

#[tokio::test]
async fn each_threshold_is_announced_if_it_passed_and_once_on_a_known_walk() {
    walk(seed(11), false).await;
}

#[tokio::test]
async fn each_threshold_is_announced_if_it_passed_and_once_on_a_new_walk() {
    walk(seed(fastrand::u64(..)), false).await;
}

#[tokio::test]
async fn passed_thresholds_are_announced_once_with_approval_time_excluded() {
    walk(seed(fastrand::u64(..)), true).await;
}
