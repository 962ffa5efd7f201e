//! The SLA report: how many tasks met their deadlines.

use poem_openapi::Object;
use serde::Serialize;

use super::{At, at};
use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::sla::{Figures, Group, Histogram};
use crate::engine::SlaReport;

/// The SLA figures of the tasks that ended, or first started, within a range of hours.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaReport")]
pub struct SlaReportView {
    /// The start of the first hour of the report.
    pub from: At,
    /// The end of the last hour of the report.
    pub to: At,
    /// One for each group that has figures; without `group_by` there is one for all tasks, or none.
    pub groups: Vec<SlaGroupView>,
    /// The figures of all groups together.
    pub total: SlaFiguresView,
}

/// The figures of one group of tasks.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaGroup")]
pub struct SlaGroupView {
    /// The task type of the group; null if the report is not grouped by type.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: Option<Name>,
    /// The priority of the group; null if the report is not grouped by priority.
    pub priority: Option<Priority>,
    /// The agent of the group; null if the report is not grouped by agent.
    pub agent: Option<Name>,
    /// The figures of the group.
    #[serde(flatten)]
    #[oai(flatten)]
    pub figures: SlaFiguresView,
}

/// Counts of tasks and their times. A task counts in the hour in which it ended; its start and its
/// wait count in the hour of its first start.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaFigures")]
pub struct SlaFiguresView {
    /// How many tasks were completed.
    pub completed: u64,
    /// How many tasks failed for good.
    pub failed: u64,
    /// How many tasks were cancelled.
    pub cancelled: u64,
    /// How many tasks with a deadline to finish were completed in time.
    pub met: u64,
    /// How many tasks ended after the warning before their deadline to finish, in time or not.
    pub warned: u64,
    /// How many tasks ended after their deadline to finish, in any final status.
    pub violated: u64,
    /// The part of met in met and violated, in percent; null if both are 0.
    pub attainment_percent: Option<f64>,
    /// The same figures for the deadline to start.
    pub start: SlaStartView,
    /// The time from when a task could start to its first start, without the wait for humans.
    pub wait_ms: PercentilesView,
    /// The time of the last attempt of tasks that were completed or failed.
    pub run_ms: PercentilesView,
    /// The time that tasks waited for humans, of those that did.
    pub human_ms: PercentilesView,
}

/// The SLA figures of deadlines to start.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaStart")]
pub struct SlaStartView {
    /// How many tasks started in time.
    pub met: u64,
    /// How many tasks started, or ended without a start, after the warning.
    pub warned: u64,
    /// How many tasks started, or ended without a start, after their deadline to start.
    pub violated: u64,
    /// The part of met in met and violated, in percent; null if both are 0.
    pub attainment_percent: Option<f64>,
}

/// Percentiles in milliseconds, at most 9.1 % off: each is the middle of a fixed bucket.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Percentiles")]
pub struct PercentilesView {
    /// How many tasks the percentiles cover.
    pub count: u64,
    /// The time that half of the tasks did not exceed; null if there were none.
    pub p50: Option<u64>,
    /// The time that 95 % of the tasks did not exceed; null if there were none.
    pub p95: Option<u64>,
    /// The time that 99 % of the tasks did not exceed; null if there were none.
    pub p99: Option<u64>,
}

impl From<SlaReport> for SlaReportView {
    fn from(report: SlaReport) -> Self {
        Self {
            from: at(report.from),
            to: at(report.to),
            groups: report.groups.into_iter().map(SlaGroupView::from).collect(),
            total: (&report.total).into(),
        }
    }
}

impl From<(Group, Figures)> for SlaGroupView {
    fn from((group, figures): (Group, Figures)) -> Self {
        let Group { kind, priority, agent } = group;
        Self { kind, priority, agent, figures: (&figures).into() }
    }
}

impl From<&Figures> for SlaFiguresView {
    fn from(figures: &Figures) -> Self {
        Self {
            completed: figures.completed,
            failed: figures.failed,
            cancelled: figures.cancelled,
            met: figures.met,
            warned: figures.warned,
            violated: figures.violated,
            attainment_percent: figures.attainment_percent(),
            start: SlaStartView {
                met: figures.start_met,
                warned: figures.start_warned,
                violated: figures.start_violated,
                attainment_percent: figures.start_attainment_percent(),
            },
            wait_ms: (&figures.wait).into(),
            run_ms: (&figures.run).into(),
            human_ms: (&figures.human).into(),
        }
    }
}

impl From<&Histogram> for PercentilesView {
    fn from(times: &Histogram) -> Self {
        let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| times.percentile(percent));
        Self { count: times.count(), p50, p95, p99 }
    }
}
