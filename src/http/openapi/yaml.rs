//! Writes a JSON value as YAML: block style, with quotes around text that could be read as anything
//! else.

use std::fmt::Write;

use serde_json::Value;

/// Returns the value as a YAML document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

/// Writes `value` where a line begins at `indent`, and ends the line.
fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, inner)) in map.iter().enumerate() {
                // The first entry stands at the cursor: at the margin, or behind a dash.
                let margin = if index == 0 { 0 } else { indent };
                let _ = write!(text, "{:margin$}{}:", "", scalar(key));
                below(text, inner, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                let margin = if index == 0 { 0 } else { indent };
                let _ = write!(text, "{:margin$}- ", "");
                block(text, inner, indent + 2);
            }
        }
        Value::String(word) => {
            let _ = writeln!(text, "{}", scalar(word));
        }
        // Empty lists and maps, numbers, booleans and null are the same in JSON.
        other => {
            let _ = writeln!(text, "{other}");
        }
    }
}

/// Writes the value of a key: on the same line, or indented below it.
fn below(text: &mut String, value: &Value, indent: usize) {
    let has_members = value.as_object().is_some_and(|map| !map.is_empty());
    if has_members || value.as_array().is_some_and(|items| !items.is_empty()) {
        let inner = indent + 2;
        let _ = write!(text, "\n{:inner$}", "");
        block(text, value, inner);
    } else {
        text.push(' ');
        block(text, value, indent);
    }
}

/// Returns the word itself if no reader can take it for a number, a boolean or null; otherwise as
/// JSON, which is YAML.
fn scalar(word: &str) -> String {
    let is_plain = word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./{}+".contains(&byte))
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&word.to_lowercase().as_str());
    if is_plain { word.to_owned() } else { Value::from(word).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_indents_nested_values_and_quotes_risky_text() {
        let value =
            json!({"a": {"b": [1, {"c": "no", "d": []}]}, "200": "it's: so\n", "e": [["x"]]});
        let expected = "\"200\": \"it's: so\\n\"\na:\n  b:\n    - 1\n    - c: \"no\"\n      d: []\ne:\n  - - x\n";

        assert_eq!(write(&value), expected);
    }
}
