//! `GET /metrics`: the figures that an operator watches, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use poem::error::NotFoundError;
use poem_openapi::OpenApi;
use poem_openapi::payload::{PlainText, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::engine::{Engine, Figures};
use crate::runtime::process;

use super::openapi::Tag;
use super::traffic::Traffic;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How old the figures may be. The call needs no credential, so the store is read at most once in
/// this time.
const FRESH: Duration = Duration::from_secs(1);

/// The figures of this gateway and of the fleet.
pub struct Metrics {
    /// The engine, which reads the figures of the fleet.
    pub engine: Engine,
    /// Whether the call is enabled; if not, its path is unknown.
    pub is_on: bool,
    /// The last text, and when it was made.
    pub last: Mutex<Option<(Instant, String)>>,
    /// The budgets and counts of this gateway.
    pub traffic: Arc<Traffic>,
}

#[OpenApi(tag = "Tag::Service")]
impl Metrics {
    /// Get the metrics
    ///
    /// For Prometheus, in its text format. `http.metrics` disables this call.
    #[oai(path = "/metrics", method = "get", operation_id = "get_metrics")]
    async fn metrics(&self) -> poem::Result<Response<PlainText<String>>> {
        if !self.is_on {
            return Err(NotFoundError.into());
        }
        let mut last = self.last.lock().await;
        let text = match &*last {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            _ => {
                let text = text(self.engine.figures().await.ok().as_ref(), &self.traffic);
                *last = Some((Instant::now(), text.clone()));
                text
            }
        };
        Ok(Response::new(PlainText(text)).header("content-type", CONTENT_TYPE))
    }
}

/// The text of the metrics, each with its help and type.
struct Exposition(String);

impl Exposition {
    /// Adds one metric with its samples; without a sample it is left out.
    fn metric(&mut self, kind: &str, name: &str, help: &str, samples: &[(&[(&str, &str)], f64)]) {
        if samples.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP orchestrator_{name} {help}\n# TYPE orchestrator_{name} {kind}"
        );
        for (labels, value) in samples {
            let labels: Vec<_> = labels
                .iter()
                .map(|(label, text)| format!("{label}=\"{}\"", escaped(text)))
                .collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "orchestrator_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let samples: Vec<_> = value.into().into_iter().map(|value| (&[][..], value)).collect();
        self.metric("gauge", name, help, &samples);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let samples: Vec<_> = value.into().into_iter().map(|value| (&[][..], value)).collect();
        self.metric("counter", name, help, &samples);
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'l str, f64)>,
    ) {
        self.labelled("gauge", name, help, label, values);
    }

    fn labelled<'l>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'l str, f64)>,
    ) {
        let values: Vec<_> = values.map(|(text, value)| ([(label, text)], value)).collect();
        let samples: Vec<_> = values.iter().map(|(labels, value)| (&labels[..], *value)).collect();
        self.metric(kind, name, help, &samples);
    }
}

/// Escapes a label's value as the text format requires.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// Builds the whole text; `figures` is `None` while the store does not answer.
fn text(figures: Option<&Figures>, traffic: &Traffic) -> String {
    let mut text = Exposition(String::new());
    let version: &[(&str, &str)] = &[("version", env!("CARGO_PKG_VERSION"))];
    text.metric(
        "gauge",
        "build_info",
        "Always 1; the label is the version of this gateway.",
        &[(version, 1.0)],
    );
    text.gauge("store_up", "Whether the store answered.", f64::from(u8::from(figures.is_some())));
    if let Some(figures) = figures {
        write_fleet(&mut text, figures);
        write_store(&mut text, figures);
    }
    write_traffic(&mut text, traffic);
    let own = std::process::id();
    let cpu = process::cpu_time(own).map(|time| time.as_secs_f64());
    text.counter("process_cpu_seconds_total", "CPU time that this process has used.", cpu);
    let resident = process::resident_bytes(own).map(|bytes| bytes as f64);
    text.gauge("process_resident_memory_bytes", "Memory that this process has in RAM.", resident);
    text.0
}

fn write_traffic(text: &mut Exposition, traffic: &Traffic) {
    let connections = traffic.connections.load(Ordering::Relaxed) as f64;
    text.gauge("http_connections", "Open connections of this gateway.", connections);
    let help = "Long-polls and event streams that wait at this gateway.";
    text.gauge("http_waits", help, traffic.waits.taken() as f64);
    let help = "Bytes of request bodies that this gateway holds.";
    text.gauge("http_body_bytes", help, traffic.bodies.taken() as f64);
    let causes = traffic.counts().map(|(cause, count)| (cause.as_str(), count as f64));
    let help = "Requests refused and connections cut to protect this gateway, by cause.";
    text.labelled("counter", "http_refused_total", help, "cause", causes);
}

