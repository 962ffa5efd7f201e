//! Repairs the document of poem-openapi, so that linters accept it and generators keep all of it;
//! adds what the framework's macros cannot express: refusals, scopes, nullable fields, examples.

mod members;
mod nulls;
mod operations;
mod problems;
mod refusals;
mod words;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::request::{NUMBERS, TEXTS};

type Object = Map<String, Value>;

/// The schemas that have all members of another one and more, and that other one.
const EXTENSIONS: [(&str, &str); 3] =
    [("StatusChanged", "Task"), ("ApprovalDetail", "Approval"), ("SlaGroup", "SlaFigures")];

/// Returns the document, repaired.
pub fn repair(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    members::repair(&mut document);
    words::open_in_answers(&mut document);
    nulls::show(&mut document);
    add_bounds(&mut document);
    extend(&mut document);
    words::name_variants(&mut document);
    refusals::add_types(&mut document);
    operations::repair(&mut document);
    problems::add(&mut document);
    remove_unused(&mut document);
    document
}

/// Writes the schemas of [`EXTENSIONS`] as the other one and what they add.
fn extend(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    for (name, base) in EXTENSIONS {
        let inherited = keys(&schemas[base]["properties"]);
        let reference = json!({"$ref": format!("#/components/schemas/{base}")});
        let Some(schema) = schemas[name].as_object_mut() else { continue };
        let mut own = Object::new();
        own.insert("type".to_owned(), json!("object"));
        if let Some(Value::Object(mut properties)) = schema.remove("properties") {
            properties.retain(|member, _| !inherited.contains(member));
            own.insert("properties".to_owned(), Value::Object(properties));
        }
        if let Some(Value::Array(mut required)) = schema.remove("required") {
            required
                .retain(|member| member.as_str().is_some_and(|member| !inherited.contains(member)));
            own.insert("required".to_owned(), Value::Array(required));
        }
        schema.remove("type");
        schema.insert("allOf".to_owned(), json!([reference, own]));
    }
}

/// Removes the schemas to which nothing refers.
fn remove_unused(document: &mut Value) {
    let mut used = BTreeSet::new();
    collect(&document["paths"], document, &mut used);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// The names of the schemas that requests have.
fn sent(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operation in values(&document["paths"]).flat_map(values) {
        collect(&operation["requestBody"], document, &mut found);
    }
    found
}

/// The values of an object's members; none if the value is no object.
fn values(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Object::values)
}

fn values_mut(value: &mut Value) -> impl Iterator<Item = &mut Value> {
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
