//! The test of one field of a submission's payload or metadata.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::folded::{folded, has_control};
use crate::domain::submission::Spec;

use super::verdict::Verdict;

/// What a field of the payload or the metadata must be, or must not be. Texts are compared as
/// [`folded`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldTest {
    /// The name of the field: `payload.<name>` or `metadata.<name>`, one level deep.
    pub field: String,
    /// The values of which the field must be one: strings, numbers or booleans. `true` and `"true"`
    /// are the same.
    pub equals: Vec<Value>,
    /// The values of which the field must not be one: strings, numbers or booleans, compared with
    /// their JSON type.
    pub unless: Vec<Value>,
    /// Whether the test holds for a field that is absent or null. If left out, it does with
    /// `unless` only.
    pub or_missing: Option<bool>,
}

impl FieldTest {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.fault() {
            Some(fault) => Err(format!("`{}`: {fault}", self.field)),
            None => Ok(()),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        if self.path().is_none() {
            return Some("a field must be `payload.<name>` or `metadata.<name>`");
        }
        if !self.equals.iter().chain(&self.unless).all(is_scalar) {
            return Some("equals and unless must hold strings, numbers and booleans only");
        }
        if self.unless.iter().filter_map(Value::as_str).any(|text| folded(text).is_empty()) {
            return Some("unless must not hold an empty text");
        }
        if !self.equals.is_empty() && !self.unless.is_empty() {
            return Some("a test must have either equals or unless, not both");
        }
        if self.equals.is_empty() && self.unless.is_empty() && !self.holds_if_missing() {
            return Some("a test needs equals, unless or or_missing");
        }
        None
    }

    /// Returns whether the test holds for a field that is absent or null.
    pub fn holds_if_missing(&self) -> bool {
        self.or_missing.unwrap_or(!self.unless.is_empty())
    }

    fn path(&self) -> Option<(&str, &str)> {
        let (root, name) = self.field.split_once('.')?;
        let is_path = matches!(root, "payload" | "metadata") && !name.is_empty();
        is_path.then_some((root, name))
    }

    pub(super) fn test(&self, spec: &Spec) -> Verdict {
        let Some((root, name)) = self.path() else { return Verdict::Unclear };
        let object = match root {
            "payload" => Some(&*spec.payload),
            _ => spec.metadata.as_deref(),
        };
        let found = object.map_or(Ok(Found::default()), |object| lookup(object, name));
        let Ok(Found { value, is_ambiguous: false }) = found else { return Verdict::Unclear };
        let is_match = match value.unwrap_or_default() {
            Value::Null => self.holds_if_missing(),
            Value::Object(_) | Value::Array(_) => return Verdict::Unclear,
            Value::String(text) if has_control(&text) => return Verdict::Unclear,
            value if self.unless.is_empty() => self.equals.iter().any(|one| is_same(one, &value)),
            value => !self.unless.iter().any(|one| is_same_of_type(one, &value)),
        };
        if is_match { Verdict::Yes } else { Verdict::No }
    }
}

/// Whether a configured scalar and a given one mean the same across types: `true` and `"true"`,
/// `Production` and `production`.
fn is_same(configured: &Value, given: &Value) -> bool {
    compared_text(configured) == compared_text(given)
}

