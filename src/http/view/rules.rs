//! The rules in force, and their decision on one submission.

use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::rules::{ApprovalRule, Condition, FieldTest, RoutingRule};
use crate::engine::{self, Explanation};

use super::super::json::Raw;
use super::approval::TermsView;

/// The routing rules and approval rules in force.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "RulesInForce")]
pub struct RulesView {
    /// The routing rules: the first one that applies determines the agent.
    pub rules: Vec<RoutingRuleView>,
    /// The approval rules: the first one that applies, or cannot be evaluated, decides.
    pub approvals: Vec<ApprovalRuleView>,
}

/// A rule that sends tasks to an agent.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "RoutingRule")]
pub struct RoutingRuleView {
    /// The agent that gets the tasks.
    pub agent: Name,
    /// The condition under which the rule applies.
    pub when: ConditionView,
}

/// A rule that requires an approval, or exempts tasks from one.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalRule")]
pub struct ApprovalRuleView {
    /// The name of the rule, which approvers see as the reason.
    pub name: String,
    /// The condition under which the rule applies.
    pub when: ConditionView,
    /// Whether the rule requires an approval; false if it exempts tasks from the rules after it.
    pub required: bool,
    /// Who decides, how many must approve, and by when.
    pub terms: TermsView,
}

/// When a rule applies: every part must hold, and an empty part holds for any task.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Condition")]
pub struct ConditionView {
    /// The types of which the task must have one.
    pub types: Vec<Name>,
    /// The priorities of which the task must have one.
    pub priorities: Vec<Priority>,
    /// The sources of which the task must have one.
    pub sources: Vec<Name>,
    /// The tests on fields of the task, all of which must hold.
    #[serde(rename = "where")]
    #[oai(rename = "where")]
    pub fields: Vec<FieldTestView>,
}

/// What a field of the payload or the metadata must be, or must not be.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "FieldMatch")]
pub struct FieldTestView {
    /// The field to test: `payload.<name>` or `metadata.<name>`.
    pub field: String,
    /// The test holds if the field is one of these; empty if `unless` is used.
    pub equals: Vec<Raw>,
    /// The test holds unless the field is one of these; empty if `equals` is used.
    pub unless: Vec<Raw>,
    /// Whether the test holds for a field that is absent or null.
    pub or_missing: bool,
}

/// Where a submission would go, and which rules decide that.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Explanation")]
pub struct ExplanationView {
    /// The agent that would get the task; null if no rule applies, so that the task would be
    /// refused.
    pub agent: Option<Name>,
    /// The index of the routing rule that applies, from 0.
    pub rule: Option<u64>,
    /// The approval rule that would hold the task; null if no approval is required.
    pub approval_rule: Option<String>,
}

impl From<&engine::Settings> for RulesView {
    fn from(settings: &engine::Settings) -> Self {
        let approvals = &settings.approvals;
        Self {
            rules: settings.routing.rules.iter().map(RoutingRuleView::from).collect(),
            approvals: approvals.rules.iter().map(|rule| rule_view(rule, approvals)).collect(),
        }
    }
}

impl From<&RoutingRule> for RoutingRuleView {
    fn from(rule: &RoutingRule) -> Self {
        Self { agent: rule.agent.clone(), when: (&rule.when).into() }
    }
}

fn rule_view(rule: &ApprovalRule, settings: &engine::Approvals) -> ApprovalRuleView {
    ApprovalRuleView {
        name: rule.name.clone(),
        when: (&rule.when).into(),
        required: rule.required,
        terms: settings.terms_of(&rule.terms).into(),
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            types: condition.types.to_vec(),
            priorities: condition.priorities.to_vec(),
            sources: condition.sources.to_vec(),
            fields: condition.fields.iter().map(FieldTestView::from).collect(),
        }
    }
}

impl From<&FieldTest> for FieldTestView {
    fn from(test: &FieldTest) -> Self {
        Self {
            field: test.field.clone(),
            equals: raw(&test.equals),
            unless: raw(&test.unless),
            or_missing: test.holds_if_missing(),
        }
    }
}

fn raw(values: &[Value]) -> Vec<Raw> {
    let values = values.iter().filter_map(|value| RawValue::from_string(value.to_string()).ok());
    values.map(Raw).collect()
}

impl From<Explanation> for ExplanationView {
    fn from(explanation: Explanation) -> Self {
        Self {
            agent: explanation.agent,
            rule: explanation.rule.map(|number| number as u64),
            approval_rule: explanation.approval_rule,
        }
    }
}
