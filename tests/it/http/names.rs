//! Names that clients choose: of agents and of their workers.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Fleet, Site, id_of, key, new_body};

/// A site that admits agents without a rule, as long as there are at most `most` agents.
async fn open_to_all(most: u32) -> Site {
    let fleet = Fleet::build().without_approvals().settings(|settings| {
        settings.agents.allow_unrouted = true;
        settings.agents.max_agents = most;
    });
    Site::over(fleet.start().await).await
}

#[tokio::test]
async fn an_agent_that_no_rule_names_is_unknown_and_leaves_nothing() {
    let site = Site::open().await;
    let work = async {
        let claim = json!({"worker": "w1"});
        for answer in [
            site.post("crew", "/agents/invented/claim", &claim).await,
            site.post("crew", "/agents/invented/results", &json!({"outcomes": []})).await,
            site.post("root", "/agents/invented/pause", &json!({})).await,
            site.post("root", "/agents/invented/resume", &json!({})).await,
            site.get("reader", "/agents/invented").await,
        ] {
            let problem = answer.refused(404, "unknown-agent");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("dev_agent, faq_agent, ops_agent"), "{detail}");
        }
    };

    site.unchanged(work).await;

    let keys: Vec<String> = site.fleet.redis.ask(&["KEYS", "*invented*"]).await;
    assert!(keys.is_empty(), "{keys:?}");
    site.finish().await;
}

#[tokio::test]
async fn agents_without_a_rule_are_admitted_up_to_a_number_and_give_their_places_up() {
    let site = open_to_all(3).await;
    let claim = async |agent: &str| {
        let path = format!("/agents/{agent}/claim");
        site.post("crew", &path, &json!({"worker": "w1"})).await
    };
    for agent in ["a1", "a2", "a3", "a1"] {
        claim(agent).await.accepted(200);
    }

    let refused = claim("a4").await.refused(429, "too-many-agents");
    claim("faq_agent").await.accepted(200);
    let metrics = site.anonymous(Method::GET, "/metrics").send().await;
    site.fleet.advance(Duration::from_secs(61));
    site.fleet.engine.reap().await.unwrap();
    let gone = site.get("reader", "/agents/a1").await;
    claim("a4").await.accepted(200);

    assert!(refused["detail"].as_str().unwrap().contains("3 agents"), "{refused}");
    assert!(metrics.body.contains(r#"orchestrator_agent_sessions{agent="a3"} 1"#), "{metrics:?}");
    gone.refused(404, "unknown-agent");
    let roster: Vec<String> = site.fleet.redis.ask(&["ZRANGE", &key("roster"), "0", "-1"]).await;
    assert_eq!(roster, ["a4"]);
    site.finish().await;
}

#[tokio::test]
async fn an_agent_whose_rule_is_gone_still_gets_the_tasks_that_it_has() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("faq").await;
    fleet.route().await;
    let mut settings = fleet.engine.settings().clone();
    settings.routing.rules.retain(|rule| rule.agent.as_str() != "faq_agent");
    let later = fleet.engine_with(settings);

    let held = later.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 1)).await.unwrap();
    assert_eq!(held[0].task.id, task.id);
    fleet.complete(&held[0]).await.unwrap();
    let refused = later.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 1)).await;

    assert!(refused.unwrap_err().to_string().contains("known agents: dev_agent, ops_agent"));
    fleet.finish().await;
}

#[tokio::test]
async fn of_many_workers_those_that_called_last_are_remembered() {
    let fleet = Fleet::build().settings(|settings| settings.agents.max_sessions = 20);
    let site = Site::over(fleet.start().await).await;
    for nth in 0..30 {
        let claim = json!({"worker": format!("MacBook-Pro-{nth}.local")});
        site.post("crew", "/agents/faq_agent/claim", &claim).await.accepted(200);
        site.fleet.advance(Duration::from_millis(2));
    }

    let agent = site.get("reader", "/agents/faq_agent").await.accepted(200);
    let all = site.get("reader", "/agents").await.accepted(200);
    let stats = site.get("reader", "/stats").await.accepted(200);

    assert_eq!(agent["session_count"], 20);
    let workers: Vec<_> =
        agent["sessions"].as_array().unwrap().iter().map(|one| &one["worker"]).collect();
    assert_eq!((workers.len(), workers[0]), (20, &json!("MacBook-Pro-29.local")));
    let listed = all["items"].as_array().unwrap().iter().find(|one| one["agent"] == "faq_agent");
    for shown in [listed.unwrap(), &stats["by_agent"]["faq_agent"]] {
        assert_eq!((&shown["session_count"], shown.get("sessions")), (&json!(20), None));
    }
    for bad in ["", "a b", "key:crew", &"x".repeat(129)] {
        let answer = site.post("crew", "/agents/faq_agent/claim", &json!({"worker": bad})).await;
        answer.refused(422, "invalid-fields");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_child_says_what_becomes_of_it_when_its_parent_is_cancelled() {
    let site = Site::open().await;
    site.start_duties();
    let parent = site.submit(&new_body("faq")).await;
    let (id, kind) = (&parent["task_id"], "faq");
    let child =
        json!({"type": kind, "payload": {}, "parent_task_id": id, "on_parent_cancel": "cancel"});
    let child = site.submit(&child).await;
    let other = site.submit(&json!({"type": kind, "payload": {}, "parent_task_id": id})).await;
    let id = id.as_str().unwrap();

    site.post("crew", &format!("/tasks/{id}/cancel"), &json!({})).await.accepted(200);
    let path = format!("/tasks/{}?wait_ms=20000", id_of(&child));
    let ended = site.get("reader", &path).await.accepted(200);

    assert_eq!(
        (&ended["status"], &ended["on_parent_cancel"]),
        (&json!("cancelled"), &json!("cancel"))
    );
    assert_eq!(other["on_parent_cancel"], "continue");
    assert_eq!(parent["on_parent_cancel"], json!(null));
    let late = json!({"type": kind, "payload": {}, "parent_task_id": id});
    let refused = site.post("crew", "/tasks", &late).await.refused(409, "final-parent");
    assert_eq!(refused["task_status"], "cancelled");
    for bad in [
        json!({"type": kind, "payload": {}, "on_parent_cancel": "cancel"}),
        json!({"type": kind, "payload": {}, "parent_task_id": id, "on_parent_cancel": "kill"}),
        json!({"type": kind, "payload": {}, "parent_task_id": "01a21298-a94c-7305-8941-b958236ea100"}),
    ] {
        site.post("crew", "/tasks", &bad).await.refused(422, "invalid-fields");
    }
    site.finish().await;
}
