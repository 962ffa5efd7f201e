//! Conditions on a submission, and the policy that decides which tasks need an approval.

mod field;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::approval::TermsSetting;
use super::name::Name;
use super::task::{NewTask, Priority, Task};

pub use field::FieldTest;

/// The parts of a task that conditions can test.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'t> {
    /// The type of the task, for `types`.
    pub kind: &'t Name,
    /// The priority, for `priorities`. A change of it can lead to another decision.
    pub priority: Priority,
    /// The source of the submission, for `sources`.
    pub source: &'t Name,
    /// The payload, for field tests that begin with `payload.`.
    pub payload: &'t RawValue,
    /// The metadata, for field tests that begin with `metadata.`. `None` if there is none.
    pub metadata: Option<&'t RawValue>,
}

impl<'t> From<&'t NewTask> for Facts<'t> {
    fn from(task: &'t NewTask) -> Self {
        Self {
            kind: &task.kind,
            priority: task.priority,
            source: &task.source,
            payload: &task.payload,
            metadata: task.metadata.as_deref(),
        }
    }
}

impl<'t> From<&'t Task> for Facts<'t> {
    fn from(task: &'t Task) -> Self {
        Self {
            kind: &task.kind,
            priority: task.priority,
            source: &task.source,
            payload: &task.payload,
            metadata: task.metadata.as_deref(),
        }
    }
}

/// When a rule applies: all parts that are given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The types of which the task must have one. Empty if every type matches.
    pub types: Vec<Name>,
    /// The priorities of which the task must have one. Empty if every priority matches.
    pub priorities: Vec<Priority>,
    /// The sources of which the task must name one. Empty if every source matches.
    pub sources: Vec<Name>,
    /// Tests of fields of the payload or the metadata, all of which must hold.
    #[serde(rename = "where")]
    pub fields: Vec<FieldTest>,
}

/// The result of a test of a condition or a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Yes,
    /// The condition does not hold for this task.
    No,
    /// The condition cannot be evaluated: the field is an object, a list or a text with control
    /// characters, or its name is repeated or spelt differently (`Environment` for `environment`),
    /// which some readers take for the name.
    Unclear,
}

impl Condition {
    /// Returns whether the condition holds for `task`. One field that does not match makes it `No`,
    /// even if another is unclear.
    pub fn test<'t>(&self, task: impl Into<Facts<'t>>) -> Verdict {
        let task = task.into();
        let lists = (self.types.is_empty() || self.types.contains(task.kind))
            && (self.priorities.is_empty() || self.priorities.contains(&task.priority))
            && (self.sources.is_empty() || self.sources.contains(task.source));
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

    /// Checks the field tests of the condition. The error says which is wrong and why.
    pub fn check(&self) -> Result<(), String> {
        self.fields.iter().try_for_each(FieldTest::check)
    }
}

/// One rule of the policy. The first rule that applies decides whether a task needs an approval.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// The name of the rule, which approvers see as the reason.
    pub name: String,
    /// The tasks to which the rule applies; empty for all of them.
    pub when: Condition,
    /// Whether the rule requires an approval. With false, the tasks to which it applies need none,
    /// even if later rules would require one.
    #[serde(default = "yes")]
    pub required: bool,
    /// The approvers and how they decide, if the rule requires an approval.
    #[serde(default)]
    pub terms: TermsSetting,
}

fn yes() -> bool {
    true
}

/// Returns the rule that requires an approval of `task`. `None` if it needs none. A rule that
/// cannot be evaluated requires an approval, even one with `required = false`.
pub fn required_approval<'r, 't>(
    rules: &'r [ApprovalRule],
    task: impl Into<Facts<'t>>,
) -> Option<&'r ApprovalRule> {
    let task = task.into();
    let (rule, verdict) = rules
        .iter()
        .map(|rule| (rule, rule.when.test(task)))
        .find(|(_, verdict)| *verdict != Verdict::No)?;
    (rule.required || verdict == Verdict::Unclear).then_some(rule)
}

/// Returns the most urgent priority to which `task` may be raised: no step on the way needs an
/// approval other than the one that the task needs already.
pub fn highest_priority<'t>(rules: &[ApprovalRule], task: impl Into<Facts<'t>>) -> Priority {
    let task = task.into();
    let asked = |priority| {
        required_approval(rules, Facts { priority, ..task }).map(|rule| rule.name.as_str())
    };
    let own = asked(task.priority);
    let mut highest = task.priority;
    for priority in Priority::ALL.into_iter().rev().filter(|priority| *priority < task.priority) {
        let other = asked(priority);
        if other.is_some() && other != own {
            break;
        }
        highest = priority;
    }
    highest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::task::{OnParentCancel, Start};

    pub(super) fn task(
        kind: &str,
        priority: Priority,
        payload: &str,
        metadata: Option<&str>,
    ) -> NewTask {
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
            on_parent_cancel: OnParentCancel::Continue,
            trace_id: None,
            traceparent: None,
            max_retries: 3,
            timeout_ms: None,
            idempotency: None,
        }
    }

    pub(super) fn production() -> Condition {
        let json = r#"{"types": ["deploy"], "where":
            [{"field": "payload.environment", "unless": ["development", "dev", "staging", "preview"]}]}"#;
        serde_json::from_str(json).unwrap()
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
    fn a_priority_that_needs_another_approval_is_out_of_reach() {
        let rule = |name: &str, when: &str| ApprovalRule {
            name: name.to_owned(),
            when: serde_json::from_str(when).unwrap(),
            required: true,
            terms: TermsSetting::default(),
        };
        let urgent = rule("urgent", r#"{"priorities": ["P0"]}"#);
        let deploys = rule("deploys", r#"{"types": ["deploy"]}"#);
        let waved =
            ApprovalRule { required: false, ..rule("trusted", r#"{"priorities": ["P1"]}"#) };
        let highest = |rules: &[&ApprovalRule], kind: &str, priority| {
            let rules: Vec<_> = rules.iter().map(|rule| (*rule).clone()).collect();
            highest_priority(&rules, &task(kind, priority, "{}", None))
        };

        assert_eq!(highest(&[], "faq", Priority::P3), Priority::P0);
        assert_eq!(highest(&[&urgent], "faq", Priority::P3), Priority::P1);
        assert_eq!(highest(&[&urgent], "faq", Priority::P0), Priority::P0);
        assert_eq!(highest(&[&urgent, &deploys], "deploy", Priority::P3), Priority::P1);
        assert_eq!(highest(&[&deploys, &urgent], "deploy", Priority::P3), Priority::P0);
        assert_eq!(highest(&[&waved, &deploys], "deploy", Priority::P1), Priority::P1);
    }
}
