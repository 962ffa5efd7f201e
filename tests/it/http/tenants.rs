//! Tenants: a caller that is bound to one sees and touches what belongs to it, and nothing else.

mod credentials;
mod matrix;
mod separate;

use orchestrator::domain::name::Name;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Site, id_of};

/// The roles of callers, the lowest first.
pub const ROLES: [&str; 4] = ["user", "agent", "approver", "admin"];

/// A site with a key of each role for the tenants `acme` and `beta`.
pub struct Tenants {
    pub site: Site,
    secrets: Vec<(String, String)>,
}

impl Tenants {
    pub async fn open() -> Self {
        Self::over(Fleet::start().await).await
    }

    pub async fn without_approvals() -> Self {
        Self::over(Fleet::build().without_approvals().start().await).await
    }

    pub async fn over(fleet: Fleet) -> Self {
        let site = Site::over(fleet).await;
        let mut secrets = Vec::new();
        for tenant in ["acme", "beta"] {
            for role in ROLES {
                let name = format!("{tenant}-{role}");
                let body = json!({"name": name, "role": role, "tenant": tenant});
                secrets.push((name, site.create_key(&body).await.secret));
            }
        }
        Self { site, secrets }
    }

    /// The secret of the key of this name, such as `acme-agent`.
    pub fn secret(&self, name: &str) -> &str {
        &self.secrets.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub async fn get(&self, name: &str, path: &str) -> Answer {
        self.site.read_with(self.secret(name), path).await
    }

    pub async fn post(&self, name: &str, path: &str, body: &Value) -> Answer {
        self.site.post_with(self.secret(name), path, body).await
    }

    /// The id of a task that the key of this name submitted; of the key `crew`, of no tenant.
    pub async fn submit(&self, name: &str, body: &Value) -> String {
        match name {
            "crew" => id_of(&self.site.submit(body).await),
            name => id_of(&self.post(name, "/tasks", body).await.accepted(201)),
        }
    }

    /// The entries of the tasks that the key of this name claims of `faq_agent`.
    pub async fn claim(&self, name: &str) -> Vec<Value> {
        let claim = json!({"worker": "w1", "max": 10});
        let path = "/agents/faq_agent/claim";
        let answer = match name {
            "crew" => self.site.post(name, path, &claim).await,
            name => self.post(name, path, &claim).await,
        };
        answer.accepted(200)["tasks"].as_array().unwrap().clone()
    }

    pub async fn finish(self) {
        self.site.finish().await;
    }
}

/// The ids of the items of a page, under this name.
pub fn ids(page: &Value, name: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

/// The name of a tenant.
pub fn tenant(text: &str) -> Option<Name> {
    Some(text.parse().unwrap())
}

#[tokio::test]
async fn tenant_sees_its_own_tasks_and_no_others() {
    let tenants = Tenants::without_approvals().await;
    let body = crate::harness::new_body("faq");
    let own = tenants.submit("acme-agent", &body).await;
    let foreign = tenants.submit("beta-agent", &body).await;
    let of_none = tenants.submit("crew", &body).await;

    for path in ["/tasks", "/tasks?status=pending", "/tasks?type=faq"] {
        let page = tenants.get("acme-user", path).await.accepted(200);
        assert_eq!(ids(&page, "task_id"), [own.as_str()], "{path}");
    }
    tenants.site.fleet.route().await;
    for path in ["/tasks?status=assigned", "/tasks?status=assigned&assigned_to=faq_agent"] {
        let page = tenants.get("acme-user", path).await.accepted(200);
        assert_eq!(ids(&page, "task_id"), [own.as_str()], "{path}");
        let task = &page["items"][0];
        assert_eq!((&task["assigned_to"], &task["tenant"]), (&json!("faq_agent"), &json!("acme")));
        let all = tenants.site.get("reader", path).await.accepted(200);
        assert_eq!(ids(&all, "task_id").len(), 3, "{all}");
    }
    for path in ["/tasks/count", "/tasks/count?status=assigned"] {
        assert_eq!(tenants.get("acme-user", path).await.accepted(200)["count"], 1, "{path}");
    }
    for id in [&foreign, &of_none] {
        tenants.get("acme-admin", &format!("/tasks/{id}")).await.refused(404, "unknown-task");
    }
    let plain = tenants.site.get("reader", &format!("/tasks/{of_none}")).await.accepted(200);
    assert_eq!(plain.get("tenant"), None);
    tenants.finish().await;
}

#[tokio::test]
async fn page_of_a_tenant_ends_without_the_id_of_another() {
    let tenants = Tenants::without_approvals().await;
    let body = crate::harness::new_body("faq");
    let own = tenants.submit("acme-agent", &body).await;
    let mut foreign = tenants.site.fleet.submit_many("faq", 1_000).await;
    foreign.extend(tenants.site.fleet.submit_many("faq", 1_100).await);

    let first = tenants.get("acme-user", "/tasks").await.accepted(200);

    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&first, "task_id"), Vec::<String>::new());
    assert!(!foreign.iter().any(|id| cursor.contains(&id.to_string())), "{cursor}");
    let second = tenants.get("acme-user", &format!("/tasks?cursor={cursor}")).await;
    let second = second.accepted(200);
    assert_eq!((ids(&second, "task_id"), &second["next_cursor"]), (vec![own], &Value::Null));
    assert_eq!(tenants.get("acme-user", "/tasks/count").await.accepted(200)["count"], 1);
    tenants.finish().await;
}

