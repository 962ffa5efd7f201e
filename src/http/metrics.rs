//! `GET /metrics`: the figures that an operator watches, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use poem::error::NotFoundError;
use poem::http::{Method, header};
use poem::{Endpoint, Request};
use poem_openapi::OpenApi;
use poem_openapi::payload::{PlainText, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::engine::{AgentStatus, Engine, Figures};
use crate::runtime::process;

use super::error::Refusal;
use super::openapi::Tag;
use super::settings::Http;
use super::traffic::Traffic;

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How old the figures may be. The call needs no credential, so the store is read at most once in
/// this time.
const FRESH: Duration = Duration::from_secs(1);

/// The path of the metrics.
const PATH: &str = "/metrics";

/// The call of the API; `None` if it is disabled, so that its path is unknown.
pub struct Metrics(pub Option<Arc<Source>>);

/// The metrics on an address of their own, which has nothing else.
pub struct MetricsAlone(pub Arc<Source>);

/// The figures of this gateway and of the fleet.
pub struct Source {
    engine: Engine,
    traffic: Arc<Traffic>,
    /// The last text, and when it was made.
    last: Mutex<Option<(Instant, String)>>,
}

impl Source {
    /// The figures that `engine` reads of the fleet, and the counts of this gateway.
    pub fn new(engine: Engine, traffic: Arc<Traffic>) -> Arc<Self> {
        Arc::new(Self { engine, traffic, last: Mutex::default() })
    }

    /// The source for the call of the API; `None` if `http` disables it, or has another address for
    /// it.
    pub fn on_api(source: &Arc<Self>, http: &Http) -> Option<Arc<Self>> {
        let is_on_api = http.metrics && http.metrics_address.is_empty();
        is_on_api.then(|| Arc::clone(source))
    }

    /// The figures as text, at most [`FRESH`] old.
    async fn text(&self) -> String {
        let mut last = self.last.lock().await;
        if let Some((at, text)) = &*last
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        let text = text(self.engine.figures().await.ok().as_ref(), &self.traffic);
        *last = Some((Instant::now(), text.clone()));
        text
    }
}

impl Endpoint for MetricsAlone {
    type Output = poem::Response;

    async fn call(&self, request: Request) -> poem::Result<poem::Response> {
        if request.uri().path() != PATH {
            return Err(Refusal::only_metrics().into());
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Refusal::method_not_allowed("GET, HEAD").into());
        }
        let answer = poem::Response::builder().header(header::CONTENT_TYPE, CONTENT_TYPE);
        Ok(answer.body(self.0.text().await))
    }
}

#[OpenApi(tag = "Tag::Service")]
impl Metrics {
    /// Get the metrics
    ///
    /// For Prometheus, in its text format. `http.metrics` disables this call, and
    /// `http.metrics_address` moves it to an address of its own.
    #[oai(path = "/metrics", method = "get", operation_id = "get_metrics")]
    async fn metrics(&self) -> poem::Result<Response<PlainText<String>>> {
        let source = self.0.as_ref().ok_or(NotFoundError)?;
        let text = source.text().await;
        Ok(Response::new(PlainText(text)).header("content-type", CONTENT_TYPE))
    }
}

/// The text of the metrics, each with its help and type.
struct Exposition(String);

impl Exposition {
    /// Adds one metric with its samples, each with its labels as text; without a sample it is left
    /// out.
    fn metric(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (String, f64)>,
    ) {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP orchestrator_{name} {help}\n# TYPE orchestrator_{name} {kind}"
        );
        for (labels, value) in samples {
            let _ = writeln!(self.0, "orchestrator_{name}{labels} {value}");
        }
    }

    /// Adds a metric of one sample without labels; without a value it is left out.
    fn one(&mut self, kind: &str, name: &str, help: &str, value: impl Into<Option<f64>>) {
        let samples = value.into().into_iter().map(|value| (String::new(), value));
        self.metric(kind, name, help, samples);
    }

    /// Adds a metric with a sample for each value of a label.
    fn by<'l>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'l str, f64)>,
    ) {
        let samples =
            values.map(|(text, value)| (format!("{{{label}=\"{}\"}}", escaped(text)), value));
        self.metric(kind, name, help, samples);
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
    let help = "Always 1; the label is the version of this gateway.";
    let version = [(env!("CARGO_PKG_VERSION"), 1.0)].into_iter();
    text.by(GAUGE, "build_info", help, "version", version);
    let is_up = f64::from(u8::from(figures.is_some()));
    text.one(GAUGE, "store_up", "Whether the store answered.", is_up);
    if let Some(figures) = figures {
        write_fleet(&mut text, figures);
        write_store(&mut text, figures);
    }
    write_traffic(&mut text, traffic);
    let own = std::process::id();
    let cpu = process::cpu_time(own).map(|time| time.as_secs_f64());
    text.one(COUNTER, "process_cpu_seconds_total", "CPU time that this process has used.", cpu);
    let resident = process::resident_bytes(own).map(|bytes| bytes as f64);
    text.one(
        GAUGE,
        "process_resident_memory_bytes",
        "Memory that this process has in RAM.",
        resident,
    );
    text.0
}

