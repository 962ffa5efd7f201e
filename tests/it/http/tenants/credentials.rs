//! What binds a caller to a tenant: a managed key, a key of the settings, a claim of a token.

use orchestrator::http::Auth;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::sessions::{cookie_of, own};
use super::{Tenants, ids, tenant};
use crate::harness::{Answer, Fleet, JWT_SECRET, Site, auth, id_of, new_body, token};

async fn site(auth: Auth) -> Site {
    Site::trusting(Fleet::build().without_approvals().start().await, auth, |_| {}).await
}

/// A token of alice with this claim.
fn bearer(tenant: &Value) -> String {
    let claims = json!({
        "sub": "alice", "role": "agent", "exp": 4_000_000_000u64, "tenant": tenant,
    });
    format!("Bearer {}", token(JWT_SECRET, &claims))
}

async fn ask(site: &Site, method: Method, path: &str, authorization: &str) -> Answer {
    site.anonymous(method, path).header("authorization", authorization).send().await
}

#[tokio::test]
async fn key_of_the_settings_is_bound_by_its_entry() {
    let tenants = [("crew".to_owned(), tenant("acme").unwrap())].into();
    let site = site(Auth { tenants, ..auth() }).await;
    let own = id_of(&site.submit(&new_body("faq")).await);
    let foreign = id_of(&site.post("rival", "/tasks", &new_body("faq")).await.accepted(201));

    let page = site.get("crew", "/tasks").await.accepted(200);

    assert_eq!(ids(&page, "task_id"), [own]);
    assert_eq!(site.get("crew", "/session").await.accepted(200)["tenant"], "acme");
    site.get("crew", &format!("/tasks/{foreign}")).await.refused(404, "unknown-task");
    site.get("crew", "/stats").await.refused(403, "tenant-bound");
    site.finish().await;
}

#[tokio::test]
async fn token_is_bound_by_its_claim_or_refused() {
    let site = site(Auth { tenant_claim: "tenant".to_owned(), ..auth() }).await;
    let (acme, beta, all) = (bearer(&json!("acme")), bearer(&json!(["beta"])), bearer(&json!("*")));
    let submit = async |authorization: &str| {
        let call = site.anonymous(Method::POST, "/tasks").header("authorization", authorization);
        // One name, one key and one body, but two tenants.
        call.header("idempotency-key", "k").json(&new_body("faq")).send().await
    };

    let own = id_of(&submit(&acme).await.accepted(201));
    let foreign = id_of(&submit(&beta).await.accepted(201));
    assert_eq!(id_of(&submit(&acme).await.accepted(200)), own);

    let page = ask(&site, Method::GET, "/tasks", &acme).await.accepted(200);
    assert_eq!(ids(&page, "task_id"), [own]);
    let page = ask(&site, Method::GET, "/tasks", &all).await.accepted(200);
    assert_eq!(ids(&page, "task_id").len(), 2);
    let opened = ask(&site, Method::POST, "/session", &acme).await;
    let cookie = cookie_of(&opened);
    let path = format!("/tasks/{foreign}");
    let call = super::super::sessions::own(&site, &cookie, Method::GET, &path);
    call.send().await.refused(404, "unknown-task");
    let refused = async {
        for wrong in
            [json!(null), json!(""), json!("A B"), json!(["a", "b"]), json!(7), json!("**")]
        {
            let answer = ask(&site, Method::GET, "/tasks", &bearer(&wrong)).await;
            let problem = answer.refused(401, "unauthenticated");
            assert!(problem["detail"].as_str().unwrap().contains("claim tenant"), "{problem}");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn session_of_an_unbound_token_ends_when_a_claim_binds_tokens() {
    let before = site(auth()).await;
    let opened = ask(&before, Method::POST, "/session", &bearer(&json!("acme"))).await;
    let cookie = cookie_of(&opened);
    own(&before, &cookie, Method::GET, "/tasks").send().await.accepted(200);
    before.finish().await;

    let after = site(Auth { tenant_claim: "tenant".to_owned(), ..auth() }).await;

    let call = own(&after, &cookie, Method::GET, "/tasks");
    call.send().await.refused(401, "unauthenticated");
    after.finish().await;
}

#[tokio::test]
async fn key_shows_its_tenant_and_a_bound_one_makes_none() {
    let tenants = Tenants::open().await;

    let keys = tenants.site.get("root", "/admin/keys").await.accepted(200);
    let who = tenants.get("acme-user", "/session").await.accepted(200);
    let bad = json!({"name": "x", "role": "user", "tenant": "acme@beta"});
    let bad = tenants.site.post("root", "/admin/keys", &bad).await;

    assert_eq!(keys["items"][0]["tenant"], "acme");
    assert_eq!((&who["tenant"], &who["caller"]), (&json!("acme"), &json!("key:acme-user")));
    assert_eq!(bad.pointers(), ["/tenant"]);
    let new = json!({"name": "mighty", "role": "admin"});
    for path in ["/admin/keys", "/admin/audit", "/admin/routing"] {
        tenants.get("acme-admin", path).await.refused(403, "tenant-bound");
    }
    tenants.post("acme-admin", "/admin/keys", &new).await.refused(403, "tenant-bound");
    let audit = tenants.site.get("root", "/admin/audit?action=key.created").await.accepted(200);
    assert_eq!(audit["items"][0]["detail"]["tenant"], "beta");
    tenants.finish().await;
}
