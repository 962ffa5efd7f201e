//! Every subject that is answered, called by callers of every kind: the same table as over HTTP.

use std::collections::BTreeSet;

use orchestrator::app::bridge::task_verbs;
use orchestrator::domain::ids::{Partition, TaskId};
use orchestrator::domain::principal::{Role, Scope};
use orchestrator::domain::restrictions::Restrictions;
use orchestrator::engine::NewKey;
use serde_json::json;

use crate::harness::{Fleet, Message, Nats, key_of, name};
use crate::http::operations::Operation;

use super::{Caller, refused};

/// A caller: its key, its role, and what that may do less.
struct Kind {
    secret: String,
    role: Role,
    only: Restrictions,
}

impl Kind {
    /// A caller with a managed key that has these restrictions.
    async fn make(fleet: &Fleet, nth: usize, role: Role, only: Restrictions) -> Self {
        let name = name(&format!("key-{nth}"));
        let new = NewKey { name, identity: None, role, restrictions: only.clone() };
        let configured = BTreeSet::new();
        let made = fleet.engine.create_key(&fleet.people.dave, new, &configured);
        let (_, secret) = made.await.unwrap();
        Self { secret: secret.expose().to_owned(), role, only }
    }

    fn has(&self, scope: Scope) -> bool {
        self.role.allows(scope)
            && (self.only.scopes.is_empty() || self.only.scopes.contains(&scope))
    }
}

/// Every kind of caller: keys of each role, one of an agent, one with fewer scopes, keys of a tenant.
async fn kinds(fleet: &Fleet) -> Vec<Kind> {
    let roles = [
        ("reader", Role::User),
        ("crew", Role::Agent),
        ("judge", Role::Approver),
        ("root", Role::Admin),
    ];
    let plain = |(name, role): (&str, Role)| Kind {
        secret: key_of(name),
        role,
        only: Restrictions::default(),
    };
    let mut kinds: Vec<_> = roles.into_iter().map(plain).collect();
    let agents = vec![name("dev_agent")];
    let bound = Restrictions { agents, ..Restrictions::default() };
    let scopes = vec![Scope::TasksRead, Scope::Agent];
    let fewer = Restrictions { scopes, ..Restrictions::default() };
    let acme = || Restrictions { tenant: Some(name("acme")), ..Restrictions::default() };
    let more = [(Role::Agent, bound), (Role::Admin, fewer)];
    let of_tenant = roles.map(|(_, role)| (role, acme()));
    for (nth, (role, only)) in more.into_iter().chain(of_tenant).enumerate() {
        kinds.push(Kind::make(fleet, nth, role, only).await);
    }
    kinds
}

/// Every subject, with its operation.
fn subjects() -> Vec<(String, Operation)> {
    let operations = Operation::guarded();
    let by = |is_it: &dyn Fn(&Operation) -> bool| {
        operations.iter().find(|operation| is_it(operation)).unwrap().clone()
    };
    let fixed = [
        ("agents.faq_agent.claim", "claim_tasks"),
        ("agents.faq_agent.results", "report_outcomes"),
        ("ingest.tasks", "submit_task"),
        ("ingest.events", "publish_event"),
    ];
    let fixed = fixed.map(|(subject, id)| (subject.to_owned(), by(&|one| one.id == id)));
    let tasks = task_verbs().into_iter().map(|verb| {
        let rest = if verb.name == "get" { String::new() } else { format!("/{}", verb.name) };
        let template = format!("/tasks/{{id}}{rest}");
        let is_it =
            |one: &Operation| one.template == template && one.method == verb.method.as_str();
        (format!("tasks.{}", verb.name), by(&is_it))
    });
    let all = fixed.into_iter().chain(tasks);
    all.map(|(subject, operation)| (format!("orchestrator.{subject}"), operation)).collect()
}

/// What comes back for a call of the operation over NATS about the task with this id.
async fn ask(
    caller: &Caller,
    subject: &str,
    operation: &Operation,
    key: &str,
    id: &str,
) -> Message {
    let mut body = operation.body().unwrap_or_else(|| json!({}));
    if subject.contains(".tasks.") {
        body["task_id"] = json!(id);
    }
    let headers = [("X-API-Key", key)];
    let headers = if key.is_empty() { &[][..] } else { &headers[..] };
    caller.ask(subject, headers, &body.to_string()).await
}

#[tokio::test]
async fn every_subject_asks_every_caller_for_its_scope() {
    let fleet = Fleet::build().without_approvals().start().await;
    let (fleet, _nats, office, caller) = super::open(fleet, Nats::plain().await).await;
    let missing = TaskId::new(Partition(0)).to_string();
    let kinds = kinds(&fleet).await;
    let mut calls = 0;

    for (subject, operation) in subjects() {
        let answer = ask(&caller, &subject, &operation, "", &missing).await;
        refused(&answer, 401, "unauthenticated");
        let scope: Scope = operation.scope.as_deref().unwrap().parse().unwrap();
        for kind in &kinds {
            let answer = ask(&caller, &subject, &operation, &kind.secret, &missing).await;
            let is_foreign = !kind.only.agents.is_empty() && subject.contains("faq_agent");
            if !kind.has(scope) {
                refused(&answer, 403, "missing-scope");
            } else if is_foreign {
                refused(&answer, 403, "foreign-agent");
            } else {
                let status: u16 = answer.header("Orchestrator-Status").unwrap().parse().unwrap();
                assert!(![401, 403].contains(&status) && status < 500, "{subject}: {answer:?}");
            }
            calls += 1;
        }
    }
    assert!(calls >= 100, "{calls}");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn task_of_another_tenant_is_unknown_on_every_subject() {
    let fleet = Fleet::build().without_approvals().start().await;
    let (fleet, _nats, office, caller) = super::open(fleet, Nats::plain().await).await;
    let foreign = fleet.submit("faq").await.id.to_string();
    let acme = Restrictions { tenant: Some(name("acme")), ..Restrictions::default() };
    let admin = Kind::make(&fleet, 0, Role::Admin, acme).await;

    for (subject, operation) in subjects() {
        if subject.contains(".tasks.") {
            let answer = ask(&caller, &subject, &operation, &admin.secret, &foreign).await;
            refused(&answer, 404, "unknown-task");
        }
    }
    fleet.route().await;
    let claim = json!({"worker": "w1"}).to_string();
    let headers = [("X-API-Key", admin.secret.as_str())];
    let claimed = caller.ask(super::CLAIM, &headers, &claim).await.json();
    assert_eq!(claimed["tasks"], json!([]));
    office.close().await;
    fleet.finish().await;
}
