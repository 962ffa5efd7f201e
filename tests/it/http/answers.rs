//! What every operation answers at the most, however much is stored.

use reqwest::Method;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::harness::{Fleet, Site, approval_of, id_of};

/// The most bytes that an operation's answer has beside the task, item or page that it is about.
const BESIDE: usize = 64 << 10;

/// How large the answers of an operation may be at the most where the payloads, metadata and results have a megabyte each.
fn bound_of(operation: &Operation, task: usize) -> usize {
    const PAGE: usize = 1 << 20;
    match operation.id.as_str() {
        "claim_tasks" | "report_outcomes" => 8 << 20,
        "list_tasks" | "list_approvals" | "list_pending_approvals" | "list_decided_approvals" => {
            PAGE + task
        }
        "read_events" | "read_audit_log" => PAGE + (64 << 10),
        // One entry each, without what holds payloads.
        "submit_tasks" => 1_000 * 4_096,
        "decide_approvals" => 100 * 16_384,
        "get_task" | "submit_task" | "cancel_task" | "retry_task" | "change_task_status"
        | "get_approval" | "approve" | "reject" | "retarget_approval" | "ask_approval" => task,
        // What has no text of a client, or texts that are short.
        _ => 256 << 10,
    }
}

/// A megabyte.
fn large() -> Value {
    json!({"x": "y".repeat(1_000_000)})
}

/// Stores large tasks: some approved with another payload and routed, and the decisions on the others; a task and its
/// approval.
async fn fill(site: &Site) -> (Vec<Value>, String, String) {
    let mut decisions = Vec::new();
    for nth in 0..10 {
        let body = json!({"type": "deploy", "payload": large(), "metadata": large()});
        let task = site.submit(&body).await;
        let (path, approval) = (format!("/approvals/{}", approval_of(&task)), &task["approval_id"]);
        if nth < 3 {
            // Edited, and claimed with all that an approval holds.
            let edit =
                json!({"payload": {"x": "z".repeat(1_000_000)}, "comment": "c".repeat(1_000)});
            site.post("judge", &format!("{path}/approve"), &edit).await.accepted(200);
        } else {
            let edit = json!({"x": "z".repeat(900_000)});
            decisions
                .push(json!({"approval_id": approval, "decision": "approve", "payload": edit}));
        }
        let event = json!({"event_type": "pr.merged", "payload": {"x": "y".repeat(65_000)}});
        site.post("crew", "/events/publish", &event).await.accepted(202);
    }
    site.fleet.route().await;
    let waiting = site.get("reader", "/tasks?status=assigned").await.accepted(200);
    let id = id_of(&waiting["items"][0]);
    let approval = approval_of(&waiting["items"][0]);
    (decisions, id, approval)
}

fn body_of(operation: &Operation, decisions: &[Value]) -> Option<Value> {
    match operation.id.as_str() {
        "claim_tasks" => Some(json!({"worker": "w1", "max": 100})),
        "report_outcomes" => Some(json!({"outcomes": [], "claim": {"worker": "w2", "max": 100}})),
        "decide_approvals" => Some(json!({"decisions": decisions})),
        "submit_tasks" => {
            let one = json!({"type": "faq", "payload": {"x": "y".repeat(5_000)}});
            Some(json!({"tasks": vec![one; 1_000]}))
        }
        "submit_task" => Some(json!({"type": "faq", "payload": large(), "metadata": large()})),
        _ => operation.body(),
    }
}

#[tokio::test]
async fn no_operation_answers_with_more_than_its_bound_however_much_is_stored() {
    let site = Site::over(Fleet::build().start().await).await;
    let (decisions, id, approval) = fill(&site).await;
    let mut largest = std::collections::BTreeMap::new();
    // Payload, metadata, the payload as it was, and what changed.
    let task = 3_000_000 + (256 << 10) + BESIDE;

    for operation in Operation::all() {
        let of_approval = operation.template.starts_with("/approvals");
        let mut path = operation.path_of(if of_approval { &approval } else { &id });
        if operation.method == Method::GET && operation.template != "/tasks/{id}" {
            path += match operation.id.as_str() {
                "list_tasks" => "?limit=200&include=payload,metadata,result",
                id if id.starts_with("list_") && of_approval => "?limit=200&include=payload",
                "read_events" | "read_audit_log" => "?limit=200",
                _ => "",
            };
        }
        let body = body_of(&operation, &decisions);
        let path = path.replace("/agents/faq_agent/", "/agents/ops_agent/");
        let call =
            site.call("root", operation.method.clone(), &path).header("accept", "application/json");
        let answer = match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        };
        assert!(answer.status < 500, "{}: {answer:?}", operation.id);
        let (found, bound) = (answer.body.len(), bound_of(&operation, task));
        largest.insert(operation.id.clone(), found);
        let is_page =
            operation.template.starts_with("/docs") || operation.template.starts_with("/openapi");
        assert!(is_page || found <= bound, "{}: {found} bytes, at most {bound}", operation.id);
    }
    // There was much to answer with.
    for (id, least) in [
        ("claim_tasks", 3_000_000),
        ("list_tasks", 1_000_000),
        ("list_approvals", 1_000_000),
        ("get_task", 3_000_000),
        ("read_events", 400_000),
        ("decide_approvals", 5_000),
        ("submit_tasks", 500_000),
    ] {
        assert!(largest[id] > least, "{id}: {}", largest[id]);
    }
    site.finish().await;
}
