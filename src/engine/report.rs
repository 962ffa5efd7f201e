//! SLA reports: figures of whole hours, at a cost that does not depend on the number of tasks.

use std::collections::BTreeMap;

use crate::domain::name::Name;
use crate::domain::sla::{Figures, Group};
use crate::domain::time::Millis;

use super::{Engine, Error};

const HOUR_MS: Millis = 3_600_000;

/// How many hours a report covers by default: a day.
const USUAL_HOURS: Millis = 24;

/// How many hours a report may cover: 31 days. The store keeps the figures for one day more.
const MOST_HOURS: Millis = 31 * 24;

/// By what a report groups its figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// Whether each type has a group of its own.
    pub kind: bool,
    /// Whether each priority has a group of its own.
    pub priority: bool,
    /// Whether each agent has a group of its own.
    pub agent: bool,
}

/// The figures of a period of whole hours.
#[derive(Clone, Debug)]
pub struct Report {
    /// The beginning of the first hour, in milliseconds since 1970.
    pub from: Millis,
    /// The end of the last hour, in milliseconds since 1970.
    pub to: Millis,
    /// The groups that have figures, in ascending order.
    pub groups: Vec<(Group, Figures)>,
    /// The figures of all tasks of the period together.
    pub total: Figures,
}

impl Engine {
    /// Reports how deadlines were met by tasks that ended, or were first started, between two
    /// times.
    ///
    /// * `tenant`: whose tasks count. `None` counts all.
    ///
    /// The period is extended to whole hours. Without times, it is the 24 hours up to the end of
    /// the current one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `from` is not before `to`, or more than 31 days before it.
    pub async fn sla_report(
        &self,
        tenant: Option<&Name>,
        from: Option<Millis>,
        to: Option<Millis>,
        group_by: GroupBy,
    ) -> Result<Report, Error> {
        let to = match to {
            Some(to) => to,
            None => self.check().await? + 1,
        };
        let end = to.div_ceil(HOUR_MS);
        let start = from.map_or(end.saturating_sub(USUAL_HOURS), |from| from / HOUR_MS);
        if from.is_some_and(|from| from >= to) {
            return Err(Error::invalid("/from", "must be before `to`"));
        }
        if end - start > MOST_HOURS {
            return Err(Error::invalid("/from", "must be at most 31 days before `to`"));
        }
        let mut groups = BTreeMap::<Group, Figures>::new();
        let mut total = Figures::default();
        for partition in self.store.partitions() {
            for (group, figure, count) in self.store.counted(partition, start..end).await? {
                let owner = group.agent.as_ref().and_then(Name::tenant);
                if tenant.is_some() && owner.as_ref() != tenant {
                    continue;
                }
                total.add(&figure, count);
                let group = Group {
                    kind: group.kind.filter(|_| group_by.kind),
                    priority: group.priority.filter(|_| group_by.priority),
                    agent: group.agent.filter(|_| group_by.agent).map(|subject| subject.agent()),
                };
                groups.entry(group).or_default().add(&figure, count);
            }
        }
        Ok(Report {
            from: start * HOUR_MS,
            to: end * HOUR_MS,
            groups: groups.into_iter().collect(),
            total,
        })
    }
}
