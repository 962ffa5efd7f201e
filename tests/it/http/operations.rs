//! Every operation of the API as the document lists it, so that no test can forget one.

use orchestrator::domain::ids::{ApprovalId, Partition, TaskId};
use orchestrator::http::openapi;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, key_of, new_body};

/// What the contract says of who may call what.
#[rustfmt::skip]
const SCOPES: &[(&str, &str)] = &[
    ("submit_task", "tasks:write"), ("submit_tasks", "tasks:write"), ("cancel_task", "tasks:write"),
    ("start_bulk", "tasks:write"), ("get_bulk", "tasks:read"), ("abort_bulk", "tasks:write"),
    ("retry_task", "tasks:write"), ("list_tasks", "tasks:read"), ("count_tasks", "tasks:read"), ("get_task", "tasks:read"),
    ("get_task_timeline", "tasks:read"), ("list_agents", "tasks:read"), ("get_agent", "tasks:read"),
    ("get_stats", "tasks:read"), ("get_sla_report", "tasks:read"), ("change_task_status", "agent"), ("claim_tasks", "agent"),
    ("report_outcomes", "agent"), ("extend_lease", "agent"), ("complete_task", "agent"), ("fail_task", "agent"),
    ("release_task", "agent"), ("pause_agent", "admin"), ("resume_agent", "admin"), ("read_audit_log", "admin"), ("get_rules", "admin"),
    ("explain_routing", "admin"), ("publish_event", "events:publish"), ("read_events", "events:read"), ("follow_events", "events:read"),
    ("list_approvals", "approvals:read"),
    ("list_pending_approvals", "approvals:read"), ("list_decided_approvals", "approvals:read"),
    ("get_session", "tasks:read"), ("sign_in", "tasks:read"), ("sign_out", "tasks:read"),
    ("get_approval", "approvals:read"), ("approve", "approvals:decide"), ("reject", "approvals:decide"),
    ("decide_approvals", "approvals:decide"), ("ask_approval", "agent"), ("retarget_approval", "admin"),
    ("list_keys", "admin"), ("create_key", "admin"), ("rotate_key", "admin"), ("revoke_key", "admin"),
];

/// The operations about the whole installation, which no caller that is bound to a tenant may call.
#[rustfmt::skip]
const WHOLE: &[&str] = &[
    "get_stats", "read_audit_log", "get_rules", "explain_routing", "list_keys", "create_key", "rotate_key", "revoke_key",
];

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    /// With `{id}` or `{agent}` in it.
    pub template: String,
    /// The scope that a caller needs; none: every caller may call, also without a credential.
    pub scope: Option<String>,
    /// Whether it concerns the whole installation, and not one tenant.
    pub is_whole: bool,
    pub takes_body: bool,
    pub needs_body: bool,
}

