//! What a human says yes to: the digest of a task's content, and how two payloads differ.
//!
//! Nothing here rounds a number or drops a repeated key: an agent might read what a digest would not tell apart.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::name::Name;

/// What will run, as far as a human decides on it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'c> {
    /// The task's type.
    pub kind: &'c Name,
    /// The agent that will get it.
    pub agent: &'c Name,
    /// 1, and one more for every time that the payload was changed.
    pub version: u32,
    /// What to do.
    pub payload: &'c RawValue,
    /// The step that the agent asks about, if it does.
    pub action: Option<&'c RawValue>,
}

impl Content<'_> {
    /// SHA-256, hexadecimal, of the canonical JSON of `{action, agent, payload, type, version}`; without an action, of
    /// the other four. See [`canonical`].
    pub fn digest(&self) -> String {
        let mut text = String::from("{");
        if let Some(action) = self.action {
            let _ = write!(text, r#""action":{},"#, canonical(action));
        }
        // The names are such that they need no escapes. Writing to a String cannot fail.
        let (agent, kind, version) = (self.agent, self.kind, self.version);
        let payload = canonical(self.payload);
        let _ = write!(
            text,
            r#""agent":"{agent}","payload":{payload},"type":"{kind}","version":{version}}}"#
        );
        Sha256::digest(text).iter().fold(String::with_capacity(64), |mut digest, byte| {
            let _ = write!(digest, "{byte:02x}");
            digest
        })
    }
}

/// JSON without outer space, the keys of each object sorted by their UTF-8 bytes, strings with as few escapes as JSON
/// allows, numbers as they were written. Keys that are given twice stay, in their order.
///
/// For JSON whose numbers are whole this is what RFC 8785 makes of it, as long as no key has characters beyond U+FFFF.
pub fn canonical(json: &RawValue) -> String {
    let mut text = String::with_capacity(json.get().len());
    Node::read(json).write(&mut text);
    text
}

/// One place at which two payloads differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: a JSON Pointer.
    pub pointer: String,
    /// What stood there, as JSON; none: nothing.
    #[serde(with = "embedded")]
    pub before: Option<String>,
    /// What stands there, as JSON; none: nothing.
    #[serde(with = "embedded")]
    pub after: Option<String>,
}

/// Where `after` differs from `before`, in the order of the keys: the smallest parts that do. Lists are compared place
/// by place, objects with a repeated key as a whole.
pub fn changes(before: &RawValue, after: &RawValue) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), Some(&Node::read(before)), Some(&Node::read(after)), &mut changes);
    changes
}

/// A JSON value, its leaves as canonical text.
#[derive(PartialEq, Eq)]
enum Node {
    /// Sorted by key.
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Leaf(String),
}

impl Node {
    /// Payloads are nested at most 64 deep, which the gateway sees to, so this cannot recurse for long.
    fn read(json: &RawValue) -> Self {
        let text = json.get().trim_ascii();
        match text.as_bytes().first() {
            Some(b'{') => match serde_json::from_str::<Fields>(text) {
                Ok(Fields(mut fields)) => {
                    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
                    Self::Object(fields)
                }
                Err(_) => Self::Leaf(text.to_owned()),
            },
            Some(b'[') => match serde_json::from_str::<Vec<Box<RawValue>>>(text) {
                Ok(items) => Self::Array(items.iter().map(|item| Self::read(item)).collect()),
                Err(_) => Self::Leaf(text.to_owned()),
            },
            Some(b'"') => match serde_json::from_str::<String>(text) {
                Ok(string) => Self::Leaf(quote(&string)),
                Err(_) => Self::Leaf(text.to_owned()),
            },
            _ => Self::Leaf(text.to_owned()),
        }
    }

