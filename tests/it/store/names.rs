//! However many names clients have chosen, no call of a script costs more for it.

use std::time::Duration;

use orchestrator::domain::approval::OnRejection;
use orchestrator::domain::audit::Credential;
use orchestrator::domain::bulk::BulkAction;
use orchestrator::domain::call_class::CallClass;
use orchestrator::domain::ids::Partition;
use orchestrator::domain::principal::Role;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::submission::{NewTask, Start};
use orchestrator::engine::{BackgroundCheck, BulkOrder, GroupBy, StatusChange, Target};
use orchestrator::store::script;

use crate::harness::{
    Costs, DAY, Fleet, Meter, bulk_of, idempotency, key, name, new_event, new_task,
};

/// Runs a bulk that retries, and one that raises.
async fn run_bulks(fleet: &Fleet) {
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    fleet.submit_with("faq", |new| new.spec.priority = Priority::P3).await;
    for action in [BulkAction::Retry, BulkAction::Raise] {
        let priority = (action == BulkAction::Raise).then_some(Priority::P2);
        let order = BulkOrder { priority, ..bulk_of(action) };
        let bulk = engine.start_bulk(alice, &order, None).await.unwrap().bulk;
        fleet.run_bulks().await.unwrap();
        engine.abort_bulk(alice, bulk.id).await.unwrap();
    }
}

/// Notes credentials, a refusal, a call and a key.
async fn note_callers(fleet: &Fleet) {
    let (engine, agent) = (&fleet.engine, &fleet.people.agent);
    let fingerprint = "0123456789abcdef".to_owned();
    let credential =
        Credential { subject: "key:ops".to_owned(), role: Some(Role::Admin), fingerprint };
    engine.note_credentials(&[credential]).await.unwrap();
    engine.note_refusal(agent, "GET /admin/routing", "missing-scope", 1).await;
    engine.rates().admit(&"key:crew".into(), CallClass::Read, 1, 0).await;
    engine.create_first_key(name("root"), None).await.unwrap();
}

/// Encrypts all texts, and puts them back, so that the fleet, which has no key, can read them.
async fn encrypt_and_back(fleet: &Fleet) {
    for current in ["a", ""] {
        fleet.engine_with_keys(current, &["a"]).await.repair().await.unwrap();
    }
}

/// Calls every script, several of them more than once.
async fn live(fleet: &Fleet) {
    let engine = &fleet.engine;
    let (alice, agent) = (&fleet.people.alice, &fleet.people.agent);
    let keyed = NewTask { idempotency: idempotency("k", "b"), ..new_task("faq") };
    let parent = fleet.try_submit(keyed).await.unwrap().task;
    for _ in 0..3 {
        fleet.submit_with("faq", |new| new.spec.parent = Some(parent.id)).await;
    }
    fleet.submit_with("faq", |new| new.start = Start::After(1_000)).await;
    let held = fleet.claim_one().await;
    fleet.extend(&held, None).await.unwrap();
    fleet.complete(&held).await.unwrap();
    fleet.fail(&fleet.claim_one().await).await.unwrap();
    fleet.release(&fleet.claim_one().await).await.unwrap();
    let lost = fleet.claim_one().await;
    let (seal, faq_agent) = (lost.lease.seal(&agent.to_string()), name("faq_agent"));
    let partition = lost.task.id.partition();
    assert_eq!(fleet.store.give_back(partition, &faq_agent, &[&*seal], &[]).await.unwrap(), 1);
    let asked = fleet.ask(&fleet.claim_one().await, OnRejection::Cancel).await.unwrap();
    fleet.reject(asked.id).await.unwrap();
    fleet.requeue(asked.task).await.unwrap();
    let taken = fleet.submit("bugfix").await.id;
    engine.change_status(alice, taken, StatusChange::InProgress).await.unwrap();
    let gated = fleet.submit("deploy").await;
    let target = Target::Rule("production change".to_owned());
    engine.retarget(&fleet.people.dave, gated.approval.unwrap(), target, None).await.unwrap();
    fleet.approve(gated.approval.unwrap()).await.unwrap();
    fleet.cancel(gated.id).await.unwrap();
    engine.cascade().await.unwrap();
    run_bulks(fleet).await;
    engine.approvals(&[], 10, None, false).await.unwrap();
    fleet.submit("deploy").await;
    engine.claim(agent, fleet.ask_for("newcomer", 1)).await.unwrap();
    engine.note_sessions(&name("faq_agent"), &["other".parse().unwrap()]).await.unwrap();
    engine.pause(alice, &name("faq_agent")).await.unwrap();
    engine.resume(alice, &name("faq_agent")).await.unwrap();
    engine.publish(alice, new_event("pr.merged")).await.unwrap();
    note_callers(fleet).await;
    engine.unpublished(Partition(0), "one").await.unwrap();
    let stats = engine.stats().await.unwrap();
    assert!(stats.by_agent.len() > 200, "{} agents", stats.by_agent.len());
    engine.agent(&name("faq_agent")).await.unwrap();
    engine
        .sla_report(None, None, None, GroupBy { agent: true, ..GroupBy::default() })
        .await
        .unwrap();
    fleet.redis.ask::<i64>(&["HINCRBY", &key("open"), "P2", "7"]).await;
    engine.repair().await.unwrap();
    encrypt_and_back(fleet).await;
    let mut background = BackgroundCheck::default();
    engine.check_on("one", &mut background).await.unwrap();
    fleet.advance(8 * DAY);
    for _ in 0..3 {
        engine.promote().await.unwrap();
        engine.deadlines().await.unwrap();
        engine.expire().await.unwrap();
        engine.reap().await.unwrap();
        engine.prune().await.unwrap();
    }
}

