//! People over HTTP: who they are by key and by token, which sources they name, and who has others decide.

use std::collections::BTreeMap;

use orchestrator::domain::people::People;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Site, approval_of, bearer, new_body};

/// What comes of a token's sending `body` there.
async fn post(site: &Site, (sub, role): (&str, &str), path: &str, body: &Value) -> Answer {
    let call = site.anonymous(Method::POST, path).header("authorization", bearer(sub, role));
    call.json(body).send().await
}

fn deploy() -> Value {
    json!({"type": "deploy", "payload": {"environment": "production"}})
}

/// The approval that a deployment of this key waits for.
async fn submitted_by(site: &Site, key: &str) -> String {
    let task = site.post(key, "/tasks", &deploy()).await.accepted(201);
    approval_of(&task)
}

#[tokio::test]
async fn a_token_and_a_key_of_one_name_are_one_person_in_every_call() {
    let site = Site::open().await;
    let id = submitted_by(&site, "root").await;

    for sub in ["root", "Root", "\u{ff52}oot", "ro\u{200b}ot"] {
        for verb in ["approve", "reject"] {
            let path = format!("/approvals/{id}/{verb}");
            let refused = post(&site, (sub, "approver"), &path, &json!({})).await;
            refused.refused(403, "own-submission");
        }
        let both = ["approve", "reject"].map(|word| json!({"approval_id": id, "decision": word}));
        let body = json!({"decisions": both});
        let answer = post(&site, (sub, "admin"), "/approvals/decide", &body).await.accepted(200);
        for nth in 0..2 {
            assert_eq!(answer["results"][nth]["status"], 403, "{answer}");
        }
    }

    let path = format!("/approvals/{id}/approve");
    let decided = post(&site, ("auth0|root", "approver"), &path, &json!({})).await.accepted(200);
    assert_eq!(decided["decided_by"], "user:auth0|root");
    site.finish().await;
}

#[tokio::test]
async fn with_four_eyes_an_editor_cannot_approve_in_the_next_call() {
    let fleet = Fleet::build().settings(|settings| {
        settings.approvals.rules[1].terms.four_eyes = true;
        let identities = BTreeMap::from([("second_judge".to_owned(), "judge".to_owned())]);
        settings.people = People::new(&identities, &BTreeMap::new());
    });
    let site = Site::over(fleet.start().await).await;
    let path = format!("/approvals/{}/approve", submitted_by(&site, "crew").await);

    let edit = json!({"payload": {"environment": "production", "replicas": 1}});
    let edited = site.post("judge", &path, &edit).await.accepted(200);

    assert_eq!(edited["status"], "pending");
    let yes = json!({"digest": edited["digest"]});
    for key in ["judge", "second_judge"] {
        site.post(key, &path, &yes).await.refused(403, "own-content");
    }
    post(&site, ("JUDGE", "admin"), &path, &yes).await.refused(403, "own-content");
    assert_eq!(site.post("root", &path, &yes).await.accepted(200)["status"], "approved");
    site.finish().await;
}

