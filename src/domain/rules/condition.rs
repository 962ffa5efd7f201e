//! Conditions on what was submitted.

use serde::Deserialize;

use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::submission::Spec;

use super::field::FieldTest;
use super::verdict::Verdict;

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

impl Condition {
    /// Returns whether the condition holds for `spec`. One `No` outweighs everything unclear.
    pub fn test(&self, spec: &Spec) -> Verdict {
        self.test_at(spec.priority, spec)
    }

    /// The same if the priority were this one.
    pub fn test_at(&self, priority: Priority, spec: &Spec) -> Verdict {
        let lists = (self.types.is_empty() || self.types.contains(&spec.kind))
            && (self.priorities.is_empty() || self.priorities.contains(&priority))
            && (self.sources.is_empty() || self.sources.contains(&spec.source));
        if !lists {
            return Verdict::No;
        }
        self.fields.iter().map(|field| field.test(spec)).max().unwrap_or(Verdict::Yes)
    }

    /// Checks the field tests of the condition. The error says which is wrong and why.
    pub fn check(&self) -> Result<(), String> {
        self.fields.iter().try_for_each(FieldTest::check)
    }
}
