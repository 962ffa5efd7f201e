//! The rules that decide which tasks need an approval.

use serde::Deserialize;

use crate::domain::approval::TermsSetting;
use crate::domain::priority::Priority;
use crate::domain::submission::Spec;

use super::condition::Condition;
use super::verdict::Verdict;

/// One rule for approvals. The first rule that applies decides whether a task needs an approval.
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

/// Returns the rule that requires an approval of a task with this `spec`. `None` if it needs none.
/// A rule that cannot be evaluated requires an approval, even one with `required = false`.
pub fn required_approval<'r>(rules: &'r [ApprovalRule], spec: &Spec) -> Option<&'r ApprovalRule> {
    required_at(rules, spec.priority, spec)
}

fn required_at<'r>(
    rules: &'r [ApprovalRule],
    priority: Priority,
    spec: &Spec,
) -> Option<&'r ApprovalRule> {
    let (rule, verdict) = rules
        .iter()
        .map(|rule| (rule, rule.when.test_at(priority, spec)))
        .find(|(_, verdict)| *verdict != Verdict::No)?;
    (rule.required || verdict == Verdict::Unclear).then_some(rule)
}

/// Returns the most urgent priority to which a task may be raised: no step on the way needs an
/// approval other than the one that the task needs already.
pub fn highest_priority(rules: &[ApprovalRule], spec: &Spec) -> Priority {
    let asked = |priority| required_at(rules, priority, spec).map(|rule| rule.name.as_str());
    let own = asked(spec.priority);
    let steps = Priority::ALL.into_iter().rev().filter(|priority| *priority < spec.priority);
    let reached = steps.take_while(|step| asked(*step).is_none_or(|other| Some(other) == own));
    reached.last().unwrap_or(spec.priority)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::value::RawValue;

    pub(crate) fn spec(
        kind: &str,
        priority: Priority,
        payload: &str,
        metadata: Option<&str>,
    ) -> Spec {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let kind = kind.parse().unwrap();
        let new = Spec::new(kind, "user".parse().unwrap(), raw(payload));
        Spec { priority, metadata: metadata.map(raw), ..new }
    }

    pub(crate) fn production() -> Condition {
        let json = r#"{"types": ["deploy"], "where":
            [{"field": "payload.environment", "unless": ["development", "dev", "staging", "preview"]}]}"#;
        serde_json::from_str(json).unwrap()
    }

    fn rule(name: &str, when: Condition, required: bool) -> ApprovalRule {
        ApprovalRule { name: name.to_owned(), when, required, terms: TermsSetting::default() }
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_asks_for_an_approval() {
        let rules = [rule("production", production(), true)];
        let asks = |kind: &str, payload: &str| {
            required_approval(&rules, &spec(kind, Priority::P2, payload, None)).is_some()
        };

        assert!(asks("deploy", r#"{"environment": ["staging"]}"#));
        assert!(!asks("deploy", r#"{"environment": "staging"}"#));
        assert!(!asks("faq", "{}"));
        let waved = [
            rule("waved through", production(), false),
            rule("every deployment", Condition::default(), true),
        ];
        let asked = |payload: &str| {
            let spec = spec("deploy", Priority::P2, payload, None);
            required_approval(&waved, &spec).map(|rule| rule.name.clone())
        };
        assert_eq!(asked("{}"), None);
        assert_eq!(asked(r#"{"environment": {}}"#).as_deref(), Some("waved through"));
        assert_eq!(asked(r#"{"environment": "staging"}"#).as_deref(), Some("every deployment"));
    }

    #[test]
    fn a_priority_that_needs_another_approval_is_out_of_reach() {
        let when = |json: &str| serde_json::from_str(json).unwrap();
        let urgent = rule("urgent", when(r#"{"priorities": ["P0"]}"#), true);
        let deploys = rule("deploys", when(r#"{"types": ["deploy"]}"#), true);
        let waved = rule("trusted", when(r#"{"priorities": ["P1"]}"#), false);
        let highest = |rules: &[&ApprovalRule], kind: &str, priority| {
            let rules: Vec<_> = rules.iter().map(|rule| (*rule).clone()).collect();
            highest_priority(&rules, &spec(kind, priority, "{}", None))
        };

        assert_eq!(highest(&[], "faq", Priority::P3), Priority::P0);
        assert_eq!(highest(&[&urgent], "faq", Priority::P3), Priority::P1);
        assert_eq!(highest(&[&urgent], "faq", Priority::P0), Priority::P0);
        assert_eq!(highest(&[&urgent, &deploys], "deploy", Priority::P3), Priority::P1);
        assert_eq!(highest(&[&deploys, &urgent], "deploy", Priority::P3), Priority::P0);
        assert_eq!(highest(&[&waved, &deploys], "deploy", Priority::P1), Priority::P1);
    }
}
