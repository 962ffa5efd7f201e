//! Which types of problems each operation can answer, with an example of each.

use serde_json::{Map, Value, json};

use super::super::super::error::known_problems;
use super::refusals::READING_TEXTS;

/// The operations that can answer a type of problem.
enum Of {
    /// Every one but those about health.
    Every,
    /// Those that require a credential.
    Guarded,
    /// Those of them that may change something.
    Writes,
    /// Those about the whole installation.
    Whole,
    /// Those that take a body.
    Body,
    /// Those that can wait.
    Waits,
    /// Those about one resource below this path.
    Below(&'static str),
    /// Those with these names.
    Named(&'static [&'static str]),
}

/// The reports of agents on their attempts.
const REPORTS: &[&str] =
    &["complete_task", "fail_task", "release_task", "ask_approval", "extend_lease"];

/// The calls that store something new, which a full store refuses.
const STORING: &[&str] =
    &["submit_task", "retry_task", "start_bulk", "ask_approval", "publish_event", "sign_out"];

/// The last word of each type, and which operations can answer it. Types that are not here belong
/// to no operation: the connection, the address or the head of the request is wrong.
#[rustfmt::skip]
const ROWS: &[(&str, Of)] = &[
    ("unreadable-request",     Of::Every),
    ("unauthenticated",        Of::Guarded),
    ("missing-scope",          Of::Guarded),
    ("foreign-network",        Of::Guarded),
    ("origin-refused",         Of::Writes),
    ("tenant-bound",           Of::Whole),
    ("own-submission",         Of::Named(&["approve", "reject", "retarget_approval"])),
    ("own-content",            Of::Named(&["approve"])),
    ("not-asked",              Of::Named(&["approve", "reject"])),
    ("foreign-source",         Of::Named(&["publish_event"])),
    ("foreign-agent",          Of::Named(REPORTS)),
    ("foreign-agent",          Of::Named(&["claim_tasks", "report_outcomes", "pause_agent",
                                           "resume_agent", "change_task_status"])),
    ("restricted-key",         Of::Named(&["create_key", "rotate_key"])),
    ("ended-by-human",         Of::Named(&["retry_task"])),
    ("unknown-task",           Of::Below("/tasks/{id}")),
    ("unknown-approval",       Of::Below("/approvals/{id}")),
    ("unknown-bulk",           Of::Below("/bulk/{id}")),
    ("unknown-agent",          Of::Below("/agents/{agent}")),
    ("unknown-key",            Of::Below("/admin/keys/{id}")),
    ("key-name-taken",         Of::Named(&["create_key"])),
    ("too-many-keys",          Of::Named(&["create_key"])),
    ("key-ended",              Of::Named(&["rotate_key"])),
    ("not-acceptable",         Of::Named(&["read_events", "follow_events"])),
    ("request-timeout",        Of::Body),
    ("final-parent",           Of::Named(&["submit_task"])),
    ("illegal-transition",     Of::Named(&["cancel_task", "retry_task", "change_task_status"])),
    ("illegal-transition",     Of::Named(REPORTS)),
    ("lease-lost",             Of::Named(REPORTS)),
    ("task-cancelled",         Of::Named(REPORTS)),
    ("task-cancelled",         Of::Named(&["change_task_status"])),
    ("not-holder",             Of::Named(&["change_task_status"])),
    ("result-mismatch",        Of::Named(&["complete_task", "fail_task", "release_task",
                                           "ask_approval", "change_task_status"])),
    ("asks-exhausted",         Of::Named(&["ask_approval", "retry_task"])),
    ("already-decided",        Of::Named(&["approve", "reject", "retarget_approval"])),
    ("already-voted",          Of::Named(&["approve"])),
    ("content-changed",        Of::Named(&["approve", "reject"])),
    ("approval-mismatch",      Of::Named(&["change_task_status"])),
    ("undecryptable",          Of::Named(READING_TEXTS)),
    ("undecryptable",          Of::Named(&["submit_task", "cancel_task", "retry_task", "ask_approval",
                                           "change_task_status", "approve", "reject",
                                           "retarget_approval"])),
    ("body-too-large",         Of::Body),
    ("unsupported-media-type", Of::Body),
    ("invalid-fields",         Of::Body),
    ("idempotency-mismatch",   Of::Named(&["submit_task", "start_bulk"])),
    ("asked-too-soon",         Of::Named(&["ask_approval", "retry_task"])),
    ("too-many-agents",        Of::Named(&["claim_tasks", "report_outcomes"])),
    ("too-many-bulks",         Of::Named(&["start_bulk"])),
    ("rate-limited",           Of::Guarded),
    ("too-many-failures",      Of::Guarded),
    ("too-many-open-tasks",    Of::Named(&["submit_task"])),
    ("bytes-used",             Of::Named(&["submit_task"])),
    ("too-many-bytes",         Of::Body),
    ("too-many-waits",         Of::Waits),
    ("too-many-waits",         Of::Named(&["claim_tasks", "report_outcomes", "follow_events"])),
    ("share-used",             Of::Named(&["publish_event"])),
    ("internal-error",         Of::Every),
    ("overloaded",             Of::Guarded),
    ("store-full",             Of::Named(STORING)),
    ("store-unavailable",      Of::Guarded),
    ("partition-moving",       Of::Guarded),
    ("not-replicated",         Of::Writes),
];

