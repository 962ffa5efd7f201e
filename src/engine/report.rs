//! How the promises were kept: figures of whole hours, at a cost that does not depend on the number of tasks.

use std::collections::BTreeMap;

use crate::domain::sla::{Figures, Group};
use crate::domain::task::Millis;

use super::{Engine, Error, Fault};

const HOUR_MS: Millis = 3_600_000;

/// How many hours a report looks back if it is not told: a day.
const USUAL_HOURS: Millis = 24;

/// How many hours a report may cover: 31 days. The store keeps the figures of a day more.
const MOST_HOURS: Millis = 31 * 24;

/// What a report tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// One group for each type.
    pub kind: bool,
    /// One for each priority.
    pub priority: bool,
    /// One for each agent.
    pub agent: bool,
}

/// Figures of whole hours.
#[derive(Clone, Debug)]
pub struct Report {
    /// From the beginning of this hour, …
    pub from: Millis,
    /// … to the beginning of this one.
    pub to: Millis,
    /// Each group that has figures, in order.
    pub groups: Vec<(Group, Figures)>,
    /// All of them together.
    pub total: Figures,
}

impl Engine {
    /// How the promises of the tasks were kept that ended, or were first started, between two times.
    ///
    /// The times are widened to whole hours. Without them, it is the 24 hours up to the end of this one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `from` is not before `to`, or more than 31 days before it.
    pub async fn sla_report(
        &self,
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
            return Err(Error::Invalid(vec![Fault::new("/from", "must be before `to`")]));
        }
        if end - start > MOST_HOURS {
            return Err(Error::Invalid(vec![Fault::new(
                "/from",
                "must be at most 31 days before `to`",
            )]));
        }
        let (mut groups, mut total) = (BTreeMap::<Group, Figures>::new(), Figures::default());
        for partition in self.store.partitions() {
            for (group, figure, count) in self.store.counted(partition, start..end).await? {
                total.add(&figure, count);
                let group = Group {
                    kind: group.kind.filter(|_| group_by.kind),
                    priority: group.priority.filter(|_| group_by.priority),
                    agent: group.agent.filter(|_| group_by.agent),
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
