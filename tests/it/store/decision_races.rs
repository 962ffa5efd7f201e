//! Calls that race in any order: no agent gets a task that no approver approved, and no approval is
//! decided twice.
//!
//! Submissions, changes, decisions, expiries, cancellations and claims meet at random. The seed is printed;
//! ORCHESTRATOR_SEED runs a round again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use orchestrator::domain::approval::{
    ApprovalStatus, Asked, Decision, OnExpiry, OnRejection, Verdict,
};
use orchestrator::domain::ids::{ApprovalId, TaskId};
use orchestrator::domain::principal::{Principal, Role, Subject};
use orchestrator::domain::report::Outcome;
use orchestrator::domain::task::{Claimed, Task};

use crate::harness::{Fleet, failed, json, report_of};

const ROUNDS: usize = 120;
const AT_ONCE: usize = 6;
const MOST_OPEN: usize = 6;

/// One action of a caller, drawn before its round begins.
#[derive(Clone, Debug)]
enum Act {
    Submit,
    Decide { who: usize, says: u8, looks: bool },
    Cancel,
    Requeue,
    Claim { then: u8 },
    Expire,
}

struct Scene {
    fleet: Fleet,
    deciders: Vec<Principal>,
}

impl Scene {
    async fn open() -> Self {
        let build = Fleet::build().settings(|settings| {
            let terms = &mut settings.approvals.rules[1].terms;
            (terms.quorum, terms.on_expiry) = (Some(2), Some(OnExpiry::Reject));
            settings.agents.max_lost = 100;
        });
        let user =
            |name: &str| Principal::new(Subject::User(name.to_owned()), Role::Approver).unwrap();
        Self { fleet: build.start().await, deciders: ["bob", "carol", "dora"].map(user).to_vec() }
    }

