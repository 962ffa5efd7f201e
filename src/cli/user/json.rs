//! JSON for people, token by token: numbers, repeated keys and the order of keys stay as they are.

use serde_json::value::RawValue;

use crate::domain::json;

use super::text::{visible, visible_json};

/// The members of an object in order, each value exactly as it is written.
pub type Members = json::Members<String, Box<RawValue>>;

impl Members {
    /// Returns a member as one word: a text with hidden characters made visible, `-` for null or an
    /// absent member, and the JSON of any other value.
    pub fn word(&self, name: &str) -> String {
        match self.get(name).map(RawValue::get) {
            None | Some("null") => "-".to_owned(),
            Some(json) => serde_json::from_str::<String>(json)
                .map_or_else(|_| visible_json(json), |text| visible(&text)),
        }
    }

    /// Returns the members of a member that is an object. Any other value has no members.
    pub fn object(&self, name: &str) -> Self {
        self.get(name)
            .and_then(|json| serde_json::from_str(json.get()).ok())
            .unwrap_or_else(|| Self(Vec::new()))
    }

    /// Returns a member that is a text, as it is; `None` if it is absent or anything else.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|json| serde_json::from_str(json.get()).ok())
    }

    /// Returns a member, exactly as it is written.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }
}

/// Returns valid JSON with a line for each member and item.
pub fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let mut is_text = false;
    let mut is_escaped = false;
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        if is_text {
            out.push(letter);
            is_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        match letter {
            '{' | '[' => {
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                out.push(letter);
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            letter if letter.is_ascii_whitespace() => {}
            letter => {
                is_text = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_stays_as_it_is() {
        let json = r#"{ "a":1e400,"a" : [ ] ,"b":[{},{"c":"x, {\"y\\"}, 12345678901234567890.50],"d":{"e":null}}"#;

        let expected = "{\n  \"a\": 1e400,\n  \"a\": [],\n  \"b\": [\n    {},\n    {\n      \"c\": \"x, {\\\"y\\\\\"\n    },\n    \
                        12345678901234567890.50\n  ],\n  \"d\": {\n    \"e\": null\n  }\n}";
        assert_eq!(pretty(json), expected);
        assert_eq!(pretty("\"a: b\""), "\"a: b\"");
    }

    #[test]
    fn members_keep_their_order_and_repetitions() {
        let all: Members =
            serde_json::from_str(r#"{"z": 1e400, "a": [2 ], "z": "3", "b": {"c": "\u202e"}}"#)
                .unwrap();

        assert_eq!(
            (all.word("z"), all.word("y"), all.object("b").word("c")),
            ("1e400".to_owned(), "-".to_owned(), "\\u{202e}".to_owned())
        );
        let read: Vec<_> = all.0.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
        assert_eq!(
            read,
            [("z", "1e400"), ("a", "[2 ]"), ("z", "\"3\""), ("b", r#"{"c": "\u202e"}"#)]
        );
    }
}
