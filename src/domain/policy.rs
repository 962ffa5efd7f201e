//! Conditions over a submission, and the policy that says which tasks a human must approve.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::approval::TermsSetting;
use super::name::Name;
use super::task::{NewTask, Priority};

/// When a rule applies: every part that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The task has one of these types; empty: any.
    pub types: Vec<Name>,
    /// The task has one of these priorities; empty: any.
    pub priorities: Vec<Priority>,
    /// The task comes from one of these sources; empty: any.
    pub sources: Vec<Name>,
    /// Each of these fields of the payload or the metadata is as said.
    #[serde(rename = "where")]
    pub fields: Vec<FieldTest>,
}

/// What a field of the payload or the metadata must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldTest {
    /// `payload.<name>` or `metadata.<name>`, one level deep.
    pub field: String,
    /// One of these strings, numbers or booleans; text is compared without regard to case or outer space.
    pub equals: Vec<Value>,
    /// Whether a field that is absent or null passes too.
    #[serde(default)]
    pub or_missing: bool,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told: the field is given twice, or is an object or a list.
    Unclear,
}

impl Condition {
    /// Whether the condition holds for `task`.
    pub fn test(&self, task: &NewTask) -> Verdict {
        let lists = (self.types.is_empty() || self.types.contains(&task.kind))
            && (self.priorities.is_empty() || self.priorities.contains(&task.priority))
            && (self.sources.is_empty() || self.sources.contains(&task.source));
        if !lists {
            return Verdict::No;
        }
        let verdicts = self.fields.iter().map(|field| field.test(task));
        verdicts.fold(Verdict::Yes, |sum, verdict| match (sum, verdict) {
            (Verdict::No, _) | (_, Verdict::No) => Verdict::No,
            (Verdict::Unclear, _) | (_, Verdict::Unclear) => Verdict::Unclear,
            (Verdict::Yes, Verdict::Yes) => Verdict::Yes,
        })
    }

    /// What is wrong with the condition's field paths, if anything.
    pub fn check(&self) -> Result<(), String> {
        for test in &self.fields {
            if test.path().is_none() {
                return Err(format!(
                    "`{}`: a field is `payload.<name>` or `metadata.<name>`",
                    test.field
                ));
            }
            if test
                .equals
                .iter()
                .any(|value| value.is_object() || value.is_array() || value.is_null())
            {
                return Err(format!(
                    "`{}`: equals holds strings, numbers and booleans",
                    test.field
                ));
            }
        }
        Ok(())
    }
}

impl FieldTest {
    fn path(&self) -> Option<(&str, &str)> {
        let (root, name) = self.field.split_once('.')?;
        (matches!(root, "payload" | "metadata") && !name.is_empty()).then_some((root, name))
    }

    fn test(&self, task: &NewTask) -> Verdict {
        let Some((root, name)) = self.path() else { return Verdict::Unclear };
        let object = if root == "payload" { Some(&task.payload) } else { task.metadata.as_ref() };
        let found = object.map_or(Ok(Vec::new()), |object| lookup(object, name));
        let value = match found.as_deref() {
            Ok([]) => Value::Null,
            Ok([value]) => value.clone(),
            // Readers differ in which of two equal keys they take: an agent might take the other one.
            Ok([_, _, ..]) | Err(_) => return Verdict::Unclear,
        };
        let is_match = match &value {
            Value::Null => self.or_missing,
            Value::Object(_) | Value::Array(_) => return Verdict::Unclear,
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                self.equals.iter().any(|one| is_same(one, &value))
            }
        };
        if is_match { Verdict::Yes } else { Verdict::No }
    }
}

/// Whether a configured scalar and a given one mean the same: `true` and `"true"`, `Production` and `production`.
fn is_same(configured: &Value, given: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.trim().to_lowercase(),
        other => other.to_string(),
    };
    text(configured) == text(given)
}

/// Every value that `object` gives to the key `name`, without building the rest of it.
fn lookup(object: &RawValue, name: &str) -> Result<Vec<Value>, serde_json::Error> {
    struct Fields<'n>(&'n str);

    impl<'de> Visitor<'de> for Fields<'_> {
        type Value = Vec<Value>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Value>, A::Error> {
            let mut found = Vec::new();
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == self.0 {
                    found.push(map.next_value()?);
                } else {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    serde_json::Deserializer::from_str(object.get()).deserialize_map(Fields(name))
}

/// One reason to ask a human, or not to: the first rule that applies decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// What approvers are shown as the reason.
    pub name: String,
    /// When it applies.
    pub when: Condition,
    /// Whether it asks; false: tasks to which it applies need no approval, whatever later rules say.
    #[serde(default = "yes")]
    pub required: bool,
    /// Who decides, and how.
    #[serde(default)]
    pub terms: TermsSetting,
}

