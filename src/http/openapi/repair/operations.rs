//! Repairs the operations of the document: scopes, headers, descriptions, examples, order of tags.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::TAGS;
use super::refusals::list_refusals;
use super::{Object, keys, values_mut};

/// The examples of requests and answers, by operation id.
const EXAMPLES: &str = include_str!("../examples.json");

/// The headers that say where a caller stands in the class of an operation, if that has a limit.
const RATE_HEADERS: [(&str, &str); 5] = [
    (
        "RateLimit-Policy",
        "The class of the call, how many calls of it the caller may make in a window (`q`), and the \
         length of a window in seconds (`w`): `\"write\";q=500000;w=10`.",
    ),
    (
        "RateLimit",
        "How many calls of the class are left (`r`), and in how many seconds the window ends (`t`): \
         `\"write\";r=499000;t=7`.",
    ),
    ("X-RateLimit-Limit", "How many calls of the class the caller may make in a window."),
    ("X-RateLimit-Remaining", "How many calls of the class are left in the window."),
    ("X-RateLimit-Reset", "In how many seconds the window ends."),
];

/// Repairs every operation, and adds what they share.
pub fn repair(document: &mut Value) {
    let known = keys(&document["components"]["securitySchemes"]);
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for item in values_mut(&mut document["paths"]) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            move_scopes(operation, &known);
            list_refusals(method, operation);
            finish_responses(operation);
            add_examples(operation, &examples);
        }
    }
    document["components"]["headers"] = json!({
        "RequestId": {
            "description": "The id of the request, which the log carries too.",
            "schema": {"type": "string"}
        },
        "RetryAfter": {
            "description": "When to try again, in seconds.",
            "schema": {"type": "integer"}
        },
        "WwwAuthenticate": {"description": "How to authenticate.", "schema": {"type": "string"}}
    });
    for (name, description) in RATE_HEADERS {
        let kind = if name.starts_with("X-") { "integer" } else { "string" };
        document["components"]["headers"][name.replace('-', "")] =
            json!({"description": description, "schema": {"type": kind}});
    }
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| TAGS.iter().position(|name| tag["name"] == *name));
    }
}

/// What the mark of a class of calls begins with.
const CLASS: &str = "class:";

/// The mark of a call that concerns the whole installation.
const WHOLE: &str = "reach:Whole";

/// Moves scopes, class and reach out of the security schemes, where the handlers' macro has to put
/// them.
fn move_scopes(operation: &mut Value, known: &BTreeSet<String>) {
    let Some(security) = operation.get_mut("security").and_then(Value::as_array_mut) else {
        operation["security"] = json!([]);
        return;
    };
    let (schemes, scopes): (Vec<_>, Vec<_>) =
        security.drain(..).partition(|entry| keys(entry).iter().all(|name| known.contains(name)));
    let (classes, mut scopes): (Vec<_>, Vec<_>) =
        scopes.iter().flat_map(keys).partition(|name| name.starts_with(CLASS));
    let marks = scopes.len();
    scopes.retain(|name| name != WHOLE);
    if scopes.len() < marks {
        operation["x-whole-installation"] = json!(true);
    }
    operation["security"] = json!(schemes);
    operation["x-required-scopes"] = json!(scopes);
    let class = classes.iter().find_map(|name| name.strip_prefix(CLASS));
    operation["x-rate-limit-class"] = json!(class.map(str::to_lowercase));
}

/// Adds the request's id to every response, spells headers as they are sent, and adds missing
/// descriptions.
fn finish_responses(operation: &mut Value) {
    let is_counted = operation["x-rate-limit-class"].is_string();
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if response["description"] == "" {
            response["description"] = json!("Done");
        }
        let headers = response["headers"].as_object().cloned().unwrap_or_default();
        let mut headers: Object =
            headers.into_iter().map(|(name, header)| (capital_words(&name), header)).collect();
        headers
            .insert("X-Request-Id".to_owned(), json!({"$ref": "#/components/headers/RequestId"}));
        if is_counted && (status.starts_with('2') || status == "429") {
            for (name, _) in RATE_HEADERS {
                let reference = format!("#/components/headers/{}", name.replace('-', ""));
                headers.insert(name.to_owned(), json!({"$ref": reference}));
            }
        }
        response["headers"] = Value::Object(headers);
    }
    for parameter in
        operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if let Some(map) = parameter.as_object_mut() {
            // The values are the defaults.
            map.remove("deprecated");
            map.remove("explode");
        }
    }
}

/// Writes `RETRY-AFTER` as `Retry-After`.
fn capital_words(name: &str) -> String {
    if name == "WWW-Authenticate" {
        return name.to_owned();
    }
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{}", first.to_uppercase(), rest.to_lowercase())
    });
    words.collect::<Vec<_>>().join("-")
}

fn add_examples(operation: &mut Value, examples: &Value) {
    let Some(name) = operation["operationId"].as_str() else { return };
    let example = examples[name].clone();
    let mut show = |place: &str, shown: Option<&Value>| {
        if let (Some(media), Some(shown)) = (operation.pointer_mut(place), shown) {
            media["example"] = shown.clone();
        }
    };
    show("/requestBody/content/application~1json", example.get("request"));
    // Examples of an answer that has several forms, by media type.
    for (form, shown) in example["forms"].as_object().into_iter().flatten() {
        show(&format!("/responses/200/content/{}", form.replace('/', "~1")), Some(shown));
    }
    for status in ["200", "201", "202"] {
        show(&format!("/responses/{status}/content/application~1json"), example.get("response"));
    }
}
