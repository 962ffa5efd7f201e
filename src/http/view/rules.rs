//! The rules in force, and what they say of one submission.

use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::name::Name;
use crate::domain::policy::{ApprovalRule, Condition, FieldTest};
use crate::domain::routing::RoutingRule;
use crate::domain::task::Priority;
use crate::engine::{self, Explanation};

use super::super::json::Raw;
use super::super::text::Text;
use super::approval::TermsView;

/// The rules in force.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Rules")]
pub struct RulesView {
    /// Who does what: the first rule that applies decides.
    pub rules: Vec<RoutingRuleView>,
    /// What a human must approve: the first rule that applies, or cannot be evaluated, decides.
    pub approvals: Vec<ApprovalRuleView>,
}

/// Who gets a task.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "RoutingRule")]
pub struct RoutingRuleView {
    /// Who.
    pub agent: Text<Name>,
    /// When.
    pub when: ConditionView,
}

/// One reason to ask a human.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalRule")]
pub struct ApprovalRuleView {
    /// What approvers are shown as the reason.
    pub name: String,
    /// When.
    pub when: ConditionView,
    /// Whether it asks; false: it waves through.
    pub required: bool,
    /// Who decides, and how.
    pub terms: TermsView,
}

/// When a rule applies: every part must hold, and an empty part holds for any task.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Condition")]
pub struct ConditionView {
    /// The task has one of these types.
    pub types: Vec<Text<Name>>,
    /// The task has one of these priorities.
    pub priorities: Vec<Text<Priority>>,
    /// The task comes from one of these sources.
    pub sources: Vec<Text<Name>>,
    /// Each of these fields is as said.
    #[serde(rename = "where")]
    #[oai(rename = "where")]
    pub fields: Vec<FieldTestView>,
}

/// What a field of the payload or the metadata must be, or must not be.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "FieldTest")]
pub struct FieldTestView {
    /// `payload.<name>` or `metadata.<name>`.
    pub field: String,
    /// The test holds if the field is one of these; empty: see `unless`.
    pub equals: Vec<Raw>,
    /// The test holds unless the field is one of these; empty: see `equals`.
    pub unless: Vec<Raw>,
    /// Whether the test holds for a field that is absent or null.
    pub or_missing: bool,
}

/// Where a submission would go, and why.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Explanation")]
pub struct ExplanationView {
    /// Who would get it; null: no rule applies and it would be refused.
    pub agent: Option<Text<Name>>,
    /// The number of the routing rule, from 0.
    pub rule: Option<u64>,
    /// The approval rule that would hold it; null: none.
    pub approval_rule: Option<String>,
}

impl From<&engine::Settings> for RulesView {
    fn from(settings: &engine::Settings) -> Self {
        Self {
            rules: settings.routing.rules.iter().map(RoutingRuleView::from).collect(),
            approvals: settings
                .approvals
                .rules
                .iter()
                .map(|rule| rule_view(rule, &settings.approvals))
                .collect(),
        }
    }
}

impl From<&RoutingRule> for RoutingRuleView {
    fn from(rule: &RoutingRule) -> Self {
        Self { agent: Text(rule.agent.clone()), when: (&rule.when).into() }
    }
}

fn rule_view(rule: &ApprovalRule, settings: &engine::Approvals) -> ApprovalRuleView {
    let (name, required) = (rule.name.clone(), rule.required);
    ApprovalRuleView {
        name,
        when: (&rule.when).into(),
        required,
        terms: settings.terms_of(&rule.terms).into(),
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            types: condition.types.iter().cloned().map(Text).collect(),
            priorities: condition.priorities.iter().copied().map(Text).collect(),
            sources: condition.sources.iter().cloned().map(Text).collect(),
            fields: condition.fields.iter().map(FieldTestView::from).collect(),
        }
    }
}

impl From<&FieldTest> for FieldTestView {
    fn from(test: &FieldTest) -> Self {
        let raw = |values: &[Value]| {
            let read = |value: &Value| RawValue::from_string(value.to_string()).ok().map(Raw);
            values.iter().filter_map(read).collect()
        };
        Self {
            field: test.field.clone(),
            equals: raw(&test.equals),
            unless: raw(&test.unless),
            or_missing: test.holds_if_missing(),
        }
    }
}

impl From<Explanation> for ExplanationView {
    fn from(explanation: Explanation) -> Self {
        Self {
            agent: explanation.agent.map(Text),
            rule: explanation.rule.map(|number| number as u64),
            approval_rule: explanation.approval_rule,
        }
    }
}
