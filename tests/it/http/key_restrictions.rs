//! Keys that may do less than their role: which agents, types, sources, scopes and networks.

use reqwest::Method;
use serde_json::{Value, json};

use super::keys::Made;
use super::operations::Operation;
use crate::harness::{Site, approval_of, id_of, new_body, report_on};

/// A site without approvals, and the secret of a key of role `agent` with these members more.
async fn restricted(more: Value) -> (Site, String) {
    let site = Site::without_approvals().await;
    let mut body = json!({"name": "bound", "role": "agent"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let Made { secret, .. } = site.create_key(&body).await;
    (site, secret)
}

/// Asserts a refusal because of the agent, which names the agents of the key.
#[track_caller]
fn names_the_agents(answer: &crate::harness::Answer) {
    let problem = answer.refused(403, "foreign-agent");
    assert!(problem["detail"].as_str().unwrap().contains("its agents: dev_agent"), "{problem}");
}

#[tokio::test]
async fn key_bound_to_an_agent_claims_and_reports_only_there() {
    let (site, bound) = restricted(json!({"agents": ["dev_agent"]})).await;
    let (foreign, held) = site.hold().await;
    let untaken = id_of(&site.submit(&new_body("faq")).await);
    let report = report_on(&held, json!({}));
    let ask = report_on(&held, json!({"reason": "may I?"}));

    let refused = async {
        for (path, body) in [
            ("/agents/faq_agent/claim".to_owned(), json!({"worker": "w1"})),
            (format!("/tasks/{foreign}/heartbeat"), report.clone()),
            (format!("/tasks/{foreign}/complete"), report.clone()),
            (format!("/tasks/{foreign}/fail"), report.clone()),
            (format!("/tasks/{foreign}/release"), report.clone()),
            (format!("/tasks/{foreign}/approval"), ask),
        ] {
            names_the_agents(&site.post_with(&bound, &path, &body).await);
        }
        for id in [&foreign, &untaken] {
            let patch = site.with_key(&bound, Method::PATCH, &format!("/tasks/{id}/status"));
            names_the_agents(&patch.json(&json!({"status": "in_progress"})).send().await);
        }
        let outcome = report_on(&held, json!({"task_id": foreign, "outcome": "completed"}));
        let outcomes = json!({"outcomes": [outcome, outcome]});
        let answer = site.post_with(&bound, "/agents/dev_agent/results", &outcomes).await;
        for result in answer.accepted(200)["results"].as_array().unwrap() {
            let kind = result["problem"]["type"].as_str().unwrap();
            assert!(kind.ends_with(":foreign-agent"), "{result}");
        }
    };
    site.unchanged(refused).await;

    site.submit(&new_body("bugfix")).await;
    site.fleet.route().await;
    let claim = json!({"worker": "w1"});
    let claimed = site.post_with(&bound, "/agents/dev_agent/claim", &claim).await.accepted(200);
    let held = &claimed["tasks"][0];
    let path = format!("/tasks/{}/complete", id_of(&held["task"]));
    site.post_with(&bound, &path, &report_on(held, json!({}))).await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn admin_key_bound_to_an_agent_pauses_only_that_one() {
    let site = Site::open().await;
    let body = json!({"name": "bound", "role": "admin", "agents": ["dev_agent"]});
    let Made { secret, .. } = site.create_key(&body).await;

    for verb in ["pause", "resume"] {
        let path = format!("/agents/faq_agent/{verb}");
        names_the_agents(&site.post_with(&secret, &path, &json!({})).await);
        let path = format!("/agents/dev_agent/{verb}");
        site.post_with(&secret, &path, &json!({})).await.accepted(200);
    }
    site.finish().await;
}

#[tokio::test]
async fn restricted_key_submits_its_types_and_sources_only() {
    let more = json!({"task_types": ["faq"], "sources": ["github"]});
    let (site, bound) = restricted(more).await;
    let with = |kind: &str, source: &str| json!({"type": kind, "payload": {}, "source": source});

    let refused = async {
        for (body, pointer) in [
            (with("bugfix", "github"), "/type"),
            (with("faq", "user"), "/source"),
            (with("faq", "bound"), "/source"),
        ] {
            let answer = site.post_with(&bound, "/tasks", &body).await;
            assert_eq!(answer.pointers(), [pointer], "{body}");
        }
    };
    site.unchanged(refused).await;
    let task = site.post_with(&bound, "/tasks", &with("faq", "github")).await.accepted(201);
    assert_eq!(task["submitted_by"], "key:bound");
    site.finish().await;
}

#[tokio::test]
async fn key_with_fewer_scopes_may_not_go_around_them() {
    let (site, bound) = restricted(json!({"scopes": ["tasks:read", "agent"]})).await;
    let id = id_of(&site.submit(&new_body("faq")).await);

    let who = site.read_with(&bound, "/session").await.accepted(200);
    assert_eq!(who["scopes"], json!(["tasks:read", "agent"]));
    let refused = async {
        let cancelled = site.with_key(&bound, Method::PATCH, &format!("/tasks/{id}/status"));
        let cancelled = cancelled.json(&json!({"status": "cancelled"})).send().await;
        let problem = cancelled.refused(403, "missing-scope");
        assert!(problem["detail"].as_str().unwrap().contains("the key of this caller"));
        let path = format!("/tasks/{id}/cancel");
        site.post_with(&bound, &path, &json!({})).await.refused(403, "missing-scope");
        site.post_with(&bound, "/tasks", &new_body("faq")).await.refused(403, "missing-scope");
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn every_operation_asks_restricted_keys_for_its_scope() {
    let site = Site::open().await;
    let bound = json!({"name": "bound", "role": "agent", "agents": ["dev_agent"]});
    let fewer = json!({"name": "fewer", "role": "admin", "scopes": ["tasks:read", "admin"]});
    let none = json!({"name": "none", "role": "user", "scopes": ["events:read"]});
    let of_agents = ["tasks:read", "tasks:write", "events:read", "events:publish"];
    let of_agents = [&of_agents[..], &["approvals:read", "agent"]].concat();

    for (body, scopes) in
        [(bound, of_agents), (fewer, vec!["tasks:read", "admin"]), (none, vec!["events:read"])]
    {
        let Made { secret, .. } = site.create_key(&body).await;
        for operation in Operation::guarded() {
            let scope = operation.scope.clone().unwrap();
            if !scopes.contains(&&*scope) {
                // The audit log has the first refused call of an operator in a minute.
                operation.call_with(&site, Some(&secret)).await.refused(403, "missing-scope");
                let refused = operation.call_with(&site, Some(&secret));
                site.unchanged(refused).await.refused(403, "missing-scope");
                continue;
            }
            let answer = operation.call_with(&site, Some(&secret)).await;
            // The agent of the path is `faq_agent`.
            let is_foreign = ["claim_tasks", "report_outcomes"].contains(&&*operation.id);
            if body["agents"].is_array() && is_foreign {
                names_the_agents(&answer);
            } else if body["role"] == "admin"
                && ["create_key", "rotate_key"].contains(&&*operation.id)
            {
                answer.refused(403, "restricted-key");
            } else {
                let is_accepted = ![401, 403].contains(&answer.status) && answer.status < 500;
                assert!(is_accepted, "{}: {answer:?}", operation.id);
            }
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn key_is_accepted_from_its_networks_only() {
    let (site, near) = restricted(json!({"networks": ["10.0.0.0/8", "127.0.0.1"]})).await;
    let body = json!({"name": "far", "role": "agent", "networks": ["10.0.0.0/8", "2001:db8::/32"]});
    let Made { secret: far, .. } = site.create_key(&body).await;

    site.read_with(&near, "/session").await.accepted(200);
    let refused = async {
        let problem = site.read_with(&far, "/session").await.refused(403, "foreign-network");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("2001:db8::/32") && detail.contains("127.0.0.1"), "{detail}");
        let sign_in = site.post_with(&far, "/session", &json!({})).await;
        sign_in.refused(403, "foreign-network");
        // A header can claim any address.
        let call = site.with_key(&far, Method::GET, "/session");
        let call = call.header("x-forwarded-for", "10.0.0.1");
        call.send().await.refused(403, "foreign-network");
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn restricted_admin_key_makes_no_keys() {
    let site = Site::open().await;
    let body = json!({"name": "helper", "role": "admin", "scopes": ["admin", "tasks:read"]});
    let Made { id, secret } = site.create_key(&body).await;

    let refuse = async || {
        let new = json!({"name": "mighty", "role": "admin"});
        let create = site.post_with(&secret, "/admin/keys", &new).await;
        create.refused(403, "restricted-key");
        let path = format!("/admin/keys/{id}/rotate");
        site.post_with(&secret, &path, &json!({})).await.refused(403, "restricted-key");
    };
    // The audit log has the first refused call of an operator in a minute.
    refuse().await;
    site.unchanged(refuse()).await;
    site.read_with(&secret, "/admin/keys").await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn restriction_that_cannot_be_meant_is_refused() {
    let site = Site::open().await;
    let refused = async {
        for (more, pointer) in [
            (json!({"scopes": ["approvals:decide"]}), "/scopes"),
            (json!({"scopes": ["everything"]}), "/scopes"),
            (json!({"agents": []}), "/agents"),
            (json!({"task_types": ["fqa"]}), "/task_types"),
            (json!({"networks": ["10.1.2.3/8"]}), "/networks"),
            (json!({"identity": "\u{200b}"}), "/identity"),
            (json!({"role": "root"}), "/role"),
            (json!({"name": "No Name"}), "/name"),
        ] {
            let mut body = json!({"name": "bound", "role": "agent"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let answer = site.post("root", "/admin/keys", &body).await;
            assert_eq!(answer.pointers(), [pointer], "{body}");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn two_keys_of_one_person_decide_as_one() {
    let site = Site::open().await;
    let key = |name: &str, role: &str| json!({"name": name, "role": role, "identity": "alice"});
    let agent = site.create_key(&key("alices_agent", "agent")).await;
    let approver = site.create_key(&key("alices_phone", "approver")).await;
    let task = site.post_with(&agent.secret, "/tasks", &new_body("deploy")).await.accepted(201);
    let path = format!("/approvals/{}/approve", approval_of(&task));

    let own = site.post_with(&approver.secret, &path, &json!({})).await;
    own.refused(403, "own-submission");
    // Also once the key that submitted it is gone.
    let revoked = site.call("root", Method::DELETE, &format!("/admin/keys/{}", agent.id));
    revoked.send().await.accepted(200);
    let own = site.post_with(&approver.secret, &path, &json!({})).await;
    own.refused(403, "own-submission");
    site.post("judge", &path, &json!({})).await.accepted(200);
    site.finish().await;
}
