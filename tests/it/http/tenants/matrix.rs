//! Every operation of the document, called by keys of tenants of every role.

use orchestrator::domain::ids::{ApprovalId, BulkId, Partition, TaskId};
use orchestrator::domain::principal::{Role, Scope};
use serde_json::json;

use super::super::operations::Operation;
use super::{ROLES, Tenants};
use crate::harness::{Answer, new_body};

/// Whether the role has the scope that the operation needs.
fn has_scope(role: &str, operation: &Operation) -> bool {
    let scope: Scope = operation.scope.as_deref().unwrap().parse().unwrap();
    role.parse::<Role>().unwrap().allows(scope)
}

#[tokio::test]
async fn tenant_may_call_what_its_scopes_allow_and_concerns_it() {
    let tenants = Tenants::open().await;

    for operation in Operation::guarded() {
        for role in ROLES {
            let secret = tenants.secret(&format!("acme-{role}"));
            let answer = operation.call_with(&tenants.site, Some(secret)).await;
            if !has_scope(role, &operation) {
                answer.refused(403, "missing-scope");
            } else if operation.is_whole {
                let problem = answer.refused(403, "tenant-bound");
                assert!(problem["detail"].as_str().unwrap().contains("acme"), "{problem}");
            } else {
                let is_accepted = ![401, 403].contains(&answer.status) && answer.status < 500;
                assert!(is_accepted, "{} {role}: {answer:?}", operation.id);
            }
        }
    }
    tenants.finish().await;
}

/// What an answer is, whatever its id and that of the request.
fn without(answer: &Answer, id: &str) -> (u16, String) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("instance");
    }
    (answer.status, body.to_string().replace(id, "ID"))
}

#[tokio::test]
async fn what_others_have_answers_like_what_does_not_exist() {
    let tenants = Tenants::open().await;
    let mut foreign = Vec::new();
    for name in ["beta-agent", "crew"] {
        let task = tenants.submit(name, &new_body("faq")).await;
        let ended = tenants.submit(name, &new_body("faq")).await;
        tenants
            .site
            .post("root", &format!("/tasks/{ended}/cancel"), &json!({}))
            .await
            .accepted(200);
        let blocked = tenants.submit(name, &new_body("deploy")).await;
        let shown = tenants.site.get("root", &format!("/tasks/{blocked}")).await.accepted(200);
        let approval = shown["approval_id"].as_str().unwrap().to_owned();
        let order = json!({"action": "cancel", "filter": {"type": "faq"}, "dry_run": true});
        let bulk = match name {
            "crew" => tenants.site.post(name, "/tasks/bulk", &order).await,
            name => tenants.post(name, "/tasks/bulk", &order).await,
        };
        let bulk = bulk.accepted(202)["bulk_id"].as_str().unwrap().to_owned();
        foreign.extend([("/tasks/", task), ("/tasks/", ended), ("/tasks/", blocked)]);
        foreign.extend([("/approvals/", approval), ("/bulk/", bulk)]);
    }
    let mut calls = 0;

    let refused = async {
        for operation in Operation::guarded() {
            let start =
                |one: &&(&str, String)| operation.template.starts_with(&format!("{}{{id}}", one.0));
            for (kind, id) in foreign.iter().filter(start) {
                let unknown = match *kind {
                    "/approvals/" => ApprovalId::new(Partition(0)).to_string(),
                    "/bulk/" => BulkId::new(Partition(0)).to_string(),
                    _ => TaskId::new(Partition(0)).to_string(),
                };
                for role in ROLES.into_iter().filter(|role| has_scope(role, &operation)) {
                    let secret = tenants.secret(&format!("acme-{role}"));
                    let of_other = operation.call_about(&tenants.site, secret, id).await;
                    let of_none = operation.call_about(&tenants.site, secret, &unknown).await;
                    assert_eq!(of_none.status, 404, "{}: {of_none:?}", operation.id);
                    assert_eq!(
                        without(&of_other, id),
                        without(&of_none, &unknown),
                        "{}",
                        operation.id
                    );
                    calls += 1;
                }
            }
        }
    };
    tenants.site.unchanged(refused).await;
    assert!(calls >= 150, "{calls}");
    tenants.finish().await;
}
