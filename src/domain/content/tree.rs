//! A JSON text as a tree, which loses nothing but white space and the order of keys.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::domain::text::quoted;

/// The largest exponent of a number that is compared by value.
const NINE_DIGITS: i32 = 999_999_999;

/// A JSON value, its leaves as canonical text.
#[derive(PartialEq, Eq)]
pub(super) enum Node {
    /// The members, sorted by key; see [`Key::read`].
    Object(Vec<(Key, Node)>),
    Array(Vec<Node>),
    Leaf(String),
}

/// A key of an object. Keys are sorted by their characters. A key with a lone surrogate keeps its
/// JSON text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Text(String),
    Raw(String),
}

impl Key {
    fn read(json: &str) -> Self {
        match json.get(1..json.len().saturating_sub(1)) {
            // Without an escape, the text between the quotes is the key.
            Some(text) if !json.contains('\\') => Self::Text(text.to_owned()),
            _ => serde_json::from_str(json).map_or_else(|_| Self::Raw(json.to_owned()), Self::Text),
        }
    }

    pub(super) fn json(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
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
    /// Whether two spellings of one number become the same leaf.
    joins_numbers: bool,
}

impl<'t> Reader<'t> {
    /// Skips white space and returns the next byte without consuming it. `None` at the end.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += space;
        rest.get(space).copied()
    }

    /// Skips `,` and `:`, and the bracket that ends the list. Returns whether another item follows.
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

    /// Consumes and returns a string, a number or a literal exactly as it is written.
    fn token(&mut self) -> &'t str {
        let begin = self.at;
        let bytes = &self.text.as_bytes()[begin..];
        let length = if bytes.first() == Some(&b'"') {
            string_length(bytes)
        } else {
            let parts = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
            // At least one, so that the reader always moves on.
            parts.count().max(1)
        };
        self.at = (begin + length).min(self.text.len());
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Reads one value. The gateway bounds the depth of what is read here, and so of this
    /// recursion.
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
                if !token.contains('\\') {
                    return Node::Leaf(token.to_owned());
                }
                let text = serde_json::from_str::<String>(token);
                Node::Leaf(text.map_or_else(|_| token.to_owned(), |text| quoted(&text)))
            }
            _ => {
                let token = self.token();
                let joined = if self.joins_numbers { decimal(token) } else { None };
                Node::Leaf(joined.unwrap_or_else(|| token.to_owned()))
            }
        }
    }
}

impl Node {
    pub(super) fn read(json: &RawValue) -> Self {
        Reader { text: json.get(), at: 0, joins_numbers: false }.node()
    }

    /// Reads JSON with one leaf for all spellings of a number: see [`decimal`].
    pub(super) fn read_values(json: &str) -> Self {
        Reader { text: json, at: 0, joins_numbers: true }.node()
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

/// Returns the length in bytes of the JSON string that `bytes` begin with, both quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if *byte == b'"' {
            return at + 1;
        } else {
            is_escaped = *byte == b'\\';
        }
    }
    bytes.len()
}

/// Returns a number as its significant digits and a power of ten, without rounding: `1`, `1.0` and
/// `10e-1` give `1e0`, and both zeros give `0`. `None` for a literal such as `true`, and for an
/// exponent of more than nine digits.
fn decimal(token: &str) -> Option<String> {
    let (sign, number) = token.strip_prefix('-').map_or(("", token), |number| ("-", number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let exponent: i32 =
        exponent.parse().ok().filter(|power| (-NINE_DIGITS..=NINE_DIGITS).contains(power))?;
    let moved = digits.len() as i64 - significant.len() as i64 - fraction.len() as i64;
    Some(format!("{sign}{significant}e{}", i64::from(exponent) + moved))
}
