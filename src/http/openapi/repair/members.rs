//! Repairs each object of the document on its own: its numbers, formats and repetitions.

use serde_json::{Value, json};

use super::{Object, text};

/// Repairs each object of the document on its own.
pub fn repair(value: &mut Value) {
    match value {
        Value::Object(map) => {
            unfold_all_of(map);
            repair_number(map);
            if text(map, "format").is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(repair);
        }
        Value::Array(items) => items.iter_mut().for_each(repair),
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
