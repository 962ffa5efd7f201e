//! JSON text that a client sent, read without a change: its members, and what makes it expensive to
//! read.
//!
//! Every function here takes valid JSON and never fails: a lone surrogate, a number of any size and
//! a repeated key pass through unchanged. The code that accepts such a text and the code that
//! delivers it use the same functions.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest accepted number, in characters: the largest double, written out in full, fits.
pub const MAX_NUMBER: usize = 400;

/// One member of an object, exactly as it is written in the text.
#[derive(Clone, Copy, Debug)]
pub struct Member<'t> {
    key: &'t RawValue,
    /// The value as it is written, without the white space around it.
    pub value: &'t RawValue,
}

impl Member<'_> {
    /// Returns whether the key is `name`, however it is escaped. A key with a lone surrogate equals
    /// no name.
    pub fn is(&self, name: &str) -> bool {
        let key = self.key.get();
        if !key.contains('\\') {
            return key.get(1..key.len() - 1) == Some(name);
        }
        serde_json::from_str::<Cow<'_, str>>(key).is_ok_and(|key| key == name)
    }
}

/// Returns the members of an object in order, repeated ones included. Empty for any other value.
pub fn members(object: &RawValue) -> Vec<Member<'_>> {
    let members = serde_json::from_str(object.get());
    let Members(members) = members.unwrap_or_else(|_| Members(Vec::new()));
    members.into_iter().map(|(key, value)| Member { key, value }).collect()
}

/// Returns the value of the member `name`. `None` if it is absent or repeated: readers disagree on
/// which of several values counts.
pub fn sole_member<'t>(object: &'t RawValue, name: &str) -> Option<&'t RawValue> {
    let members = members(object);
    let mut named = members.iter().filter(|member| member.is(name));
    match (named.next(), named.next()) {
        (Some(member), None) => Some(member.value),
        _ => None,
    }
}