fn yes() -> bool {
    true
}

/// The rule that asks for an approval of `task`. A rule that cannot be evaluated asks, also one that would wave it
/// through.
pub fn required_approval<'r>(
    rules: &'r [ApprovalRule],
    task: &NewTask,
) -> Option<&'r ApprovalRule> {
    let (rule, verdict) = rules
        .iter()
        .map(|rule| (rule, rule.when.test(task)))
        .find(|(_, verdict)| *verdict != Verdict::No)?;
    (rule.required || verdict == Verdict::Unclear).then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::Start;

    fn task(kind: &str, priority: Priority, payload: &str, metadata: Option<&str>) -> NewTask {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        NewTask {
            kind: kind.parse().unwrap(),
            payload: raw(payload),
            metadata: metadata.map(raw),
            priority,
            source: "user".parse().unwrap(),
            sla: None,
            start: Start::Now,
            parent: None,
            trace_id: None,
            traceparent: None,
            max_retries: 3,
            timeout_ms: None,
            idempotency: None,
        }
    }

    fn production() -> Condition {
        let json = r#"{"types": ["deploy"], "where":
            [{"field": "payload.environment", "equals": ["production"], "or_missing": true}]}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_deployment_that_may_be_to_production_is_never_waved_through() {
        let verdict =
            |payload: &str| production().test(&task("deploy", Priority::P2, payload, None));

        assert_eq!(verdict(r#"{"environment": "staging"}"#), Verdict::No);
        for (payload, expected) in [
            ("{}", Verdict::Yes),
            (r#"{"environment": null}"#, Verdict::Yes),
            (r#"{"environment": "production"}"#, Verdict::Yes),
            (r#"{"environment": " Production "}"#, Verdict::Yes),
            (r#"{"environm\u0065nt": "production"}"#, Verdict::Yes),
            (r#"{"environment": "staging", "environment": "production"}"#, Verdict::Unclear),
            (r#"{"environment": {"name": "staging"}}"#, Verdict::Unclear),
        ] {
            assert_eq!(verdict(payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_asks_for_an_approval() {
        let rule = |name: &str, when, required| {
            let terms = TermsSetting::default();
            ApprovalRule { name: name.to_owned(), when, required, terms }
        };
        let rules = [rule("production", production(), true)];
        let asks = |kind: &str, payload: &str| {
            required_approval(&rules, &task(kind, Priority::P2, payload, None)).is_some()
        };

        assert!(asks("deploy", r#"{"environment": ["staging"]}"#));
        assert!(!asks("deploy", r#"{"environment": "staging"}"#));
        assert!(!asks("faq", "{}"));
        let waved = [
            rule("waved through", production(), false),
            rule("every deployment", Condition::default(), true),
        ];
        let asked = |payload: &str| {
            let task = task("deploy", Priority::P2, payload, None);
            required_approval(&waved, &task).map(|rule| rule.name.clone())
        };
        assert_eq!(asked("{}"), None);
        assert_eq!(asked(r#"{"environment": {}}"#).as_deref(), Some("waved through"));
        assert_eq!(asked(r#"{"environment": "staging"}"#).as_deref(), Some("every deployment"));
    }

    #[test]
    fn a_flag_in_the_metadata_counts_as_text_too() {
        let json = r#"{"where": [{"field": "metadata.feature_flag_change", "equals": [true]}]}"#;
        let condition: Condition = serde_json::from_str(json).unwrap();
        let verdict = |metadata| condition.test(&task("faq", Priority::P2, "{}", metadata));

        assert_eq!(verdict(None), Verdict::No);
        assert_eq!(verdict(Some(r#"{"feature_flag_change": false}"#)), Verdict::No);
        assert_eq!(verdict(Some(r#"{"feature_flag_change": true}"#)), Verdict::Yes);
        assert_eq!(verdict(Some(r#"{"feature_flag_change": "True"}"#)), Verdict::Yes);
    }

    #[test]
    fn a_field_path_is_checked_before_it_is_used() {
        let condition = |field: &str| Condition {
            fields: vec![FieldTest {
                field: field.to_owned(),
                equals: vec![Value::Bool(true)],
                or_missing: false,
            }],
            ..Condition::default()
        };

        assert!(condition("payload.x").check().is_ok());
        assert!(condition("x").check().is_err());
        assert!(condition("headers.x").check().is_err());
    }
}
