//! The rules of the configuration, which decide about a submission once and for all: its agent, its
//! approval, its deadlines, and what happens when these pass.

mod approval;
mod condition;
mod field;
mod sla;
mod verdict;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::name::Name;
use super::sla::Sla;
use super::submission::{NewTask, Spec};
use super::time::Millis;

pub use approval::{ApprovalRule, highest_priority, required_approval};
pub use condition::Condition;
pub use field::FieldTest;
pub use sla::{Action, SlaRule};
pub use verdict::Verdict;

/// Targets by `<type>/<priority>` or `<priority>`, in milliseconds.
pub type Targets = BTreeMap<String, Millis>;

/// All rules of the configuration. In each list the first rule that applies decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    /// Which agent gets a task.
    pub routing: &'r [RoutingRule],
    /// Which tasks need an approval.
    pub approvals: &'r [ApprovalRule],
    /// What happens when a threshold of a task's SLA passes. Here every rule that applies acts.
    pub sla: &'r [SlaRule],
    /// How long tasks without a deadline of their own may take to finish.
    pub targets: &'r Targets,
    /// How long they may take to start.
    pub start_targets: &'r Targets,
    /// The part of the time after which to warn of a configured target, in percent.
    pub warn_at_percent: u8,
}

/// One rule of the routing table. The first rule that applies decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// The agent that gets the tasks to which the rule applies.
    pub agent: Name,
    /// The tasks to which the rule applies; empty for all of them.
    pub when: Condition,
}

/// What the rules decide about a submission.
#[derive(Clone, Debug)]
pub struct Plan<'r> {
    /// The routing rule that applies, and its number from 0. `None` if no agent can get the task.
    pub route: Option<(usize, &'r RoutingRule)>,
    /// The rule that requires an approval. `None` if the task needs none.
    pub approval: Option<&'r ApprovalRule>,
    /// The deadlines of both clocks: those of the submission, else the configured targets, if any.
    pub sla: Option<Sla>,
    /// What to do when thresholds pass, as a record keeps it.
    pub actions: String,
}

/// Decides about a submission.
pub fn decide<'r>(rules: &Rules<'r>, new: &NewTask) -> Plan<'r> {
    let mut routes = rules.routing.iter().enumerate();
    Plan {
        route: routes.find(|(_, rule)| rule.when.test(&new.spec) == Verdict::Yes),
        approval: required_approval(rules.approvals, &new.spec),
        sla: deadlines(rules, new),
        actions: sla::actions(rules.sla, rules.approvals, &new.spec),
    }
}

fn deadlines(rules: &Rules<'_>, new: &NewTask) -> Option<Sla> {
    let usual = Sla { alert_threshold: rules.warn_at_percent, ..Sla::default() };
    let own = new.sla.clone().unwrap_or(usual);
    let within_ms = own.within_ms.or_else(|| target_of(rules.targets, &new.spec));
    let start_within_ms = own.start_within_ms.or_else(|| target_of(rules.start_targets, &new.spec));
    let sla = Sla {
        within_ms: within_ms.filter(|_| own.deadline.is_none()),
        start_within_ms: start_within_ms.filter(|_| own.start_deadline.is_none()),
        ..own
    };
    let has_any = new.sla.is_some() || sla.within_ms.or(sla.start_within_ms).is_some();
    has_any.then_some(sla)
}

/// The target of a task's type and priority, else that of its priority.
fn target_of(targets: &Targets, spec: &Spec) -> Option<Millis> {
    let priority = spec.priority.as_str();
    let target = targets.get(&format!("{}/{priority}", spec.kind));
    target.or_else(|| targets.get(priority)).copied()
}

#[cfg(test)]
mod tests {
    use super::approval::tests::spec;
    use super::*;
    use crate::domain::priority::Priority;

    fn of<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn one_decision_names_agent_approval_deadlines_and_actions() {
        let routing: Vec<RoutingRule> =
            of(r#"[{"agent": "ops_agent", "when": {"types": ["deploy"]}}]"#);
        let approvals: Vec<ApprovalRule> =
            of(r#"[{"name": "deploys", "when": {"types": ["deploy"]}}]"#);
        let actions: Vec<SlaRule> =
            of(r#"[{"on": "violation", "clock": "finish", "action": "cancel"}]"#);
        let targets: Targets = of(r#"{"P2": 5, "deploy/P2": 7}"#);
        let rules = Rules {
            routing: &routing,
            approvals: &approvals,
            sla: &actions,
            targets: &targets,
            start_targets: &Targets::new(),
            warn_at_percent: 80,
        };

        let deploy = spec("deploy", Priority::P2, "{}", None).into();
        let plan = decide(&rules, &deploy);
        assert_eq!(
            plan.route.map(|(nth, rule)| (nth, rule.agent.as_str())),
            Some((0, "ops_agent"))
        );
        assert_eq!(plan.approval.map(|rule| rule.name.as_str()), Some("deploys"));
        let sla = plan.sla.unwrap();
        assert_eq!((sla.within_ms, sla.start_within_ms, sla.alert_threshold), (Some(7), None, 80));
        assert_eq!(plan.actions, "8cancel");

        let other = spec("faq", Priority::P3, "{}", None).into();
        let plan = decide(&rules, &other);
        assert!(plan.route.is_none() && plan.approval.is_none() && plan.sla.is_none());
    }
}