#[tokio::test]
async fn bulk_of_a_tenant_changes_its_own_tasks_only() {
    let tenants = Tenants::without_approvals().await;
    let body = crate::harness::new_body("faq");
    let own = tenants.submit("acme-agent", &body).await;
    let others = [tenants.submit("beta-agent", &body).await, tenants.submit("crew", &body).await];
    let cancel = json!({"action": "cancel", "filter": {}});

    let bulk = tenants.post("acme-agent", "/tasks/bulk", &cancel).await.accepted(202);
    tenants.site.fleet.run_bulks().await.unwrap();

    let path = format!("/bulk/{}", bulk["bulk_id"].as_str().unwrap());
    let done = tenants.get("acme-user", &path).await.accepted(200);
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)));
    assert_eq!(done["filter"]["tenant"], "acme");
    let status = async |id: &str| {
        let task = tenants.site.get("reader", &format!("/tasks/{id}")).await.accepted(200);
        task["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&own).await, "cancelled");
    for id in &others {
        assert_eq!(status(id).await, "pending");
    }
    let events = tenants.get("acme-user", "/events?types=bulk.*").await.accepted(200);
    assert_eq!(events["items"][0]["tenant"], "acme");
    let none = tenants.get("beta-user", "/events?types=bulk.*").await.accepted(200);
    assert_eq!(none["items"], json!([]));
    tenants.finish().await;
}

#[tokio::test]
async fn limit_of_bulks_names_no_bulk_of_another_tenant() {
    let fleet = Fleet::build().settings(|settings| settings.tasks.max_bulks = 1).start().await;
    let tenants = Tenants::over(fleet).await;
    let cancel = json!({"action": "cancel", "filter": {}});
    let bulk = tenants.post("acme-agent", "/tasks/bulk", &cancel).await.accepted(202);
    let id = bulk["bulk_id"].as_str().unwrap();

    let foreign = tenants.post("beta-agent", "/tasks/bulk", &cancel).await;
    let own = tenants.post("acme-agent", "/tasks/bulk", &cancel).await;

    foreign.refused(429, "too-many-bulks");
    assert!(!foreign.body.contains(id), "{foreign:?}");
    own.refused(429, "too-many-bulks");
    assert!(own.body.contains(id), "{own:?}");
    let abort = format!("/bulk/{id}/abort");
    tenants.post("beta-agent", &abort, &json!({})).await.refused(404, "unknown-bulk");
    tenants.post("acme-agent", &abort, &json!({})).await.accepted(200);
    tenants.finish().await;
}

#[tokio::test]
async fn admin_of_a_tenant_pauses_only_its_own_agents() {
    let tenants = Tenants::without_approvals().await;
    let body = crate::harness::new_body("faq");
    tenants.submit("acme-agent", &body).await;
    let of_none = tenants.submit("crew", &body).await;
    tenants.site.fleet.route().await;

    let path = "/agents/faq_agent/pause";
    let paused = tenants.post("acme-admin", path, &json!({})).await.accepted(200);

    assert_eq!((&paused["agent"], &paused["paused"]), (&json!("faq_agent"), &json!(true)));
    assert_eq!(tenants.claim("acme-agent").await, Vec::<Value>::new());
    assert_eq!(id_of(&tenants.claim("crew").await[0]["task"]), of_none);
    let agents = tenants.get("acme-user", "/agents").await.accepted(200);
    let items = agents["items"].as_array().unwrap();
    assert!(items.iter().all(|agent| agent["tenant"] == "acme"), "{agents}");
    let depths: u64 = items.iter().map(|agent| agent["depth"].as_u64().unwrap()).sum();
    assert_eq!(depths, 1);
    let agent = tenants.get("beta-user", "/agents/faq_agent").await.accepted(200);
    assert_eq!((&agent["paused"], &agent["depth"]), (&json!(false), &json!(0)));
    let events = tenants.get("acme-user", "/events?types=agent.paused").await.accepted(200);
    assert_eq!(events["items"][0]["payload"]["agent"], "faq_agent");
    tenants.finish().await;
}

#[tokio::test]
async fn report_of_a_tenant_counts_its_own_tasks() {
    let tenants = Tenants::without_approvals().await;
    let body = crate::harness::new_body("faq");
    for name in ["acme-agent", "acme-agent", "beta-agent", "crew"] {
        let id = tenants.submit(name, &body).await;
        tenants.site.call("root", Method::POST, &format!("/tasks/{id}/cancel")).send().await;
    }

    for (name, count) in [("acme-user", 2), ("beta-user", 1)] {
        let report = tenants.get(name, "/sla/report?group_by=agent").await.accepted(200);
        assert_eq!(report["total"]["cancelled"], count, "{report}");
        assert_eq!(report["groups"][0]["agent"], "faq_agent");
    }
    let all = tenants.site.get("reader", "/sla/report?group_by=agent").await.accepted(200);
    assert_eq!(
        (&all["total"]["cancelled"], &all["groups"][0]["cancelled"]),
        (&json!(4), &json!(4))
    );
    tenants.finish().await;
}