impl Operation {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let document = openapi::document();
        let paths = document["paths"].as_object().unwrap().iter();
        let all = paths.flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| Self::read(path, method, operation))
        });
        all.collect()
    }

    /// Those that need a credential.
    pub fn guarded() -> Vec<Self> {
        Self::all().into_iter().filter(|operation| operation.scope.is_some()).collect()
    }

    fn read(path: &str, method: &str, operation: &Value) -> Self {
        let body = &operation["requestBody"];
        Self {
            id: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            template: path.to_owned(),
            scope: operation["x-required-scopes"][0].as_str().map(str::to_owned),
            is_whole: operation["x-whole-installation"] == true,
            takes_body: body.is_object(),
            needs_body: body["required"] == true,
        }
    }

    /// A path of it, about something that there is not.
    pub fn path(&self) -> String {
        self.path_of(&TaskId::new(Partition(0)).to_string())
    }

    pub fn path_of(&self, id: &str) -> String {
        self.template.replace("{id}", id).replace("{agent}", "faq_agent")
    }

    /// A body that it can read, about nothing that there is.
    pub fn body(&self) -> Option<Value> {
        let body = match self.id.as_str() {
            "submit_task" | "explain_routing" => new_body("faq"),
            "submit_tasks" => json!({"tasks": [{"type": "faq", "payload": {}}]}),
            "start_bulk" => json!({"action": "retry", "filter": {}}),
            "claim_tasks" => json!({"worker": "w1"}),
            "report_outcomes" => json!({"outcomes": []}),
            "publish_event" => json!({"event_type": "deploy.started", "payload": {}}),
            "change_task_status" => json!({"status": "in_progress"}),
            "extend_lease" | "complete_task" | "fail_task" | "release_task" => {
                json!({"attempt": 1, "lease": "x"})
            }
            "ask_approval" => json!({"attempt": 1, "lease": "x", "reason": "may I?"}),
            "create_key" => json!({"name": "spare", "role": "user"}),
            "retarget_approval" => json!({"roles": ["admin"]}),
            "decide_approvals" => {
                json!({"decisions": [{"approval_id": ApprovalId::new(Partition(0)).to_string(), "decision": "approve"}]})
            }
            _ => json!({}),
        };
        self.takes_body.then_some(body)
    }

    /// What the document says of it.
    fn described(&self, document: &Value) -> Value {
        let method = self.method.as_str().to_lowercase();
        document["paths"][&self.template][method].clone()
    }

    /// The schema of its body, if it takes one.
    pub fn schema(&self, document: &Value) -> Value {
        self.described(document)["requestBody"]["content"]["application/json"]["schema"].take()
    }

    /// Its parameters, as the document lists them.
    pub fn parameters(&self, document: &Value) -> Vec<Value> {
        self.described(document)["parameters"].as_array().cloned().unwrap_or_default()
    }

    /// A call of it with the API key `root`, with this query and body.
    pub async fn ask(&self, site: &Site, query: &str, body: Option<&Value>) -> Answer {
        let call = site.call("root", self.method.clone(), &format!("{}{query}", self.path()));
        call.header("accept", "application/json").json_if(body).send().await
    }

    /// Calls it with the API key of this name, or without any.
    pub async fn call(&self, site: &Site, name: Option<&str>) -> Answer {
        self.call_with(site, name.map(key_of).as_deref()).await
    }

    /// Calls it with this API key, or without any.
    pub async fn call_with(&self, site: &Site, key: Option<&str>) -> Answer {
        self.send(site, key, &self.path()).await
    }

    /// Calls it with this API key about the thing with this id.
    pub async fn call_about(&self, site: &Site, key: &str, id: &str) -> Answer {
        self.send(site, Some(key), &self.path_of(id)).await
    }

    async fn send(&self, site: &Site, key: Option<&str>, path: &str) -> Answer {
        let call = site.anonymous(self.method.clone(), path);
        let call = match key {
            Some(key) => call.header("x-api-key", key),
            None => call,
        };
        // A stream of events would have no end.
        let call = call.header("accept", "application/json");
        call.json_if(self.body().as_ref()).send().await
    }
}

/// `body` with what `more` has at the places where that has something.
pub fn joined(body: Value, more: &Value) -> Value {
    match (body, more) {
        (Value::Object(mut body), Value::Object(more)) => {
            for (name, value) in more {
                let old = body.remove(name).unwrap_or_default();
                body.insert(name.clone(), joined(old, value));
            }
            Value::Object(body)
        }
        (Value::Array(body), Value::Array(more)) => {
            let first = body.into_iter().next().unwrap_or_default();
            json!([joined(first, &more[0])])
        }
        (_, more) => more.clone(),
    }
}

/// Where a refusal points, or that of each item of a call on several things.
pub fn pointers(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let results = body["results"].as_array().into_iter().flatten();
    let problems = std::iter::once(&body).chain(results.map(|result| &result["problem"]));
    let mut found = Vec::new();
    for problem in problems.filter(|problem| problem["errors"].is_array()) {
        assert!((400..500).contains(&problem["status"].as_u64().unwrap()), "{answer:?}");
        let errors = problem["errors"].as_array().unwrap().iter();
        found.extend(errors.map(|error| error["pointer"].as_str().unwrap().to_owned()));
    }
    found
}

#[test]
fn every_operation_needs_the_scope_that_the_contract_names() {
    for operation in Operation::all() {
        let wanted = SCOPES.iter().find(|(id, _)| *id == operation.id).map(|(_, scope)| *scope);

        assert_eq!(operation.scope.as_deref(), wanted, "{}", operation.id);
        assert_eq!(operation.is_whole, WHOLE.contains(&&*operation.id), "{}", operation.id);
    }
}
