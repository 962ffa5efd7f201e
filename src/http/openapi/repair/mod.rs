//! Repairs the document of poem-openapi, so that linters accept it and generators keep all of it;
//! adds what the framework's macros cannot express: refusals, scopes, nullable fields, examples.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::request::{NUMBERS, TEXTS};

type Object = Map<String, Value>;

/// The examples of requests and answers, by operation id.
const EXAMPLES: &str = include_str!("examples.json");

/// The schemas whose members are absent rather than null, as RFC 9457 and CloudEvents require.
const SPARSE: [&str; 2] = ["Problem", "CloudEvent"];

/// The members that are absent unless the client requests them: schema, member.
const LEFT_OUT: [(&str, &str); 6] = [
    ("Task", "payload"),
    ("Task", "metadata"),
    ("Task", "result"),
    ("Approval", "action"),
    ("ApprovalEdit", "original_payload"),
    ("ApprovalEdit", "changes"),
];

/// Returns the document, repaired.
pub fn repair(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    repair_schemas(&mut document);
    show_nulls(&mut document);
    add_bounds(&mut document);
    let known = keys(&document["components"]["securitySchemes"]);
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for item in members_mut(&mut document["paths"]) {
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
        "WwwAuthenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
        "Allow": {"description": "The methods of this path.", "schema": {"type": "string"}}
    });
    document
}

/// The values of an object's members; none if the value is no object.
fn members(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Object::values)
}

fn members_mut(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Object::values_mut)
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn text<'m>(map: &'m Object, name: &str) -> Option<&'m str> {
    map.get(name)?.as_str()
}

/// The description of the field of a schema.
fn property<'d>(document: &'d mut Value, schema: &str, field: &str) -> Option<&'d mut Object> {
    let place = format!("/components/schemas/{schema}/properties/{field}");
    document.pointer_mut(&place)?.as_object_mut()
}

