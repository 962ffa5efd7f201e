//! What a human approves: the digest of a task's content, and how two payloads differ.
//!
//! This module never rounds a number or drops a repeated key. Otherwise an agent could read a
//! difference that the digest does not show.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::name::Name;
use super::text::hex;

mod diff;
mod tree;

pub use diff::{Change, changes};
use tree::Node;

/// The part of a task that a human decides on: what runs, and where.
#[derive(Clone, Copy, Debug)]
pub struct Content<'c> {
    /// The type of the task, which decides how its agent reads the payload.
    pub kind: &'c Name,
    /// The agent to which the routing rules gave the task, or its subject for a tenant.
    pub agent: &'c Name,
    /// The version of the payload: 1, and one more for every edit by an approver.
    pub version: u32,
    /// The payload as the agent receives it, byte for byte.
    pub payload: &'c RawValue,
    /// The step that the agent asks about. `None` if the whole task is decided on.
    pub action: Option<&'c RawValue>,
}

impl Content<'_> {
    /// Returns the hexadecimal SHA-256 of the canonical JSON of `{action, agent, payload, type,
    /// version}`, without the member `action` if there is none. See [`canonical`].
    pub fn digest(&self) -> String {
        let Self { kind, agent, version, payload, action } = self;
        let action = action.map(|action| format!(r#""action":{},"#, canonical(action)));
        let action = action.unwrap_or_default();
        let agent = agent.agent();
        let payload = canonical(payload);
        // Names need no escapes in JSON.
        let rest = format!(r#""payload":{payload},"type":"{kind}","version":{version}"#);
        hex(&Sha256::digest(format!(r#"{{{action}"agent":"{agent}",{rest}}}"#)))
    }
}

/// Returns the canonical form of valid JSON: no white space between tokens, the keys of each object
/// sorted by their UTF-8 bytes, strings with as few escapes as JSON allows, numbers as they were
/// written. Repeated keys stay, in their order.
///
/// For JSON with whole numbers only, and no character beyond U+FFFF in a key, this is the form of
/// RFC 8785.
pub fn canonical(json: &RawValue) -> String {
    let mut text = String::with_capacity(json.get().len());
    Node::read(json).write(&mut text);
    text
}

/// Returns the hexadecimal SHA-256 of [`canonical`] JSON in which every number has one form too.
/// Two texts have the same digest exactly if they have the same meaning: numbers are compared by
/// their decimal value, without rounding.
///
/// * `json`: valid JSON, nested no deeper than a recursive reader can follow.
pub fn value_digest(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    Node::read_values(json).write(&mut text);
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

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
    fn equal_values_have_one_digest_and_others_differ() {
        let same = |one: &str, other: &str| value_digest(one) == value_digest(other);

        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, " {\r\n\"b\" : [ true , null ],\t\"a\" : 1 } "),
            (r#"{"k\u00e9y":"\u00E9\/\n"}"#, r#"{"kéy":"é/\u000a"}"#),
            ("[1,-0,100,0.5,12e3]", "[1.0,0.00,1E+2,5e-1,0.12e05]"),
            (r#"{"b":{"d":1,"c":2},"a":1}"#, r#"{"a":1,"b":{"c":2,"d":1}}"#),
            ("1e400", "10e399"),
            ("0e99999999999", "0"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.10000000000000000001"),
            ("1e400", "1e401"),
            ("1e99999999999", "1e99999999998"),
            ("1", "-1"),
            ("1", "\"1\""),
            ("\"1e0\"", "1"),
            ("10", "1"),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[1,[2]]"),
            ("{}", "[]"),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":"b"}"#, r#"{"a":"B"}"#),
            ("true", "false"),
            (r#""\ud800""#, r#""\ud801""#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn another_spelling_of_a_text_has_its_digest(value in any_json(), seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let spelled = [spell(&value, &mut random), spell(&value, &mut random)];
            prop_assert_eq!(value_digest(&spelled[0]), value_digest(&spelled[1]), "{:?}", spelled);
        }

        #[test]
        fn two_values_have_two_digests(one in any_json(), other in any_json()) {
            prop_assert_eq!(one == other, value_digest(&one.to_string()) == value_digest(&other.to_string()));
        }
    }

    /// Small enough that two are the same now and then; its numbers are whole.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-9..9i64).prop_map(Value::from),
            "\\PC{0,3}|[a/\"\\\\\n]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let members = prop::collection::btree_map("[aé\"\n]{0,2}", inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(Value::from_iter),
            ]
        })
    }

    /// The value in one of its spellings.
    fn spell(value: &Value, random: &mut fastrand::Rng) -> String {
        let space = |random: &mut fastrand::Rng| ["", " ", "\n\t", "\r"][random.usize(..4)];
        let written = match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                random.shuffle(&mut members);
                let members = members.into_iter().map(|(key, value)| {
                    format!(
                        "{}:{}",
                        spell(&Value::from(key.as_str()), random),
                        spell(value, random)
                    )
                });
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| spell(item, random)).collect();
                format!("[{}]", items.join(","))
            }
            Value::String(text) => {
                let letters = text.chars().map(|letter| match letter {
                    plain if plain.is_ascii_alphanumeric() && random.bool() => plain.to_string(),
                    any => any
                        .encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}"))
                        .collect(),
                });
                format!("\"{}\"", letters.collect::<String>())
            }
            Value::Number(number) => match random.u8(..3) {
                0 => number.to_string(),
                1 => format!("{number}.00E+0"),
                _ => format!("{number}000e-3"),
            },
            word => word.to_string(),
        };
        format!("{}{written}{}", space(random), space(random))
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

    #[test]
    fn a_lone_surrogate_in_a_key_keeps_the_form_canonical() {
        let json = raw("{ \"b\": 1,\n \"\\ud800\" : [ \"\\udc00\" ], \"a\" : 2 }");

        assert_eq!(canonical(&json), r#"{"a":2,"b":1,"\ud800":["\udc00"]}"#);
        assert_eq!(changes(&json, &raw(&canonical(&json))), []);
    }

    #[test]
    fn an_edit_of_60_000_keys_is_fast_and_its_list_bounded() {
        let object = |value: usize| {
            let members: Vec<_> =
                (0..60_000).map(|nth| format!("\"key number {nth}\":{value}")).collect();
            raw(&format!("{{{}}}", members.join(",")))
        };
        let long = |value: usize| {
            let members: Vec<_> = (0..1_000).map(|nth| format!("\"{nth}\":{value}")).collect();
            raw(&format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), members.join(",")))
        };
        let before = std::time::Instant::now();

        let found = changes(&object(1), &object(2));
        let found_long = changes(&long(1), &long(2));

        // Compared key by key with each other they take minutes.
        assert!(before.elapsed() < std::time::Duration::from_secs(20), "{:?}", before.elapsed());
        assert_eq!((found.len(), found[1_000].omitted), (1_001, 59_000));
        assert_eq!((found_long.len(), found_long[2].omitted), (3, 998));
        assert!(
            serde_json::to_string(&found)
                .unwrap()
                .ends_with(r#"{"pointer":"","before":null,"after":null,"omitted":59000}]"#)
        );
    }
}