/// Returns the object with the member `name` set to `value`. Every member of that name gets the
/// value; if there is none, the member is added before the others. All other bytes stay as they
/// are.
pub fn with_member(object: &RawValue, name: &str, value: &str) -> String {
    let text = object.get();
    let mut written = String::with_capacity(text.len() + name.len() + value.len() + 4);
    let mut copied = 0;
    let members = members(object);
    for member in members.iter().filter(|member| member.is(name)) {
        let old = member.value.get();
        let at = old.as_ptr() as usize - text.as_ptr() as usize;
        written.push_str(&text[copied..at]);
        written.push_str(value);
        copied = at + old.len();
    }
    if copied == 0 {
        let separator = if members.is_empty() { "" } else { "," };
        written.push_str(&format!(r#"{{"{name}":{value}{separator}"#));
        copied = 1;
    }
    written.push_str(&text[copied..]);
    written
}

/// Returns the text with a line feed for every line break between its tokens. An event stream ends
/// its lines at carriage returns too, so it cannot deliver one. Strings contain line breaks only as
/// escapes.
pub fn with_line_feeds(json: &RawValue) -> Cow<'_, str> {
    let text = json.get();
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Returns whether brackets nest deeper than `most`. Brackets in strings do not count.
pub fn is_deeper_than(json: &str, most: usize) -> bool {
    let mut depth = 0usize;
    outside_strings(json).any(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > most
    })
}

/// Returns whether a number has more than `most` characters. The text need not be valid JSON.
pub fn has_number_over(json: &str, most: usize) -> bool {
    if !has_run_over(json.as_bytes(), most) {
        return false;
    }
    let mut length = 0usize;
    outside_strings(json).any(|byte| {
        length = if is_of_number(byte) { length + 1 } else { 0 };
        length > most
    })
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

/// Whether more than `most` number characters follow each other, in a string or not. Such a run
/// contains a multiple of `most`, so only a few bytes need a look.
fn has_run_over(text: &[u8], most: usize) -> bool {
    let places = (0..text.len()).step_by(most.max(1));
    places.filter(|at| is_of_number(text[*at])).any(|at| {
        let before = text[..at].iter().rev().take_while(|byte| is_of_number(**byte));
        let behind = text[at..].iter().take_while(|byte| is_of_number(**byte));
        before.take(most).count() + behind.take(most + 1).count() > most
    })
}

/// Returns the bytes outside of strings, and the quotes of the strings.
fn outside_strings(json: &str) -> impl Iterator<Item = u8> {
    let mut is_text = false;
    let mut is_escaped = false;
    json.bytes().filter(move |byte| {
        if !is_text {
            is_text = *byte == b'"';
            return true;
        }
        if is_escaped {
            is_escaped = false;
            return false;
        }
        is_escaped = *byte == b'\\';
        is_text = *byte != b'"';
        !is_text
    })
}

/// Returns the text of a JSON string, with U+FFFD for each lone surrogate: a program that truncates
/// a text may cut an emoji in two. `None` if `json` is not a string.
pub fn lossy_string(json: &RawValue) -> Option<String> {
    if let Ok(text) = serde_json::from_str(json.get()) {
        return Some(text);
    }
    // Read as bytes, in which serde writes a lone surrogate as the three bytes of its UTF-8 form.
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    let bytes = deserializer.deserialize_byte_buf(Bytes).ok()?;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // Each of the three bytes of a surrogate is invalid, but only the first begins a character.
        if chunk.invalid().iter().any(|byte| !matches!(byte, 0x80..=0xBF)) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(text)
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// The members of an object in order, repeated ones included.
#[derive(Clone, Debug)]
pub struct Members<K, V>(pub Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Members<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for All<K, V> {
            type Value = Members<K, V>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_member_is_set_and_every_other_byte_stays() {
        for (object, expected) in [
            ("{}", r#"{"external":true}"#),
            ("{ \n}", "{\"external\":true \n}"),
            (r#"{ "b" :1e400,"a":2}"#, r#"{"external":true, "b" :1e400,"a":2}"#),
            (r#"{"external":false,"k":[ ]}"#, r#"{"external":true,"k":[ ]}"#),
            (
                r#"{"ext\u0065rnal": {} , "external":1}"#,
                r#"{"ext\u0065rnal": true , "external":true}"#,
            ),
            (r#"{"\ud800":1}"#, r#"{"external":true,"\ud800":1}"#),
        ] {
            assert_eq!(with_member(&raw(object), "external", "true"), expected);
        }
    }

    #[test]
    fn a_repeated_member_has_no_value() {
        let of = |text: &str| sole_member(&raw(text), "t").map(|value| value.get().to_owned());

        assert_eq!(of(r#"{"a":1,"t":1e400}"#).as_deref(), Some("1e400"));
        assert_eq!(of(r#"{"\ud800":1,"\u0074":2}"#).as_deref(), Some("2"));
        assert_eq!(of(r#"{"t":1,"t":1}"#), None);
        assert_eq!(of("[1]"), None);
    }

    #[test]
    fn a_lone_surrogate_is_replaced_and_the_rest_stays() {
        let read = |text: &str| lossy_string(&raw(text));

        assert_eq!(read(r#""it broke \ud83d""#).as_deref(), Some("it broke \u{fffd}"));
        assert_eq!(read(r#""\ude00é\ud83d\n""#).as_deref(), Some("\u{fffd}é\u{fffd}\n"));
        assert_eq!(read(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
        assert_eq!(read("7"), None);
        assert_eq!(read(r#"[1]"#), None);
    }

    #[test]
    fn numbers_and_brackets_in_strings_do_not_count() {
        let digits = |count: usize| "1".repeat(count);
        assert!(!has_number_over(&format!("[{}]", digits(400)), 400));
        assert!(has_number_over(&format!("[1,-{}]", digits(400)), 400));
        assert!(has_number_over(&format!("{{\"\\\"\":0.{}}}", digits(400)), 400));
        assert!(!has_number_over(&format!("\"\\\"{}\"", digits(500)), 400));
        assert!(!has_number_over(&format!("[{}]", "1,".repeat(500)), 400));

        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_deeper_than(&nested(64), 64));
        assert!(is_deeper_than(&nested(65), 64));
        assert!(!is_deeper_than(r#"{"a": "[[[[\"[[[[\\"}"#, 1));
    }

    #[test]
    fn a_carriage_return_between_tokens_becomes_a_line_feed() {
        let json = raw("{\r\n\"a\":\r[1,\n\r2], \"s\":\"\\r\"}");

        assert_eq!(with_line_feeds(&json), "{\n\"a\":\n[1,\n\n2], \"s\":\"\\r\"}");
    }
}
