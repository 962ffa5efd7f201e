//! The examples of the document against its schemas.

use serde_json::Value;

use super::{operations, resolved};
use crate::http::openapi::document;

/// Compares `example` with `schema`: each required member is there, and no other than the known.
fn compare(
    document: &Value,
    schema: &Value,
    example: &Value,
    place: &str,
    faults: &mut Vec<String>,
) {
    let schema = resolved(document, schema);
    for (nth, item) in example.as_array().into_iter().flatten().enumerate() {
        compare(document, &schema["items"], item, &format!("{place}/{nth}"), faults);
    }
    let (Some(members), Some(known)) = (example.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(required.as_str().unwrap()) {
            faults.push(format!("{place} lacks {required}"));
        }
    }
    for (name, member) in members {
        match known.get(name) {
            Some(schema) => {
                compare(document, schema, member, &format!("{place}/{name}"), faults);
            }
            None => faults.push(format!("{place} has an unknown {name}")),
        }
    }
}

#[test]
fn each_example_has_the_members_of_its_schema() {
    let document = document();
    let mut faults = Vec::new();
    let mut count = 0;

    for operation in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        let responses = operation["responses"].as_object().unwrap().values();
        for body in responses.chain([&operation["requestBody"]]) {
            for content in body["content"].as_object().into_iter().flat_map(|all| all.values()) {
                let Some(example) = content.get("example") else { continue };
                count += 1;
                compare(&document, &content["schema"], example, name, &mut faults);
            }
        }
    }

    assert!(count > 50, "{count}");
    assert_eq!(faults, Vec::<String>::new());
}
