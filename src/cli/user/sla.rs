//! `orchestrator sla`: shows how many deadlines were met.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::table::table;
use super::{Error, Service, query, text};
use crate::domain::time;

/// The commands for SLAs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show how many deadlines were met, and how long tasks waited and ran.
    Report {
        /// The beginning, such as 2026-01-31T00:00:00Z; default: a day before --to. Whole hours
        /// count.
        #[arg(long, value_parser = time)]
        from: Option<String>,
        /// The end; default: the end of the current hour.
        #[arg(long, value_parser = time)]
        to: Option<String>,
        /// What to group by: one or several of type, priority, agent, joined by commas.
        #[arg(long, default_value = "type,priority")]
        group_by: String,
        #[command(flatten)]
        service: Service,
    },
}

/// The report as the API returns it.
#[derive(Deserialize)]
struct Report {
    from: String,
    to: String,
    groups: Vec<Group>,
    total: Figures,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "type")]
    kind: Option<String>,
    priority: Option<String>,
    agent: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Deserialize)]
struct Figures {
    completed: u64,
    failed: u64,
    cancelled: u64,
    met: u64,
    warned: u64,
    violated: u64,
    attainment_percent: Option<f64>,
    wait_ms: Percentiles,
    run_ms: Percentiles,
    human_ms: Percentiles,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

/// Reads a time and writes it as the query expects it.
pub(super) fn time(text: &str) -> Result<String, &'static str> {
    time::read(text).map(time::written).ok_or(time::EXPECTED)
}

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let Self::Report { from, to, group_by, service } = self;
        let path =
            query("/sla/report", &[("from", from), ("to", to), ("group_by", Some(group_by))]);
        let answer: Box<RawValue> = service.client()?.get(&path).await?;
        service.print(&answer, |report: Report| show(&report))
    }
}

const HEADINGS: [&str; 12] = [
    "GROUP",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "MET",
    "WARNED",
    "VIOLATED",
    "ATTAINMENT",
    "",
    "WAIT p50/p95/p99",
    "RUN p50/p95/p99",
    "HUMAN p50/p95/p99",
];

fn show(report: &Report) -> String {
    let groups = report.groups.iter().map(|group| {
        let parts = [&group.kind, &group.priority, &group.agent];
        let name: Vec<_> = parts.into_iter().flatten().map(|part| text::visible(part)).collect();
        row(name.join(" "), &group.figures)
    });
    let total = row("total".to_owned(), &report.total);
    let from = text::visible(&report.from);
    let to = text::visible(&report.to);
    format!("{from} to {to}\n\n{}", table(HEADINGS, groups.chain([total])))
}

fn row(name: String, figures: &Figures) -> Vec<String> {
    let attainment = figures.attainment_percent;
    vec![
        name,
        figures.completed.to_string(),
        figures.failed.to_string(),
        figures.cancelled.to_string(),
        figures.met.to_string(),
        figures.warned.to_string(),
        figures.violated.to_string(),
        attainment.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %")),
        attainment.map(bar).unwrap_or_default(),
        percentiles(&figures.wait_ms),
        percentiles(&figures.run_ms),
        percentiles(&figures.human_ms),
    ]
}

fn bar(percent: f64) -> String {
    let full = (percent.clamp(0.0, 100.0) / 10.0).floor() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(10 - full))
}

fn percentiles(of: &Percentiles) -> String {
    let all = [of.p50, of.p95, of.p99].map(|ms| ms.map_or_else(|| "-".to_owned(), duration));
    all.join(" / ")
}

/// Returns a duration for people, in the unit that gives at least one digit before the point.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        60_000..3_600_000 => format!("{:.1} min", ms as f64 / 60_000.0),
        _ => format!("{:.1} h", ms as f64 / 3_600_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_one_line_per_group_and_readable_durations() {
        let figures = r#""completed": 4, "failed": 0, "cancelled": 1, "met": 3, "warned": 2, "violated": 1, "attainment_percent": 75.0,
            "wait_ms": {"count": 4, "p50": 90, "p95": 61000, "p99": 7200000}, "run_ms": {"count": 0, "p50": null, "p95": null, "p99": null},
            "human_ms": {"count": 0, "p50": null, "p95": null, "p99": null}"#;
        let json = format!(
            r#"{{"from": "a", "to": "b", "groups": [{{"type": "faq", "priority": "P2", "agent": null, {figures}}}], "total": {{{figures}}}}}"#
        );

        let shown = show(&serde_json::from_str(&json).unwrap());

        let lines: Vec<_> = shown.lines().collect();
        assert_eq!((lines[0], lines.len()), ("a to b", 5));
        assert!(lines[3].starts_with("faq P2 ") && lines[4].starts_with("total "), "{shown}");
        for part in ["75.0 %", "███████░░░", "90 ms / 1.0 min / 2.0 h", "- / - / -"]
        {
            assert!(lines[3].contains(part), "{shown}");
        }
    }
}
