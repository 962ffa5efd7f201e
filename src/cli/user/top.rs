//! `orchestrator top`: what the fleet does, drawn again and again.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Deserialize;

use super::super::client::Client;
use super::connection::Connection;
use super::redraw::Rhythm;
use super::sla::duration;
use super::table::table;
use super::text::visible;
use super::{Error, Page};
use crate::domain::time;
use crate::domain::time::Millis;

/// The options of `orchestrator top`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    rhythm: Rhythm,
}

/// How many approvals are read at most.
const APPROVALS: &str = "/approvals?status=pending&limit=200";

/// The figures of tasks and agents as the API returns them.
#[derive(Clone, Debug, Deserialize)]
struct Stats {
    by_status: BTreeMap<String, u64>,
    by_priority: BTreeMap<String, u64>,
    by_agent: BTreeMap<String, Agent>,
    oldest_pending_ms: Option<u64>,
    timestamp: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Agent {
    depth: u64,
    in_progress: u64,
    paused: bool,
    session_count: u64,
    last_seen: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Approval {
    requested_at: String,
    expires_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Report {
    from: String,
    total: Figures,
}

#[derive(Clone, Debug, Deserialize)]
struct Figures {
    completed: u64,
    failed: u64,
    cancelled: u64,
    warned: u64,
    violated: u64,
    attainment_percent: Option<f64>,
}

/// All that one drawing shows.
struct Frame {
    stats: Stats,
    approvals: Page<Approval>,
    report: Report,
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let client = self.connection.client()?;
        let mut before = None;
        let draw = async || {
            let frame = Frame::read(&client).await?;
            let drawn = frame.draw(before.as_ref());
            before = Some(frame);
            Ok(drawn)
        };
        self.rhythm.run(draw).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Frame {
    async fn read(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            stats: client.get("/stats").await?,
            approvals: client.get(APPROVALS).await?,
            report: client.get("/sla/report").await?,
        })
    }

    /// When the figures were counted, in milliseconds since 1970.
    fn now(&self) -> Millis {
        time::read(&self.stats.timestamp).unwrap_or_default()
    }

    fn draw(&self, before: Option<&Self>) -> String {
        let figures = &self.report.total;
        let attainment = figures.attainment_percent;
        let attainment = attainment.map_or_else(|| "-".to_owned(), |met| format!("{met:.1} %"));
        let (warned, violated) = (figures.warned, figures.violated);
        let oldest = self.stats.oldest_pending_ms.map_or_else(|| "-".to_owned(), duration);
        format!(
            "{}\n\n{:11}{}\n{:11}{}\n{:11}{}\n{:11}{oldest}\n{:11}{}\n{:11}attainment \
             {attainment}, {warned} warned, {violated} violated\n\n{}",
            visible(&self.stats.timestamp),
            "tasks",
            counts(&self.stats.by_status),
            "open",
            counts(&self.stats.by_priority),
            "a minute",
            self.rates(before),
            "oldest",
            "approvals",
            self.draw_approvals(),
            "SLA, day",
            self.draw_agents(),
        )
    }

    /// Returns how many tasks ended a minute since the figures before. The counts of the report
    /// begin anew with each hour that leaves it.
    fn rates(&self, before: Option<&Self>) -> String {
        let Some(before) = before.filter(|before| before.report.from == self.report.from) else {
            return "-".to_owned();
        };
        let minutes = self.now().saturating_sub(before.now()) as f64 / 60_000.0;
        let (new, old) = (&self.report.total, &before.report.total);
        let rates = [
            ("completed", new.completed.saturating_sub(old.completed)),
            ("failed", new.failed.saturating_sub(old.failed)),
            ("cancelled", new.cancelled.saturating_sub(old.cancelled)),
        ];
        let rates = rates.map(|(name, count)| {
            let rate = if minutes > 0.0 { count as f64 / minutes } else { 0.0 };
            format!("{name} {rate:.0}")
        });
        rates.join("  ")
    }

    fn draw_approvals(&self) -> String {
        let items = &self.approvals.items;
        let more = if self.approvals.next_cursor.is_some() { "+" } else { "" };
        let asked = items.iter().filter_map(|one| time::read(&one.requested_at)).min();
        let ends = items.iter().filter_map(|one| time::read(one.expires_at.as_deref()?)).min();
        let mut text = format!("{}{more} pending", items.len());
        if let Some(asked) = asked {
            text.push_str(&format!(", the oldest for {}", duration(self.now().abs_diff(asked))));
        }
        if let Some(ends) = ends {
            text.push_str(&format!(
                ", the first expires in {}",
                duration(ends.saturating_sub(self.now()))
            ));
        }
        text
    }

    fn draw_agents(&self) -> String {
        let rows = self.stats.by_agent.iter().map(|(name, agent)| {
            let seen = agent.last_seen.as_deref().and_then(time::read);
            vec![
                visible(name),
                agent.depth.to_string(),
                agent.in_progress.to_string(),
                agent.session_count.to_string(),
                seen.map_or_else(|| "-".to_owned(), |at| duration(self.now().saturating_sub(at))),
                (if agent.paused { "paused" } else { "" }).to_owned(),
            ]
        });
        table(["AGENT", "WAITING", "IN PROGRESS", "PROCESSES", "SEEN AGO", ""], rows)
    }
}

/// Returns each word that has a count, with the count.
fn counts(of: &BTreeMap<String, u64>) -> String {
    let counts = of.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<_> = counts.map(|(word, count)| format!("{} {count}", visible(word))).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join("  ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(at: &str, completed: u64, from: &str) -> Frame {
        let agent = json!({"depth": 3, "in_progress": 1, "paused": true, "session_count": 2,
            "last_seen": "2026-01-31T09:29:58.000Z"});
        let stats = json!({"by_status": {"pending": 3, "failed": 0}, "by_priority": {"P1": 4},
            "by_agent": {"faq_agent": agent}, "oldest_pending_ms": 1_500, "timestamp": at});
        let total = json!({"completed": completed, "failed": 0, "cancelled": 0, "warned": 2,
            "violated": 1, "attainment_percent": 75.0});
        let approval = json!({"requested_at": "2026-01-31T09:29:00.000Z",
            "expires_at": "2026-01-31T10:30:00.000Z"});
        Frame {
            stats: serde_json::from_value(stats).unwrap(),
            approvals: Page {
                items: vec![serde_json::from_value(approval).unwrap()],
                next_cursor: None,
            },
            report: serde_json::from_value(json!({"from": from, "total": total})).unwrap(),
        }
    }

    #[test]
    fn a_drawing_has_depths_rates_approvals_and_sla() {
        let before = frame("2026-01-31T09:29:30.000Z", 10, "a");
        let now = frame("2026-01-31T09:30:00.000Z", 16, "a");

        let drawn = now.draw(Some(&before));

        for part in [
            "tasks      pending 3\n",
            "open       P1 4\n",
            "a minute   completed 12  failed 0  cancelled 0\n",
            "oldest     1.5 s\n",
            "approvals  1 pending, the oldest for 1.0 min, the first expires in 1.0 h\n",
            "SLA, day   attainment 75.0 %, 2 warned, 1 violated\n",
            "faq_agent  3        1            2          2.0 s     paused\n",
        ] {
            assert!(drawn.contains(part), "{part}\n{drawn}");
        }
    }

    #[test]
    fn rates_are_unknown_at_first_and_when_an_hour_leaves_the_report() {
        let before = frame("2026-01-31T09:29:30.000Z", 10, "a");
        let now = frame("2026-01-31T09:30:00.000Z", 1, "b");

        assert_eq!(now.rates(None), "-");
        assert_eq!(now.rates(Some(&before)), "-");
    }
}
