//! One object with all its members, as a human reads it before a decision.

use serde_json::value::RawValue;

use super::json::{Members, pretty};
use super::text::{visible, visible_json, wrap};

/// The width of the column of names, chosen so that a digest fits into a line of 80.
const NAMES: usize = 15;

/// Returns every member that is not null, in the service's order. A task within it follows below a
/// heading of its own.
///
/// * `width`: the width of the terminal in columns.
pub fn describe(members: &Members, width: usize) -> String {
    let mut text = String::new();
    for (name, value) in members.0.iter().filter(|(_, value)| value.get() != "null") {
        match serde_json::from_str::<Members>(value.get()) {
            Ok(task) if name == "task" => {
                text.push_str("\nWhat would run:\n\n");
                text.push_str(&describe(&task, width));
            }
            _ => text.push_str(&field(name, value, width)),
        }
    }
    text
}

fn field(name: &str, value: &RawValue, width: usize) -> String {
    let name = visible(name);
    let shown = match serde_json::from_str::<String>(value.get()) {
        Ok(text) => visible(&text),
        Err(_) => visible_json(&pretty(value.get())),
    };
    if !shown.contains('\n') {
        return format!("{}\n", wrap(&format!("{name:NAMES$} {shown}"), width, NAMES + 1));
    }
    let lines = shown.lines().map(|line| {
        let indent = line.len() - line.trim_start().len() + 2;
        format!("{}\n", wrap(&format!("  {line}"), width, indent))
    });
    format!("{name}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_shown_and_hidden_characters_are_visible() {
        let answer = r#"{"approval_id": "1", "rule": "urgent\u202e", "digest": "ab", "comment": null, "votes": [{"by": "x"}],
            "task": {"type": "deploy", "payload": {"n": 12345678901234567890, "a": "\u001b[2J\u200b", "n": 2}, "error": null}}"#;
        let members = serde_json::from_str(answer).unwrap();

        let shown = describe(&members, 80);

        let expected = "approval_id     1\nrule            urgent\\u{202e}\ndigest          ab\nvotes\n  [\n    {\n      \
                        \"by\": \"x\"\n    }\n  ]\n\nWhat would run:\n\ntype            deploy\npayload\n  {\n    \
                        \"n\": 12345678901234567890,\n    \"a\": \"\\u001b[2J\\u200b\",\n    \"n\": 2\n  }\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn no_text_imitates_a_field() {
        let answer = format!(
            r#"{{"comment": "{}status          approved", "rule": "a\nstatus"}}"#,
            " ".repeat(24)
        );
        let members = serde_json::from_str(&answer).unwrap();

        let shown = describe(&members, 40);

        for line in shown.lines().skip(1) {
            assert!(line.starts_with("                > ") || line.starts_with("rule "), "{shown}");
        }
        assert!(shown.contains("a\\nstatus"), "{shown}");
    }
}