    fn write(&self, text: &mut String) {
        let mut separator = "";
        match self {
            Self::Leaf(leaf) => text.push_str(leaf),
            Self::Object(fields) => {
                text.push('{');
                for (key, value) in fields {
                    let _ = write!(text, "{separator}{}:", quote(key));
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

    fn has_repeated_key(&self) -> bool {
        matches!(self, Self::Object(fields) if fields.windows(2).any(|pair| pair[0].0 == pair[1].0))
    }
}

fn compare(
    pointer: String,
    before: Option<&Node>,
    after: Option<&Node>,
    changes: &mut Vec<Change>,
) {
    match (before, after) {
        (Some(Node::Object(old)), Some(Node::Object(new)))
            if ![before, after].into_iter().flatten().any(Node::has_repeated_key) =>
        {
            let mut keys: Vec<&String> = old.iter().chain(new).map(|(key, _)| key).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let of =
                    |fields: &'_ [(String, Node)]| fields.iter().position(|(name, _)| name == key);
                let inner = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                let (old, new) = (of(old).map(|nth| &old[nth].1), of(new).map(|nth| &new[nth].1));
                compare(inner, old, new, changes);
            }
        }
        (Some(Node::Array(old)), Some(Node::Array(new))) => {
            for nth in 0..old.len().max(new.len()) {
                compare(format!("{pointer}/{nth}"), old.get(nth), new.get(nth), changes);
            }
        }
        _ if before != after => {
            let text = |node: &Node| {
                let mut text = String::new();
                node.write(&mut text);
                text
            };
            changes.push(Change { pointer, before: before.map(text), after: after.map(text) });
        }
        _ => {}
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The fields of an object in their order, the repeated ones too.
struct Fields(Vec<(String, Node)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Fields;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((key, Node::read(&value)));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// JSON within JSON.
mod embedded {
    use serde::{Serialize, Serializer};
    use serde_json::value::RawValue;

    pub fn serialize<S: Serializer>(
        json: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = json.as_ref().map(|text| RawValue::from_string(text.clone())).transpose();
        raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_same_content_has_one_canonical_form() {
        for (text, expected) in [
            (r#" { "b" : [ 1 , { } ] , "a" : "\u0041\/\n" } "#, r#"{"a":"A/\n","b":[1,{}]}"#),
            (
                r#"{"a":1e400,"b":12345678901234567890,"c":1.0}"#,
                r#"{"a":1e400,"b":12345678901234567890,"c":1.0}"#,
            ),
            (r#"{"a":1,"a":2,"A":null}"#, r#"{"A":null,"a":1,"a":2}"#),
        ] {
            assert_eq!(canonical(&raw(text)), expected);
        }
    }

    #[test]
    fn a_digest_is_sha_256_of_what_the_documentation_says() {
        let (kind, agent) = ("deploy".parse().unwrap(), "ops_agent".parse().unwrap());
        let payload = raw(r#"{"b":2, "a":1}"#);
        let content =
            Content { kind: &kind, agent: &agent, version: 1, payload: &payload, action: None };

        // printf '{"agent":"ops_agent","payload":{"a":1,"b":2},"type":"deploy","version":1}' | sha256sum
        assert_eq!(
            content.digest(),
            "09eb28ae46c94d1642ceed774ed3c712f84664b6ce6c8dcc337c53f323fd5511"
        );
        let action = raw(r#"{"drop": "table"}"#);
        assert_ne!(Content { action: Some(&action), ..content }.digest(), content.digest());
        assert_ne!(Content { version: 2, ..content }.digest(), content.digest());
    }

    #[test]
    fn two_payloads_differ_in_their_smallest_parts() {
        let (before, after) = (
            r#"{"a":{"b":1,"c/d":[1,2]},"e":1.0,"g":1}"#,
            r#"{"a":{"c/d":[1,3,4],"b":1},"e":1,"f":{}}"#,
        );

        let found = changes(&raw(before), &raw(after));

        let expected = r#"[{"pointer":"/a/c~1d/1","before":2,"after":3},{"pointer":"/a/c~1d/2","before":null,"after":4},{"pointer":"/e","before":1.0,"after":1},{"pointer":"/f","before":null,"after":{}},{"pointer":"/g","before":1,"after":null}]"#;
        assert_eq!(serde_json::to_string(&found).unwrap(), expected);
        assert_eq!(changes(&raw(before), &raw(before)), []);
        let repeated = changes(&raw(r#"{"a":1,"a":2}"#), &raw(r#"{"a":2,"a":1}"#));
        assert_eq!(repeated[0].pointer, "");
    }
}