fn write_fleet(text: &mut Exposition, figures: &Figures) {
    let stats = &figures.stats;
    let by_status = stats.by_status.iter().map(|(state, count)| (state.as_str(), *count as f64));
    text.gauges("tasks", "Tasks in each status.", "status", by_status);
    let by_priority =
        stats.by_priority.iter().map(|(priority, count)| (priority.as_str(), *count as f64));
    text.gauges("open_tasks", "Open tasks of each priority.", "priority", by_priority);
    let oldest = stats.oldest_pending_ms.map_or(0.0, seconds);
    text.gauge(
        "oldest_pending_seconds",
        "How long the head of the priority queue has waited; 0 if it is empty.",
        oldest,
    );
    let depth = stats.by_agent.iter().map(|one| (one.agent.as_str(), one.depth as f64));
    text.gauges("agent_depth", "Tasks that wait in the agent's subject.", "agent", depth);
    let held = stats.by_agent.iter().map(|one| (one.agent.as_str(), one.in_progress as f64));
    text.gauges("agent_in_progress", "Tasks that the agent holds.", "agent", held);
    let sessions = stats.by_agent.iter().map(|one| (one.agent.as_str(), one.session_count as f64));
    text.gauges(
        "agent_sessions",
        "Processes of the agent that called recently.",
        "agent",
        sessions,
    );
    let paused =
        stats.by_agent.iter().map(|one| (one.agent.as_str(), f64::from(u8::from(one.is_paused))));
    text.gauges("agent_paused", "1 while the agent is paused.", "agent", paused);
}

fn write_store(text: &mut Exposition, figures: &Figures) {
    let doctor = &figures.doctor;
    text.gauge(
        "doctor_findings",
        "Findings of the doctor in its last check of the store.",
        doctor.findings as f64,
    );
    let found = doctor.found.iter().map(|(kind, count)| (*kind, *count as f64));
    text.labelled(
        "counter",
        "doctor_findings_total",
        "Findings that the doctor logged.",
        "kind",
        found,
    );
    text.counter(
        "doctor_checks_total",
        "Checks of the whole store by the doctor.",
        doctor.checks as f64,
    );
    let help = "When the doctor's last check ended, in Unix time.";
    text.gauge("doctor_finished_timestamp_seconds", help, doctor.finished.map(seconds));
    let help = "How often this gateway found that the store had lost data.";
    text.counter("store_losses_total", help, figures.losses as f64);
    let help = "Notifications that Redis refused: its user lacks access to a channel.";
    let refused = figures.refused_notifications as f64;
    text.counter("notifications_refused_total", help, refused);
    let help = "How far the bridge to NATS is behind the event log; absent if no bridge ever ran.";
    text.gauge("bridge_lag_seconds", help, figures.bridge_lag_ms.map(seconds));
    let help = "Events sent to NATS without their payload, which is larger than its max_payload.";
    text.counter("bridge_truncated_events_total", help, figures.truncated_events as f64);
    let partitions: Vec<_> =
        figures.logs.iter().map(|(partition, bounds)| (partition.to_string(), bounds)).collect();
    let first = partitions
        .iter()
        .filter_map(|(name, bounds)| Some((name.as_str(), seconds(bounds.first?.at_ms))));
    text.gauges(
        "event_log_first_timestamp_seconds",
        "The time of the oldest event in the log.",
        "partition",
        first,
    );
    let last = partitions.iter().map(|(name, bounds)| (name.as_str(), seconds(bounds.last.at_ms)));
    text.gauges(
        "event_log_last_timestamp_seconds",
        "The time of the newest event in the log.",
        "partition",
        last,
    );
}

#[cfg(test)]
mod tests {
    use super::super::settings::Http;
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut text = Exposition(String::new());

        text.gauges("x", "Why.", "agent", [("a\"b\\c\nd", 1.5)].into_iter());

        let expected = "# HELP orchestrator_x Why.\n# TYPE orchestrator_x gauge\n\
                        orchestrator_x{agent=\"a\\\"b\\\\c\\nd\"} 1.5\n";
        assert_eq!(text.0, expected);
    }

    #[test]
    fn the_process_reports_itself_without_the_store() {
        let text = text(None, &Traffic::new(&Http::default()));

        assert!(
            text.contains("orchestrator_store_up 0\n")
                && text.contains("orchestrator_build_info{version="),
            "{text}"
        );
        assert!(!text.contains("orchestrator_tasks"), "{text}");
    }
}
