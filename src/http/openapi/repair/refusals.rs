//! The refusals that each operation can have, and the types of problems.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::super::error::known_problems;
use super::property;

/// The calls that return stored texts, which may be under a key that is not configured.
pub const READING_TEXTS: &[&str] = &[
    "get_task",
    "get_task_timeline",
    "list_tasks",
    "get_approval",
    "list_approvals",
    "list_pending_approvals",
    "list_decided_approvals",
];

/// Lists every type of problem with its status and title.
pub fn add_types(document: &mut Value) {
    let Some(kind) = property(document, "Problem", "type") else { return };
    let mut description = "The cause, a stable URI; later versions may add more. Each with its \
        status and title:\n"
        .to_owned();
    for (uri, status, title) in known_problems() {
        let _ = write!(description, "\n* `{uri}`: {status}, {title}");
    }
    kind.insert("description".to_owned(), json!(description));
    let uris: Vec<_> = known_problems().map(|(uri, ..)| uri).collect();
    kind.insert("x-extensible-enum".to_owned(), json!(uris));
}

/// Replaces the one entry for any refusal by those that the operation can have.
pub fn list_refusals(method: &str, operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let parameters: Vec<_> = operation["parameters"].as_array().cloned().unwrap_or_default();
    let has_path_parameter = parameters.iter().any(|one| one["in"] == "path");
    let is_guarded = operation.get("x-required-scopes").is_some();
    if operation["parameters"].is_null()
        && let Some(map) = operation.as_object_mut()
    {
        map.remove("parameters");
    }
    let is_one_of = |names: &[&str]| names.iter().any(|name| operation["operationId"] == **name);
    let is_negotiated = is_one_of(&["read_events", "follow_events"]);
    let changes_one = method != "get" && has_path_parameter;
    let may_conflict = is_one_of(&["submit_task", "create_key"]) || is_one_of(READING_TEXTS);
    // Clients have one type for all answers of these, which take nothing that could be wrong.
    let is_health = is_one_of(&["get_health", "get_liveness", "get_readiness"]);
    let refusals = [
        (400, !is_health, "A parameter, a header or the JSON is unreadable."),
        (401, is_guarded, "The credential is missing or invalid."),
        (403, is_guarded, "The caller's role, or a rule, forbids this call."),
        (404, has_path_parameter, "The resource does not exist."),
        (406, is_negotiated, "`Accept` names no media type of the answer."),
        (409, changes_one || may_conflict, "The state of the resource does not allow this call."),
        (408, has_body, "The body arrived too slowly."),
        (413, has_body, "The body is too large."),
        (415, has_body, "The `Content-Type` is not JSON, or the body is compressed."),
        (422, has_body, "Fields are invalid; `errors` names all of them."),
        (
            429,
            is_guarded,
            "The caller exceeds a limit: calls of a class, waiting calls, bytes of bodies or \
             events, approval requests. Try again after `Retry-After`.",
        ),
        (500, !is_health, "A fault of the service."),
        (
            503,
            is_guarded,
            "The gateway has no room, the store is unavailable or full, or too few replicas \
             confirmed the write. The same request may succeed later.",
        ),
    ];
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    responses.remove("default");
    for (status, _, description) in refusals.into_iter().filter(|(_, is_possible, _)| *is_possible)
    {
        responses.entry(status.to_string()).or_insert(refusal(status, description));
    }
}

/// One refusal of an operation, with the headers that its status has.
fn refusal(status: u16, description: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let content = json!({"application/problem+json": {"schema": schema}});
    let headers = match status {
        401 => json!({"WWW-Authenticate": {"$ref": "#/components/headers/WwwAuthenticate"}}),
        429 | 503 => json!({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}),
        _ => json!({}),
    };
    json!({"description": description, "content": content, "headers": headers})
}
