//! Lists of words: closed in requests, open in answers, where later versions may add to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::super::view::WORDS;
use super::{Object, collect, property, sent, text, values};

/// The closed lists of words, by the reference to their schema.
type Lists = BTreeMap<String, Value>;

/// Makes the lists of words in answers open: texts whose known values `x-extensible-enum` lists.
pub fn open_in_answers(document: &mut Value) {
    let mut answered = BTreeSet::new();
    for operation in values(&document["paths"]).flat_map(values) {
        collect(&operation["responses"], document, &mut answered);
    }
    let sent = sent(document);
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let lists: Lists = schemas
        .iter()
        .filter(|(_, schema)| schema["enum"].is_array())
        .map(|(name, schema)| (format!("#/components/schemas/{name}"), schema["enum"].clone()))
        .collect();
    for name in answered.difference(&sent) {
        let Some(schema) = schemas.get_mut(name).filter(|schema| !schema["enum"].is_array()) else {
            continue;
        };
        open(schema, &lists);
    }
    for (schema, member, words) in WORDS {
        if let Some(property) = property(document, schema, member) {
            property.insert("x-extensible-enum".to_owned(), json!(words));
        }
    }
}

/// Opens each list of words below `value`.
fn open(value: &mut Value, lists: &Lists) {
    match value {
        Value::Object(map) => {
            if let Some(words) = words_of(map, lists) {
                map.remove("$ref");
                map.remove("allOf");
                map.remove("enum");
                map.insert("type".to_owned(), json!("string"));
                map.insert("x-extensible-enum".to_owned(), words);
            }
            map.values_mut().for_each(|inner| open(inner, lists));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| open(inner, lists)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The words of a schema that has a closed list or refers to one.
fn words_of(map: &Object, lists: &Lists) -> Option<Value> {
    let own = map.get("enum").filter(|_| text(map, "type") == Some("string"));
    let target = text(map, "$ref")
        .or_else(|| map.get("allOf").and_then(|parts| parts[0]["$ref"].as_str()))
        .and_then(|target| lists.get(target));
    own.or(target).cloned()
}

/// Names the variants of each closed list after the list, for languages in which all variants share
/// one namespace.
pub fn name_variants(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for (name, schema) in schemas {
        let Some(words) = schema["enum"].as_array() else { continue };
        let prefix = screaming(name);
        let names = words.iter().filter_map(Value::as_str);
        // A scope has a colon, which no name may have.
        let names = names.map(|word| word.to_uppercase().replace(':', "_"));
        let names: Vec<_> = names.map(|word| format!("{prefix}_{word}")).collect();
        schema["x-enum-varnames"] = json!(names);
    }
}

/// Writes `TaskStatus` as `TASK_STATUS`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}
