//! The examples of the document against its schemas.

use serde_json::{Map, Value};

use super::{operations, target};
use crate::http::openapi::document;

/// The faults of the examples, each with its place.
struct Check {
    document: Value,
    faults: Vec<String>,
}

impl Check {
    fn fault(&mut self, place: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{place} {what}"));
    }

    /// Compares a value with its schema, and all values in it with theirs.
    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        let own = schema;
        let schema = target(&self.document, schema).clone();
        if value.is_null() {
            let may_be_null = schema["type"].is_null() || schema["nullable"] == true;
            if !may_be_null && own["oneOf"][1]["nullable"] != true {
                self.fault(place, "is null");
            }
            return;
        }
        let is_of_type = match schema["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some(_) | None => true,
        };
        if !is_of_type {
            self.fault(place, format!("is not of type {}", schema["type"]));
        }
        for name in ["enum", "x-extensible-enum"] {
            if schema[name].as_array().is_some_and(|words| !words.contains(value)) {
                self.fault(place, format!("is not in {}", schema[name]));
            }
        }
        for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
            self.value(&schema["items"], item, &format!("{place}/{nth}"));
        }
        // A schema of no type takes any members.
        let is_open = schema["type"].is_null() && schema["allOf"].is_null();
        if let Some(members) = value.as_object().filter(|_| !is_open) {
            self.members(&schema, members, place);
        }
    }

    /// Compares the members of an object: each required one is there, and no unknown one.
    fn members(&mut self, schema: &Value, members: &Map<String, Value>, place: &str) {
        let (known, required) = self.parts(schema);
        for name in required {
            if !members.contains_key(&name) {
                self.fault(place, format!("lacks {name}"));
            }
        }
        for (name, value) in members {
            let place = format!("{place}/{name}");
            match known.get(name).or(schema.get("additionalProperties")) {
                Some(schema) => self.value(schema, value, &place),
                None => self.fault(&place, "is unknown"),
            }
        }
    }

    /// The known members of a schema and the names of the required ones, with those of the schema
    /// that it extends.
    fn parts(&self, schema: &Value) -> (Map<String, Value>, Vec<String>) {
        let mut known = schema["properties"].as_object().cloned().unwrap_or_default();
        let names = schema["required"].as_array().into_iter().flatten();
        let mut required: Vec<_> = names.filter_map(Value::as_str).map(str::to_owned).collect();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let (more, more_required) = self.parts(target(&self.document, part));
            known.extend(more);
            required.extend(more_required);
        }
        (known, required)
    }
}

#[test]
fn each_example_is_complete_and_valid_for_its_schema() {
    let document = document();
    let mut check = Check { document: document.clone(), faults: Vec::new() };
    let mut count = 0;

    for operation in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        let responses = operation["responses"].as_object().unwrap().values();
        for body in responses.chain([&operation["requestBody"]]) {
            for content in body["content"].as_object().into_iter().flat_map(|all| all.values()) {
                let shared = content["examples"].as_object().into_iter().flatten();
                let shared = shared.map(|(_, example)| target(&document, example)["value"].clone());
                for example in content.get("example").cloned().into_iter().chain(shared) {
                    count += 1;
                    check.value(&content["schema"], &example, name);
                }
            }
        }
    }

    assert!(count > 50, "{count}");
    assert_eq!(check.faults, Vec::<String>::new());
}

#[test]
fn an_incomplete_or_wrong_example_is_a_fault() {
    let health = serde_json::json!({"$ref": "#/components/schemas/Health"});
    let mut check = Check { document: document(), faults: Vec::new() };

    let example = serde_json::json!({"status": "fine", "redis": null, "version": 1, "x": 0});
    check.value(&health, &example, "");

    check.faults.sort();
    let expected = [
        " lacks bridge_lag_ms",
        " lacks queue_stats",
        "/redis is null",
        "/status is not in [\"healthy\",\"unhealthy\"]",
        "/version is not of type \"string\"",
        "/x is unknown",
    ];
    assert_eq!(check.faults, expected);
}
