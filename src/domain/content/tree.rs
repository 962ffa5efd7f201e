//! A JSON text as a tree, from which nothing is lost but space and the order of keys.

use std::fmt::Write as _;

use serde_json::value::RawValue;

/// A JSON value, its leaves as canonical text.
#[derive(PartialEq, Eq)]
pub(super) enum Node {
    /// Sorted by key; a key is as [`Key::read`] says.
    Object(Vec<(Key, Node)>),
    Array(Vec<Node>),
    Leaf(String),
}

/// A key of an object: its characters, by which it is sorted; of one that has a lone surrogate, the text as it stands.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Text(String),
    Raw(String),
}

impl Key {
    fn read(json: &str) -> Self {
        serde_json::from_str(json).map_or_else(|_| Self::Raw(json.to_owned()), Self::Text)
    }

    pub(super) fn json(&self) -> String {
        match self {
            Self::Text(text) => quote(text),
            Self::Raw(json) => json.clone(),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Raw(json) => json.trim_matches('"'),
        }
    }
}

/// Reads valid JSON in one pass over its text.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += space;
        rest.get(space).copied()
    }

    /// Passes over `,` and `:`, and over the bracket that ends the list; whether one more item follows.
    fn has_more(&mut self) -> bool {
        let next = self.peek();
        if next.is_none() || matches!(next, Some(b'}' | b']')) {
            self.at += 1;
            return false;
        }
        if matches!(next, Some(b',' | b':')) {
            self.at += 1;
        }
        true
    }

    /// A string, a number or a word, as it stands.
    fn token(&mut self) -> &'t str {
        let begin = self.at;
        let bytes = &self.text.as_bytes()[begin..];
        let length = if bytes.first() == Some(&b'"') {
            let mut is_escaped = false;
            let is_end = |byte: &u8| {
                let is_end = *byte == b'"' && !is_escaped;
                is_escaped = *byte == b'\\' && !is_escaped;
                is_end
            };
            bytes[1..].iter().position(is_end).map_or(bytes.len(), |nth| nth + 2)
        } else {
            let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            // At least one, so that no text keeps a reader in its place.
            bytes.iter().take_while(is_part).count().max(1)
        };
        self.at = (begin + length).min(self.text.len());
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Payloads are nested at most 64 deep, which the gateway sees to, so this cannot recurse for long.
    fn node(&mut self) -> Node {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut fields = Vec::new();
                while self.has_more() {
                    self.peek();
                    let key = Key::read(self.token());
                    self.has_more();
                    fields.push((key, self.node()));
                }
                fields.sort_by(|(one, _), (other, _)| one.cmp(other));
                Node::Object(fields)
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                while self.has_more() {
                    items.push(self.node());
                }
                Node::Array(items)
            }
            Some(b'"') => {
                let token = self.token();
                let text = serde_json::from_str::<String>(token);
                Node::Leaf(text.map_or_else(|_| token.to_owned(), |text| quote(&text)))
            }
            _ => Node::Leaf(self.token().to_owned()),
        }
    }
}

impl Node {
    pub(super) fn read(json: &RawValue) -> Self {
        Reader { text: json.get(), at: 0 }.node()
    }

    pub(super) fn json(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    pub(super) fn write(&self, text: &mut String) {
        let mut separator = "";
        match self {
            Self::Leaf(leaf) => text.push_str(leaf),
            Self::Object(fields) => {
                text.push('{');
                for (key, value) in fields {
                    let _ = write!(text, "{separator}{}:", key.json());
                    value.write(text);
                    separator = ",";
                }
                text.push('}');
            }
            Self::Array(items) => {
                text.push('[');
                for item in items {
                    text.push_str(separator);
                    item.write(text);
                    separator = ",";
                }
                text.push(']');
            }
        }
    }

    pub(super) fn has_repeated_key(&self) -> bool {
        matches!(self, Self::Object(fields) if fields.windows(2).any(|pair| pair[0].0 == pair[1].0))
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