fn write_traffic(text: &mut Exposition, traffic: &Traffic) {
    let connections = traffic.connections.load(Ordering::Relaxed) as f64;
    text.one(GAUGE, "http_connections", "Open connections of this gateway.", connections);
    let help = "Long-polls and event streams that wait at this gateway.";
    text.one(GAUGE, "http_waits", help, traffic.waits.taken() as f64);
    let help = "Bytes of request bodies that this gateway holds.";
    text.one(GAUGE, "http_body_bytes", help, traffic.bodies.taken() as f64);
    let causes = traffic.counts().map(|(cause, count)| (cause.as_str(), count as f64));
    let help = "Requests refused and connections cut to protect this gateway, by cause.";
    text.by(COUNTER, "http_refused_total", help, "cause", causes);
    let help = "Calls refused with 401, 403 or 429, by cause.";
    let counts = traffic.traces.counts();
    let causes = counts.iter().map(|(cause, count)| (*cause, *count as f64));
    text.by(COUNTER, "http_denied_total", help, "cause", causes);
}

fn write_fleet(text: &mut Exposition, figures: &Figures) {
    let stats = &figures.stats;
    let by_status = stats.by_status.iter().map(|(state, count)| (state.as_str(), *count as f64));
    text.by(GAUGE, "tasks", "Tasks in each status.", "status", by_status);
    let by_priority =
        stats.by_priority.iter().map(|(priority, count)| (priority.as_str(), *count as f64));
    text.by(GAUGE, "open_tasks", "Open tasks of each priority.", "priority", by_priority);
    let help = "How long the head of the priority queue has waited; 0 if it is empty.";
    let oldest = stats.oldest_pending_ms.map_or(0.0, seconds);
    text.one(GAUGE, "oldest_pending_seconds", help, oldest);
    let mut of_agents = |name: &str, help: &str, value: fn(&AgentStatus) -> f64| {
        let values = stats.by_agent.iter().map(|one| (one.agent.as_str(), value(one)));
        text.by(GAUGE, name, help, "agent", values);
    };
    of_agents("agent_depth", "Tasks that wait in the agent's subject.", |one| one.depth as f64);
    of_agents("agent_in_progress", "Tasks that the agent holds.", |one| one.in_progress as f64);
    let help = "Processes of the agent that called recently.";
    of_agents("agent_sessions", help, |one| one.session_count as f64);
    let help = "1 while the agent is paused.";
    of_agents("agent_paused", help, |one| f64::from(u8::from(one.is_paused)));
}

fn write_store(text: &mut Exposition, figures: &Figures) {
    let doctor = &figures.doctor;
    let help = "Findings of the doctor in its last check of the store.";
    text.one(GAUGE, "doctor_findings", help, doctor.findings as f64);
    let help = "Findings that the doctor logged.";
    let found = doctor.found.iter().map(|(kind, count)| (*kind, *count as f64));
    text.by(COUNTER, "doctor_findings_total", help, "kind", found);
    let help = "Checks of the whole store by the doctor.";
    text.one(COUNTER, "doctor_checks_total", help, doctor.checks as f64);
    let help = "When the doctor's last check ended, in Unix time.";
    text.one(GAUGE, "doctor_finished_timestamp_seconds", help, doctor.finished.map(seconds));
    let help =
        "Texts under each encryption key in the doctor's last check; without a key: in clear.";
    let texts = doctor.texts.iter().map(|(key, count)| (key.as_str(), *count as f64));
    text.by(GAUGE, "stored_texts", help, "key", texts);
    let help = "How often this gateway found that the store had lost data.";
    text.one(COUNTER, "store_losses_total", help, figures.losses as f64);
    let help = "Notifications that Redis refused: its user lacks access to a channel.";
    let refused = figures.refused_notifications as f64;
    text.one(COUNTER, "notifications_refused_total", help, refused);
    let help = "How far the bridge to NATS is behind the event log; absent if no bridge ever ran.";
    text.one(GAUGE, "bridge_lag_seconds", help, figures.bridge_lag_ms.map(seconds));
    let help = "Events sent to NATS without their payload, which is larger than its max_payload.";
    let truncated = figures.truncated_events as f64;
    text.one(COUNTER, "bridge_truncated_events_total", help, truncated);
    let partitions: Vec<_> =
        figures.logs.iter().map(|(partition, bounds)| (partition.to_string(), bounds)).collect();
    let first = partitions
        .iter()
        .filter_map(|(name, bounds)| Some((name.as_str(), seconds(bounds.first?.at_ms))));
    let help = "The time of the oldest event in the log.";
    text.by(GAUGE, "event_log_first_timestamp_seconds", help, "partition", first);
    let last = partitions.iter().map(|(name, bounds)| (name.as_str(), seconds(bounds.last.at_ms)));
    let help = "The time of the newest event in the log.";
    text.by(GAUGE, "event_log_last_timestamp_seconds", help, "partition", last);
}

#[cfg(test)]
mod tests {
    use super::super::settings::Http;
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut text = Exposition(String::new());

        text.by(GAUGE, "x", "Why.", "agent", [("a\"b\\c\nd", 1.5)].into_iter());

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