/// Repairs each object of the document on its own.
fn repair_schemas(value: &mut Value) {
    match value {
        Value::Object(map) => {
            unfold_all_of(map);
            repair_number(map);
            if text(map, "format").is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(repair_schemas);
        }
        Value::Array(items) => items.iter_mut().for_each(repair_schemas),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Unfolds `{description, allOf: [{$ref}, {description}]}`, which repeats itself and which some
/// generators drop.
fn unfold_all_of(map: &mut Object) {
    let Some(Value::Array(parts)) = map.get_mut("allOf") else { return };
    let is_note = parts.len() == 2
        && parts[0].get("$ref").is_some()
        && parts[1]
            .as_object()
            .is_some_and(|note| !note.contains_key("type") && !note.contains_key("properties"));
    if is_note && let Some(Value::Object(note)) = parts.pop() {
        for (key, value) in note {
            map.entry(key).or_insert(value);
        }
    }
}

/// Makes the bounds of whole numbers whole, and unsigned numbers never negative.
fn repair_number(map: &mut Object) {
    if text(map, "type") != Some("integer") {
        return;
    }
    for bound in ["minimum", "maximum"] {
        if let Some(number) = map.get(bound).and_then(Value::as_f64) {
            map.insert(bound.to_owned(), json!(number as i64));
        }
    }
    let (least, most, format) = match text(map, "format") {
        Some("uint8") => (0, Some(u64::from(u8::MAX)), "int32"),
        Some("uint16") => (0, Some(u64::from(u16::MAX)), "int32"),
        Some("uint32") => (0, Some(u64::from(u32::MAX)), "int64"),
        Some("uint64") => (0, None, "int64"),
        _ => return,
    };
    map.insert("format".to_owned(), json!(format));
    map.entry("minimum").or_insert(json!(least));
    if let Some(most) = most {
        map.entry("maximum").or_insert(json!(most));
    }
}

/// Marks fields that are not required as nullable. In a request, `null` is the same as left out; a
/// view always has the field, so there it is required too.
fn show_nulls(document: &mut Value) {
    let mut sent = BTreeSet::new();
    for operation in members(&document["paths"]).flat_map(members) {
        collect(&operation["requestBody"], document, &mut sent);
    }
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for (name, schema) in schemas {
        let Some(schema) = schema.as_object_mut().filter(|_| !SPARSE.contains(&name.as_str()))
        else {
            continue;
        };
        let mut names = show_nulls_of(schema);
        names.retain(|member| !LEFT_OUT.contains(&(name.as_str(), member.as_str())));
        if !names.is_empty() && !sent.contains(name) {
            schema.insert("required".to_owned(), json!(names));
        }
    }
}

/// Marks the fields that are not required as nullable, and returns the names of all fields.
fn show_nulls_of(schema: &mut Object) -> Vec<String> {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    for (name, property) in properties.iter_mut() {
        let Some(property) = property.as_object_mut().filter(|_| !required.contains(&json!(name)))
        else {
            continue;
        };
        let target = property.remove("$ref").map(|target| json!({"$ref": target}));
        let target =
            target.or_else(|| property.remove("allOf").and_then(|parts| parts.get(0).cloned()));
        match target {
            // Strict readers ignore `nullable` beside a reference, because the target is not
            // nullable.
            Some(target) => property
                .insert("oneOf".to_owned(), json!([target, {"nullable": true, "enum": [null]}])),
            None => property.insert("nullable".to_owned(), json!(true)),
        };
    }
    properties.keys().cloned().collect()
}

fn add_bounds(document: &mut Value) {
    for (schema, field, least, most) in NUMBERS.into_iter().flatten() {
        if let Some(property) = property(document, schema, field) {
            property.insert("minimum".to_owned(), json!(least));
            property.insert("maximum".to_owned(), json!(most));
        }
    }
    for (schema, field, bound) in TEXTS.into_iter().flatten() {
        if let Some(property) = property(document, schema, field) {
            property.insert("maxLength".to_owned(), json!(bound.chars));
            property.insert("x-max-bytes".to_owned(), json!(bound.bytes));
        }
    }
}

/// Collects the names of all schemas that `value` refers to, directly or not.
fn collect(value: &Value, document: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let target = text(map, "$ref");
            let name = target.and_then(|target| target.strip_prefix("#/components/schemas/"));
            if let Some(name) = name
                && found.insert(name.to_owned())
            {
                collect(&document["components"]["schemas"][name], document, found);
            }
            map.values().for_each(|inner| collect(inner, document, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, document, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Moves the scopes out of the security schemes, where the handlers' macro has to put them.
fn move_scopes(operation: &mut Value, known: &BTreeSet<String>) {
    let Some(security) = operation.get_mut("security").and_then(Value::as_array_mut) else {
        operation["security"] = json!([]);
        return;
    };
    let (schemes, scopes): (Vec<_>, Vec<_>) =
        security.drain(..).partition(|entry| keys(entry).iter().all(|name| known.contains(name)));
    let scopes: Vec<_> = scopes.iter().flat_map(keys).collect();
    operation["security"] = json!(schemes);
    operation["x-required-scopes"] = json!(scopes);
}

/// Replaces the one entry for any refusal by those that the operation can have.
fn list_refusals(method: &str, operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    let parameters: Vec<_> = operation["parameters"].as_array().cloned().unwrap_or_default();
    let has_path_parameter = parameters.iter().any(|one| one["in"] == "path");
    let is_guarded = operation.get("x-required-scopes").is_some();
    if operation["parameters"].is_null()
        && let Some(map) = operation.as_object_mut()
    {
        map.remove("parameters");
    }
    let has_input = has_body || !parameters.is_empty();
    let changes_one = method != "get" && has_path_parameter;
    let makes_humans_decide =
        ["ask_approval", "retry_task"].iter().any(|name| operation["operationId"] == **name);
    let is_negotiated =
        operation["responses"]["200"]["content"].as_object().is_some_and(|forms| forms.len() > 1);
    let waits = is_negotiated || parameters.iter().any(|one| one["name"] == "wait_ms");
    let refusals = [
        (400, has_input, "A parameter, a header or the JSON is unreadable."),
        (401, is_guarded, "The credential is missing or invalid."),
        (403, is_guarded, "The caller's role, or a rule, forbids this call."),
        (404, has_path_parameter, "The resource does not exist."),
        (406, is_negotiated, "`Accept` names no media type of the answer."),
        (409, changes_one, "The state of the resource does not allow this call."),
        (408, has_body, "The body arrived too slowly."),
        (413, has_body, "The body is too large."),
        (415, has_body, "The `Content-Type` is not JSON, or the body is compressed."),
        (422, has_body, "Fields are invalid; `errors` names all of them."),
        (
            429,
            has_body || waits || makes_humans_decide,
            "The caller exceeds a limit: waiting calls, bytes of bodies or events, approval \
             requests. Try again after `Retry-After`.",
        ),
        (500, true, "A fault of the service."),
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

/// Adds the request's id to every response, spells headers as they are sent, and adds missing
/// descriptions.
fn finish_responses(operation: &mut Value) {
    for response in members_mut(&mut operation["responses"]) {
        if response["description"] == "" {
            response["description"] = json!("Done");
        }
        let headers = response["headers"].as_object().cloned().unwrap_or_default();
        let mut headers: Object =
            headers.into_iter().map(|(name, header)| (capital_words(&name), header)).collect();
        headers
            .insert("X-Request-Id".to_owned(), json!({"$ref": "#/components/headers/RequestId"}));
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