fn compared_text(value: &Value) -> String {
    match value {
        Value::String(text) => folded(text),
        other => other.to_string(),
    }
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

/// Whether both mean the same and have one JSON type: only exactly what `unless` names is harmless.
fn is_same_of_type(configured: &Value, given: &Value) -> bool {
    configured == given
        || (configured.is_string() && given.is_string() && is_same(configured, given))
}

/// What a lookup of a member by its name finds.
#[derive(Default)]
struct Found {
    /// The value of the first key that is the name. `None` if there is no such key.
    value: Option<Value>,
    /// Whether readers disagree on the value: two keys are the name, or one is another spelling of
    /// it.
    is_ambiguous: bool,
}

/// Finds the member `name` of `object` without building the other members.
fn lookup(object: &RawValue, name: &str) -> Result<Found, serde_json::Error> {
    struct Fields<'n> {
        name: &'n str,
        folded: String,
    }

    impl Fields<'_> {
        fn is_alike(&self, key: &str) -> bool {
            if key.is_ascii() && self.folded.is_ascii() {
                return key.trim().eq_ignore_ascii_case(&self.folded);
            }
            folded(key) == self.folded
        }
    }

    impl<'de> Visitor<'de> for Fields<'_> {
        type Value = Found;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
            let mut found = Found::default();
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == self.name && found.value.is_none() {
                    found.value = Some(map.next_value()?);
                } else {
                    found.is_ambiguous |= self.is_alike(&key);
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    let fields = Fields { name, folded: folded(name) };
    serde_json::Deserializer::from_str(object.get()).deserialize_map(fields)
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::super::approval::tests::{production, spec};
    use super::*;
    use crate::domain::priority::Priority;

    #[test]
    fn only_named_values_are_harmless() {
        for (payload, expected) in [
            (r#"{"environment": "staging"}"#, Verdict::No),
            (r#"{"environment": " Staging\n"}"#, Verdict::No),
            (r#"{"environment": "ＤＥＶ"}"#, Verdict::No),
            (r#"{"environment": "sta\u200bging\ufeff"}"#, Verdict::No),
            (r#"{"environm\u0065nt": "dev", "environments": "production"}"#, Verdict::No),
            ("{}", Verdict::Yes),
            (r#"{"environment": null}"#, Verdict::Yes),
            (r#"{"environment": ""}"#, Verdict::Yes),
            (r#"{"environment": "\u200b"}"#, Verdict::Yes),
            (r#"{"environment": "production"}"#, Verdict::Yes),
            (r#"{"environment": "prod"}"#, Verdict::Yes),
            (r#"{"environment": "live"}"#, Verdict::Yes),
            (r#"{"environment": "st\u0430ging"}"#, Verdict::Yes),
            (r#"{"environment": "prev\u0131ew"}"#, Verdict::Yes),
            (r#"{"environment": "dev,production"}"#, Verdict::Yes),
            (r#"{"environment": 0}"#, Verdict::Yes),
            (r#"{"environment": false}"#, Verdict::Yes),
            (r#"{"environment": {"name": "staging"}}"#, Verdict::Unclear),
            (r#"{"environment": ["staging"]}"#, Verdict::Unclear),
            (r#"{"environment": "staging\u0000"}"#, Verdict::Unclear),
            (r#"{"environment": "staging", "environment": "production"}"#, Verdict::Unclear),
            (r#"{"environment": "staging", "Environment": "production"}"#, Verdict::Unclear),
            (r#"{"environment": "staging", "environ\u200bment": "production"}"#, Verdict::Unclear),
            (r#"{"ENVIRONMENT": "staging"}"#, Verdict::Unclear),
            (r#"{" environment": "staging"}"#, Verdict::Unclear),
        ] {
            let found = production().test(&spec("deploy", Priority::P2, payload, None));
            assert_eq!(found, expected, "{payload}");
        }
    }

    #[test]
    fn a_scalar_is_harmless_only_in_its_own_type() {
        let json = r#"{"where": [{"field": "payload.production", "unless": [false, 0]}]}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        let verdict = |payload: &str| condition.test(&spec("faq", Priority::P2, payload, None));

        for (value, expected) in [
            ("false", Verdict::No),
            ("0", Verdict::No),
            (r#""false""#, Verdict::Yes),
            (r#""0""#, Verdict::Yes),
            ("true", Verdict::Yes),
            ("1e400", Verdict::Unclear),
        ] {
            assert_eq!(verdict(&format!(r#"{{"production": {value}}}"#)), expected, "{value}");
        }
    }

    #[test]
    fn a_named_word_matches_in_every_spelling() {
        let json = r#"{"where": [{"field": "payload.environment", "equals": ["production"], "or_missing": true}]}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        let verdict = |payload: &str| condition.test(&spec("faq", Priority::P2, payload, None));

        for (payload, expected) in [
            (r#"{"environment": "staging"}"#, Verdict::No),
            ("{}", Verdict::Yes),
            (r#"{"environment": " Production "}"#, Verdict::Yes),
            (r#"{"environment": "pro\u00adduction"}"#, Verdict::Yes),
            (r#"{"environment": "production\u0000"}"#, Verdict::Unclear),
        ] {
            assert_eq!(verdict(payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_flag_that_is_anything_but_false_is_set() {
        let json = r#"{"where": [
            {"field": "metadata.flag", "unless": [false, "false"], "or_missing": false}]}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        let verdict = |metadata| condition.test(&spec("faq", Priority::P2, "{}", metadata));

        for (metadata, expected) in [
            (None, Verdict::No),
            (Some("{}"), Verdict::No),
            (Some(r#"{"flag": null}"#), Verdict::No),
            (Some(r#"{"flag": false}"#), Verdict::No),
            (Some(r#"{"flag": "False"}"#), Verdict::No),
            (Some(r#"{"flag": true}"#), Verdict::Yes),
            (Some(r#"{"flag": "True"}"#), Verdict::Yes),
            (Some(r#"{"flag": "yes"}"#), Verdict::Yes),
            (Some(r#"{"flag": 1}"#), Verdict::Yes),
            (Some(r#"{"flag": ""}"#), Verdict::Yes),
            (Some(r#"{"flag": {}}"#), Verdict::Unclear),
            (Some(r#"{"Flag": true}"#), Verdict::Unclear),
        ] {
            assert_eq!(verdict(metadata), expected, "{metadata:?}");
        }
    }

    #[test]
    fn a_named_flag_counts_as_text_too() {
        let json = r#"{"where": [{"field": "metadata.flag", "equals": [true]}]}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        let verdict = |metadata| condition.test(&spec("faq", Priority::P2, "{}", metadata));

        assert_eq!(verdict(None), Verdict::No);
        assert_eq!(verdict(Some(r#"{"flag": false}"#)), Verdict::No);
        assert_eq!(verdict(Some(r#"{"flag": true}"#)), Verdict::Yes);
        assert_eq!(verdict(Some(r#"{"flag": "True"}"#)), Verdict::Yes);
    }

    #[test]
    fn a_field_test_is_checked_before_it_is_used() {
        let check = |test: &str| {
            let json = format!(r#"{{"where": [{test}]}}"#);
            serde_json::from_str::<Condition>(&json).unwrap().check()
        };

        for good in [
            r#"{"field": "payload.x", "equals": [true]}"#,
            r#"{"field": "metadata.x", "equals": [], "or_missing": true}"#,
            r#"{"field": "payload.x", "unless": ["dev", 1, false]}"#,
            r#"{"field": "payload.x", "unless": ["dev"], "or_missing": false}"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            r#"{"field": "x", "equals": [true]}"#,
            r#"{"field": "headers.x", "equals": [true]}"#,
            r#"{"equals": [true]}"#,
            r#"{"field": "payload.x"}"#,
            r#"{"field": "payload.x", "equals": [null]}"#,
            r#"{"field": "payload.x", "unless": [["dev"]]}"#,
            r#"{"field": "payload.x", "unless": ["\u200b"]}"#,
            r#"{"field": "payload.x", "unless": ["dev"], "equals": ["prod"]}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