    /// Does it to the task or the approval of this number, if there is one. Refusals are answers like any other.
    async fn play(&self, act: &Act, tasks: &[Task]) -> Option<Claimed> {
        let (engine, alice) = (&self.fleet.engine, &self.fleet.people.alice);
        let task = tasks.first();
        match act {
            Act::Submit if tasks.len() < MOST_OPEN => {
                self.fleet
                    .submit_with("deploy", |new| new.spec.payload = json(r#"{"n": 0}"#))
                    .await;
            }
            Act::Decide { who, says, looks } => {
                let approval = task?.approval?;
                let digest = if *looks {
                    Some(engine.approval(approval).await.ok()?.0.digest)
                } else {
                    None
                };
                let verdict = match says {
                    0..4 => Verdict::Approve { payload: None },
                    4..7 => Verdict::Approve {
                        payload: Some(json(&format!(r#"{{"n": {who}, "says": {says}}}"#))),
                    },
                    _ => Verdict::Reject,
                };
                let decision = Decision { verdict, comment: None, digest };
                let _ = engine.decide(&self.deciders[*who], approval, decision).await;
            }
            Act::Cancel => drop(engine.cancel(alice, task?.id, None).await),
            Act::Requeue => drop(engine.requeue(alice, task?.id).await),
            Act::Claim { then } => {
                engine.route().await.unwrap();
                let held = self.fleet.claim("ops_agent", 1).await.pop()?;
                check_cleared(&held.task);
                let report = async |outcome| {
                    let report = report_of(&held, outcome);
                    drop(engine.report(&self.fleet.people.agent, vec![report]).await);
                };
                match then {
                    0 => drop(self.fleet.ask(&held, OnRejection::Cancel).await),
                    1 => drop(self.fleet.ask(&held, OnRejection::Return).await),
                    2 => report(failed(false, None)).await,
                    3 => report(Outcome::Released).await,
                    _ => report(Outcome::Completed { result: None }).await,
                }
                return Some(held);
            }
            Act::Expire => drop(engine.expire().await.unwrap()),
            Act::Submit => {}
        }
        None
    }
}

/// An agent got it: an approver approved exactly this, or the agent asked to hear of a rejection.
fn check_cleared(task: &Task) {
    let approval = task.asked.as_ref().expect("a deployment has an approval");
    let (action, hears_a_no) = match &approval.asked {
        Asked::Gate => (None, false),
        Asked::Step { action, on_rejection, .. } => {
            (action.as_deref(), *on_rejection == OnRejection::Return)
        }
    };
    assert_eq!(approval.digest, task.content(action).digest(), "{task:#?}");
    let is_yes = approval.status == ApprovalStatus::Approved;
    assert!(is_yes || hears_a_no && approval.status != ApprovalStatus::Pending, "{task:#?}");
    let needed = approval.terms.quorum as usize;
    assert!(!is_yes || approval.votes.len() >= needed, "{needed} must say yes: {approval:#?}");
}

fn draw(random: &mut fastrand::Rng) -> Act {
    match random.u8(..20) {
        0..4 => Act::Submit,
        4..12 => Act::Decide { who: random.usize(..3), says: random.u8(..8), looks: random.bool() },
        12 => Act::Cancel,
        13 => Act::Requeue,
        14..18 => Act::Claim { then: random.u8(..6) },
        _ => Act::Expire,
    }
}

/// Decisions by approval, of which there must be one at the most.
async fn check_log(fleet: &Fleet) {
    let mut decided: BTreeMap<String, String> = BTreeMap::new();
    for event in fleet.events().await {
        let kind = event.event_type().to_owned();
        if !["approval.approved", "approval.rejected", "approval.expired"].contains(&kind.as_str())
        {
            continue;
        }
        let id = event.body["payload"]["approval_id"].as_str().unwrap().to_owned();
        let before = decided.insert(id.clone(), kind.clone());
        assert!(before.is_none(), "{id} was decided twice: {before:?}, {kind}");
        let approval: ApprovalId = id.parse().unwrap();
        let stands = fleet.engine.approval(approval).await.unwrap().0.status;
        assert_eq!(format!("approval.{}", stands.as_str()), kind, "{id}");
    }
    assert!(decided.len() > 10, "hardly anything was decided: {decided:?}");
}

async fn race(seed: u64) {
    println!("racing with ORCHESTRATOR_SEED={seed}");
    let (scene, mut random) = (Scene::open().await, fastrand::Rng::with_seed(seed));
    let mut claims: BTreeMap<(TaskId, u32), usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        if random.u8(..10) == 0 {
            scene.fleet.advance(Duration::from_secs(random.u64(1..90_000)));
            scene.fleet.engine.reap().await.unwrap();
        }
        let page = scene.fleet.engine.tasks(&Default::default(), 50, None).await.unwrap();
        let open: Vec<Task> = page
            .items
            .into_iter()
            .filter(|task| !task.state.is_terminal() || random.bool())
            .collect();
        // Few subjects, so that many meet.
        let subject = |random: &mut fastrand::Rng| {
            let nth = random.usize(..open.len().max(1)).min(2);
            open.iter().skip(nth).cloned().collect::<Vec<_>>()
        };
        let acts: Vec<_> =
            (0..AT_ONCE).map(|_| (draw(&mut random), subject(&mut random))).collect();
        for held in join_all(acts.iter().map(|(act, tasks)| scene.play(act, tasks)))
            .await
            .into_iter()
            .flatten()
        {
            *claims.entry((held.task.id, held.task.attempt)).or_default() += 1;
        }
    }
    assert!(
        claims.values().all(|count| *count == 1),
        "an attempt was handed out twice: {claims:?}"
    );
    check_log(&scene.fleet).await;
    scene.fleet.finish().await;
}

fn seed(default: u64) -> u64 {
    std::env::var("ORCHESTRATOR_SEED").map_or(default, |seed| seed.parse().unwrap())
}

#[tokio::test]
async fn nothing_unapproved_reaches_an_agent_in_a_known_race() {
    race(seed(11)).await;
}

#[tokio::test]
async fn nothing_unapproved_reaches_an_agent_in_a_new_race() {
    race(seed(fastrand::u64(..))).await;
}