/// The members that a type of problem has beside the common ones.
fn members(word: &str) -> Value {
    match word {
        "invalid-fields" => json!({"errors": [{"pointer": "/type", "detail": "is required"}]}),
        "illegal-transition" => json!({"task_status": "completed"}),
        "final-parent" | "task-cancelled" => json!({"task_status": "cancelled"}),
        "lease-lost" => json!({"current_attempt": 2}),
        "already-decided" => json!({
            "approval_status": "approved",
            "decided_by": "user:alice",
            "decided_at": "2026-01-31T09:31:00.000Z",
        }),
        "content-changed" => json!({"digest": "0".repeat(64)}),
        _ => json!({}),
    }
}

impl Of {
    fn includes(&self, path: &str, method: &str, operation: &Value) -> bool {
        let is_guarded = operation.get("x-required-scopes").is_some();
        match self {
            Self::Every => operation["responses"].get("500").is_some(),
            Self::Guarded => is_guarded,
            Self::Writes => is_guarded && method != "get",
            Self::Whole => operation.get("x-whole-installation").is_some(),
            Self::Body => operation.get("requestBody").is_some(),
            Self::Waits => operation["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == "wait_ms")),
            Self::Below(start) => path.starts_with(start),
            Self::Named(names) => names.iter().any(|name| operation["operationId"] == **name),
        }
    }
}

/// Lists for each refusal of each operation the types that it can have, with their examples.
pub fn add(document: &mut Value) {
    add_examples(document);
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            list(path, method, operation);
        }
    }
}

fn list(path: &str, method: &str, operation: &mut Value) {
    let rows = ROWS.iter().filter(|(_, of)| of.includes(path, method, operation));
    let words: Vec<_> = rows.map(|(word, _)| *word).collect();
    for (uri, status, _) in known_problems() {
        let word = last(&uri);
        let place = format!("/responses/{status}/content/application~1problem+json");
        if words.contains(&word)
            && let Some(media) = operation.pointer_mut(&place)
        {
            let example = json!({"$ref": format!("#/components/examples/{word}")});
            media["examples"][word] = example;
        }
    }
}

/// Adds the example of each type that an operation can answer.
fn add_examples(document: &mut Value) {
    let mut examples = Map::new();
    for (uri, status, title) in known_problems() {
        let word = last(&uri);
        if !ROWS.iter().any(|(known, _)| *known == word) {
            continue;
        }
        let mut problem = json!({
            "type": uri,
            "title": title,
            "status": status,
            "detail": format!("{title}."),
            "instance": "0f1b6c9a2d3e4f50",
        });
        for (name, value) in members(word).as_object().into_iter().flatten() {
            problem[name] = value.clone();
        }
        examples.insert(word.to_owned(), json!({"summary": title, "value": problem}));
    }
    document["components"]["examples"] = Value::Object(examples);
}

/// Returns the last word of a type.
fn last(uri: &str) -> &str {
    uri.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::document;
    use super::*;

    /// The types that no operation answers, because the request does not come so far.
    const BEFORE: [&str; 7] = [
        "https-required",
        "not-found",
        "method-not-allowed",
        "uri-too-long",
        "head-too-large",
        "http-version",
        // Over NATS only, of which the document does not tell.
        "answer-too-large",
    ];

    #[test]
    fn each_type_of_a_row_is_listed_by_each_operation_of_the_row() {
        let document = document();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for (word, of) in ROWS {
                    if !of.includes(path, method, operation) {
                        continue;
                    }
                    let known = known_problems().find(|(uri, ..)| last(uri) == *word);
                    let status = known.unwrap_or_else(|| panic!("no type {word}")).1;
                    let place = format!("/responses/{status}/content/application~1problem+json");
                    let shown = operation.pointer(&place).map(|media| &media["examples"][*word]);
                    assert!(shown.is_some_and(Value::is_object), "{method} {path}: {word}");
                }
            }
        }
    }

    #[test]
    fn every_type_of_problem_has_an_operation_or_comes_before_all() {
        let known: BTreeSet<_> = known_problems().map(|(uri, ..)| last(&uri).to_owned()).collect();
        let listed = ROWS.iter().map(|(word, _)| *word).chain(BEFORE).map(str::to_owned);

        assert_eq!(known, listed.collect());
    }
}