async fn costs_among(names: usize) -> (Fleet, Costs) {
    let fleet = Fleet::build().settings(|settings| {
        settings.agents.allow_unrouted = true;
        settings.agents.max_agents = 100_000;
    });
    let fleet = fleet.start().await;
    let now = fleet.store.now().await.unwrap();
    fleet.redis.invent(names, now).await;
    // Called by its text first, it would not be told apart.
    for script in script::ALL {
        fleet.redis.ask::<String>(&["SCRIPT", "LOAD", &script.text]).await;
    }
    let meter = Meter::start(&fleet.redis).await;
    live(&fleet).await;
    let costs = meter.read(&fleet.redis).await;
    (fleet, costs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_of_a_script_costs_more_among_twenty_thousand_names() {
    let (few, cheap) = costs_among(300).await;
    let (many, dear) = costs_among(20_000).await;

    // The probe of a start touches no name that a client chooses, and was called before.
    let scripts = script::ALL.iter().map(|one| one.name).filter(|one| *one != "probe");
    let unmet: Vec<_> = scripts.filter(|one| !dear.contains_key(one)).collect();
    assert!(unmet.is_empty(), "no request calls {unmet:?}");
    for (script, cost) in &dear {
        // About a hundred agents come at a time, more or fewer by chance.
        let most = cheap[script] * 3 / 2 + 50;
        assert!(*cost <= most, "{script} ran {cost} commands, among few names {}", cheap[script]);
    }
    for fleet in [few, many] {
        fleet.finish().await;
    }
}

#[tokio::test]
async fn names_that_own_nothing_go_away() {
    let fleet = Fleet::start().await;
    let now = fleet.store.now().await.unwrap();
    fleet.redis.invent(500, now).await;
    fleet.submit("bugfix").await;
    fleet.route().await;
    fleet.engine.pause(&fleet.people.alice, &name("ops_agent")).await.unwrap();
    fleet.advance(Duration::from_secs(61));

    // Sixteen agents at a time.
    for _ in 0..40 {
        fleet.engine.reap().await.unwrap();
    }

    let mut roster: Vec<String> = fleet.redis.ask(&["ZRANGE", &key("roster"), "0", "-1"]).await;
    roster.sort();
    assert_eq!(roster, ["dev_agent", "ops_agent"]);
    let sessions: Vec<String> = fleet.redis.ask(&["KEYS", "*:sessions:invented*"]).await;
    assert!(sessions.is_empty(), "{} sessions", sessions.len());
    fleet.finish().await;
}
