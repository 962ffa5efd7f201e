//! Members that may be null or absent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Object, sent, text};

/// The schema whose members are absent rather than null, as RFC 9457 requires.
const SPARSE: &str = "Problem";

/// The members that are absent unless the client requests them, or there is a tenant: schema,
/// member.
const LEFT_OUT: [(&str, &str); 14] = [
    ("AgentState", "sessions"),
    ("AgentState", "tenant"),
    ("Approval", "tenant"),
    ("BrowserSession", "tenant"),
    ("BulkFilter", "tenant"),
    ("Event", "tenant"),
    ("ManagedKey", "tenant"),
    ("Task", "tenant"),
    ("Task", "payload"),
    ("Task", "metadata"),
    ("Task", "result"),
    ("Approval", "action"),
    ("PayloadEdit", "original_payload"),
    ("PayloadEdit", "changes"),
];

/// The type of each schema, by its reference.
type Types = BTreeMap<String, Value>;

/// Marks fields that are not required as nullable. In a request, `null` is the same as left out; a
/// view always has the field, so there it is required too.
pub fn show(document: &mut Value) {
    let sent = sent(document);
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let types: Types = schemas
        .iter()
        .map(|(name, schema)| (format!("#/components/schemas/{name}"), schema["type"].clone()))
        .collect();
    for (name, schema) in schemas {
        let Some(schema) = schema.as_object_mut().filter(|_| name != SPARSE) else {
            continue;
        };
        let mut names = show_of(schema, &types);
        names.retain(|member| !LEFT_OUT.contains(&(name.as_str(), member.as_str())));
        if !names.is_empty() && !sent.contains(name) {
            schema.insert("required".to_owned(), json!(names));
        }
    }
}

/// Marks the fields that are not required as nullable, and returns the names of all fields.
fn show_of(schema: &mut Object, types: &Types) -> Vec<String> {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    for (name, property) in properties.iter_mut() {
        if required.contains(&json!(name)) {
            continue;
        }
        if let Some(property) = property.as_object_mut() {
            make_nullable(property, types);
        }
    }
    properties.keys().cloned().collect()
}

fn make_nullable(property: &mut Object, types: &Types) {
    let target = property.remove("$ref").map(|target| json!({"$ref": target}));
    let target =
        target.or_else(|| property.remove("allOf").and_then(|parts| parts.get(0).cloned()));
    if let Some(target) = target {
        // Strict readers ignore `nullable` beside a reference, because the target is not nullable,
        // and refuse it without a type.
        let ty = target["$ref"].as_str().and_then(|name| types.get(name));
        let absent = json!({"type": ty, "nullable": true, "enum": [null]});
        property.insert("oneOf".to_owned(), json!([target, absent]));
    } else if text(property, "type").is_some() {
        // A member without a type may have any value, `null` too.
        property.insert("nullable".to_owned(), json!(true));
    }
}
