//! A JSON text as a tree, from which nothing is lost but space and the order of keys.

use std::fmt::Write as _;

use serde_json::value::RawValue;

/// The largest exponent of a number that is compared by value.
const NINE_DIGITS: i32 = 999_999_999;

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
        match json.get(1..json.len().saturating_sub(1)) {
            // Without an escape it is what it looks like.
            Some(text) if !json.contains('\\') => Self::Text(text.to_owned()),
            _ => serde_json::from_str(json).map_or_else(|_| Self::Raw(json.to_owned()), Self::Text),
        }
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
    /// Whether two ways to write one number become the same leaf.
    joins_numbers: bool,
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

    /// The gateway bounds how deep what is read here nests, so this cannot recurse for long.
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
                Node::Leaf(text.map_or_else(|_| token.to_owned(), |text| quote(&text)))
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

    /// The same with one leaf for all ways to write a number: [`decimal`].
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

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number as its significant digits and a power of ten: `1`, `1.0` and `10e-1` are `1e0`, and both zeros are `0`.
/// Nothing is rounded. `None` for a word, and for an exponent of more than nine digits.
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
