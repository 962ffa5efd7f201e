//! Conditions over a submission, and the policy that says which tasks a human must approve.

mod field;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::approval::TermsSetting;
use super::name::Name;
use super::task::{NewTask, Priority, Task};

pub use field::FieldTest;

/// What rules look at of a task.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'t> {
    /// Its type.
    pub kind: &'t Name,
    /// Its priority.
    pub priority: Priority,
    /// Where it comes from.
    pub source: &'t Name,
    /// What to do.
    pub payload: &'t RawValue,
    /// What comes back with it.
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

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told: the field is an object, a list or a text with control characters, or its name is given twice or
    /// in another spelling (`Environment` for `environment`), which some readers take for it.
    Unclear,
}

impl Condition {
    /// Whether the condition holds for `task`.
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

    /// What is wrong with the condition's field tests, if anything.
    pub fn check(&self) -> Result<(), String> {
        self.fields.iter().try_for_each(FieldTest::check)
    }
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

/// The most urgent priority that `task` may be raised to: no step on the way needs an approval, other than the one that
/// the task needs as it is.
pub fn highest_priority<'t>(rules: &[ApprovalRule], task: impl Into<Facts<'t>>) -> Priority {
    let task = task.into();
    let asked = |priority| {
        required_approval(rules, Facts { priority, ..task }).map(|rule| rule.name.as_str())
    };
    let own = asked(task.priority);
    let is_free = |priority: &Priority| asked(*priority).is_none_or(|rule| own == Some(rule));
    let steps = Priority::ALL.into_iter().rev().filter(|priority| *priority < task.priority);
    steps.take_while(is_free).last().unwrap_or(task.priority)
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