#[tokio::test]
async fn the_names_of_identity_providers_may_call() {
    let site = Site::open().await;
    let longest = "x".repeat(256);
    for (sub, actor) in [
        ("auth0|5f7c8ec7c33c6c004bbafe82", "user:auth0|5f7c8ec7c33c6c004bbafe82"),
        ("O'Brien@example.com", "user:O'Brien@example.com"),
        (
            "arn:aws:sts::123456789012:assumed-role/Role/session",
            "user:arn:aws:sts::123456789012:assumed-role/Role/session",
        ),
        ("Jürgen \"Jo\" Groß", "user:J%C3%BCrgen%20%22Jo%22%20Gro%C3%9F"),
        (&longest, &*format!("user:{longest}")),
    ] {
        let body = new_body("faq");
        let task = post(&site, (sub, "agent"), "/tasks", &body).await.accepted(201);
        assert_eq!(task["submitted_by"], actor);
        let event = json!({"event_type": "pr.merged", "payload": {}, "source_agent": sub});
        post(&site, (sub, "agent"), "/events/publish", &event).await.accepted(202);
        let told = site.fleet.events().await.pop().unwrap();
        assert_eq!(told.body["source_agent"], sub);
        let path = reqwest::Url::parse_with_params("http://x/events", [("source", sub)]).unwrap();
        let path = format!("/events?{}", path.query().unwrap());
        let call = site.call("reader", Method::GET, &path).header("accept", "application/json");
        let page = call.send().await.accepted(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    }
    let long = "x".repeat(257);
    for sub in ["", " ", "\u{200b}", "a\nb", "a\u{0}", &long, "orchestrator", " Orchestrator"] {
        let refused = post(&site, (sub, "agent"), "/tasks", &deploy()).await;
        refused.refused(401, "unauthenticated");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_submission_names_only_a_source_of_its_caller() {
    let fleet = Fleet::build().sources("crew", &["github", "slack"]);
    let fleet = fleet.settings(|settings| {
        let mut rule = settings.approvals.rules[0].clone();
        (rule.name, rule.required, rule.when.priorities) =
            ("trusted".to_owned(), false, Vec::new());
        rule.when.sources = vec!["github".parse().unwrap(), "rival".parse().unwrap()];
        settings.approvals.rules.insert(0, rule);
    });
    let site = Site::over(fleet.start().await).await;
    let from = |source: &str| {
        let mut body = deploy();
        body["source"] = source.into();
        body
    };

    let refused = async {
        for (key, source, known) in [
            ("rival", "github", "rival, user"),
            ("root", "github", "root, user"),
            ("crew", "crew", "github, slack"),
            ("crew", "user", "github, slack"),
            ("crew", "orchestrator", "github, slack"),
        ] {
            let problem = site.post(key, "/tasks", &from(source)).await;
            let problem = problem.refused(422, "invalid-fields");
            assert_eq!(problem["errors"][0]["pointer"], "/source", "{problem}");
            let detail = problem["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains(known) && detail.contains("auth.sources"), "{problem}");
            let batch = json!({"tasks": [from(source)]});
            let answer = site.post(key, "/tasks/batch", &batch).await.accepted(200);
            let error = &answer["results"][0]["problem"]["errors"][0];
            assert_eq!(error["pointer"], "/tasks/0/source", "{answer}");
        }
    };
    site.unchanged(refused).await;

    for (key, source, status) in [
        ("crew", "github", "pending"),
        ("crew", "slack", "blocked"),
        ("rival", "rival", "pending"),
        ("rival", "user", "blocked"),
    ] {
        let task = site.post(key, "/tasks", &from(source)).await.accepted(201);
        assert_eq!((&task["status"], &task["source"]), (&json!(status), &json!(source)));
    }
    assert_eq!(site.post("rival", "/tasks", &deploy()).await.accepted(201)["source"], "user");
    site.finish().await;
}

#[tokio::test]
async fn no_caller_publishes_as_the_orchestrator_in_any_spelling() {
    let site = Site::open().await;
    let refused = async {
        for name in [
            "orchestrator",
            "Orchestrator",
            " ORCHESTRATOR ",
            "orches\u{200b}trator",
            "\u{ff4f}rchestrator",
        ] {
            for key in ["crew", "root"] {
                let body = json!({"event_type": "pr.merged", "payload": {}, "source_agent": name});
                site.post(key, "/events/publish", &body).await.refused(403, "foreign-source");
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn an_admin_retargets_an_approval_and_every_wrong_field_is_named() {
    let site = Site::open().await;
    let path = format!("/approvals/{}/retarget", submitted_by(&site, "crew").await);

    let refused = async {
        for (body, pointer) in [
            (json!({}), "/rule"),
            (json!({"roles": [], "groups": []}), "/rule"),
            (json!({"rule": "urgent", "quorum": 1}), "/rule"),
            (json!({"rule": "nothing"}), "/rule"),
            (json!({"rule": ""}), "/rule"),
            (json!({"roles": ["agent"]}), "/roles"),
            (json!({"roles": ["boss"]}), "/roles/0"),
            (json!({"roles": vec!["admin"; 5]}), "/roles"),
            (json!({"groups": ["oncall"]}), "/groups"),
            (json!({"roles": ["admin"], "quorum": 21}), "/quorum"),
            (json!({"roles": ["admin"], "reason": "x".repeat(1_001)}), "/reason"),
        ] {
            let problem = site.post("root", &path, &body).await.refused(422, "invalid-fields");
            let found = problem["errors"][0]["pointer"].as_str().unwrap();
            assert!(found.starts_with(pointer.trim_end_matches("/0")), "{body}: {problem}");
        }
    };
    site.unchanged(refused).await;

    let body = json!({"roles": ["admin"], "quorum": 1, "reason": "they left"});
    for key in ["crew", "judge", "reader"] {
        site.post(key, &path, &body).await.refused(403, "missing-scope");
    }
    let after = site.post("root", &path, &body).await.accepted(200);
    assert_eq!(after["terms"]["levels"][0]["roles"], json!(["admin"]));
    let approve = path.replace("retarget", "approve");
    site.post("judge", &approve, &json!({})).await.refused(403, "not-asked");
    assert_eq!(site.post("root", &approve, &json!({})).await.accepted(200)["status"], "approved");
    site.post("root", &path, &body).await.refused(409, "already-decided");
    let own = format!("/approvals/{}/retarget", submitted_by(&site, "root").await);
    site.post("root", &own, &body).await.refused(403, "own-submission");
    site.finish().await;
}
