//! How the promises were kept.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::name::Name;
use crate::domain::sla::{Figures, Group, Histogram};
use crate::domain::task::Priority;
use crate::engine::SlaReport;

use super::super::text::Text;
use super::{At, at};

/// How the promises were kept of the tasks that ended, or were first started, within some hours.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaReport")]
pub struct SlaReportView {
    /// From the beginning of this hour, …
    pub from: At,
    /// … to the beginning of this one.
    pub to: At,
    /// One for each group that has figures; without `group_by` there is one for all, or none.
    pub groups: Vec<SlaGroupView>,
    /// All of them together.
    pub total: SlaFiguresView,
}

/// What became of the tasks of one group.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaGroup")]
pub struct SlaGroupView {
    /// Of this type; null: of any.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: Option<Text<Name>>,
    /// Of this priority; null: of any.
    pub priority: Option<Text<Priority>>,
    /// Of this agent; null: of any.
    pub agent: Option<Text<Name>>,
    /// What became of them.
    #[serde(flatten)]
    #[oai(flatten)]
    pub figures: SlaFiguresView,
}

/// What became of tasks. A task counts in the hour in which it ended; its start and its wait in that of its first start.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaFigures")]
pub struct SlaFiguresView {
    /// How many were completed.
    pub completed: u64,
    /// How many were given up.
    pub failed: u64,
    /// How many were called off.
    pub cancelled: u64,
    /// How many were completed in time, of those with a time to finish.
    pub met: u64,
    /// How many ended after the warning of their time to finish; in time or not.
    pub warned: u64,
    /// How many ended after their time to finish, however they ended.
    pub violated: u64,
    /// Met of met and violated, in percent; null: there were none.
    pub attainment_percent: Option<f64>,
    /// The same of the time to start.
    pub start: SlaStartView,
    /// From when a task could start to its first start, without the wait for humans.
    pub wait_ms: PercentilesView,
    /// The last attempt of tasks that were completed or given up.
    pub run_ms: PercentilesView,
    /// The wait for humans of the tasks that waited for any.
    pub human_ms: PercentilesView,
}

/// What became of promised times to start.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "SlaStart")]
pub struct SlaStartView {
    /// How many were started in time.
    pub met: u64,
    /// How many were started, or ended without a start, after the warning.
    pub warned: u64,
    /// How many were started, or ended without a start, too late.
    pub violated: u64,
    /// Met of met and violated, in percent; null: there were none.
    pub attainment_percent: Option<f64>,
}

/// Percentiles in milliseconds, at most 9.1 % off: each is the middle of a fixed bucket.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Percentiles")]
pub struct PercentilesView {
    /// Of how many tasks.
    pub count: u64,
    /// Half of them took no longer; null: there were none.
    pub p50: Option<u64>,
    /// 95 of 100 took no longer.
    pub p95: Option<u64>,
    /// 99 of 100 took no longer.
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
        Self {
            kind: group.kind.map(Text),
            priority: group.priority.map(Text),
            agent: group.agent.map(Text),
            figures: (&figures).into(),
        }
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
