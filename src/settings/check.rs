//! Checks of values beyond their kind: ranges, and conditions on several values together.

mod limits;
mod people;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::tree::{Tree, is_plain};
use super::{Fault, Settings};
use crate::domain::approval::{OnExpiry, TermsSetting};
use crate::domain::bulk::MAX_BULKS;
use crate::domain::name::Name;
use crate::domain::nearest::nearest;
use crate::domain::principal::Scope;
use crate::domain::priority::Priority;
use crate::domain::rules::{Action, Condition};
use crate::domain::sla::TARGET_MS;
use crate::domain::source::is_fleet_source;
use crate::engine::{self, SESSION_SECONDS};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// The smallest size of a partition's event log, in bytes: a few of its largest entries.
const MIN_LOG_BYTES: u64 = 1 << 20;

/// Adds a fault for every condition that does not hold.
pub(super) fn cross(settings: &Settings, faults: &mut Vec<Fault>) {
    let mut check = Check { tree: &settings.tree, faults };
    check.ranges(settings);
    check.limits();
    check.together(settings);
    check.urls(settings);
    check.secrets(settings);
    check.routing(&settings.engine);
    check.approvals(&settings.engine);
    check.sla(&settings.engine);
    check.origins(&settings.http.http.cors_origins);
    check.auth(&settings.http.auth);
    if let Err(error) = settings.log.filter() {
        check.fail("log.level", error.to_string());
    }
}

struct Check<'s> {
    tree: &'s Tree,
    faults: &'s mut Vec<Fault>,
}

impl Check<'_> {
    fn fail(&mut self, path: &str, expected: impl Into<String>) {
        self.faults.push(self.tree.fault(path, expected));
    }

    fn range(&mut self, path: &str, value: u64, range: RangeInclusive<u64>) {
        if !range.contains(&value) {
            self.fail(path, format!("expected {} to {}", range.start(), range.end()));
        }
    }

    fn ranges(&mut self, settings: &Settings) {
        for (path, range) in [
            ("store.partitions", 1..=256),
            ("store.response_timeout_ms", 10..=60 * SECOND),
            ("store.connect_timeout_ms", 10..=60 * SECOND),
            ("store.wait_replicas", 0..=8),
            ("store.wait_timeout_ms", 10..=60 * SECOND),
            ("tasks.max_retries", 0..=100),
            ("tasks.max_payload_bytes", 1..=100 << 20),
            ("tasks.idempotency_ms", SECOND..=30 * DAY),
            ("tasks.max_bulks", 1..=MAX_BULKS.into()),
            ("tasks.backoff.base_ms", 1..=7 * DAY),
            ("tasks.backoff.max_ms", 1..=7 * DAY),
            // A larger head start would make scores negative, which the store does not expect.
            ("queue.head_start_ms.P0", 0..=1_000_000_000_000),
            ("agents.lease_ms", SECOND..=HOUR),
            ("agents.patch_lease_ms", SECOND..=DAY),
            ("agents.max_lost", 1..=100),
            ("agents.session_ms", SECOND..=DAY),
            ("agents.max_sessions", 1..=100_000),
            ("agents.max_agents", 1..=100_000),
            ("agents.max_claim_bytes", 1 << 20..=1 << 30),
            ("approvals.expires_after_ms", SECOND..=YEAR),
            ("approvals.max_asks", 1..=1_000),
            ("approvals.ask_backoff_ms", 0..=DAY),
            ("approvals.ask_backoff_max_ms", 0..=DAY),
            ("sla.warn_at_percent", 1..=100),
            ("retention.finished_ms", SECOND..=10 * YEAR),
            ("retention.events_ms", SECOND..=10 * YEAR),
            ("retention.audit_ms", SECOND..=10 * YEAR),
            ("retention.events", 1_000..=1_000_000_000_000),
            ("retention.events_bytes", 1 << 20..=1 << 40),
            ("events.max_publish_bytes", 256..=1 << 20),
            ("events.publish_bytes_per_minute", 1_024..=1 << 40),
            ("http.max_body_bytes", 1_024..=1 << 30),
            ("http.idle_timeout_ms", SECOND..=HOUR),
            ("http.header_timeout_ms", 100..=300 * SECOND),
            ("http.body_timeout_ms", 100..=HOUR),
            ("http.write_timeout_ms", 100..=HOUR),
            ("http.min_bytes_per_second", 0..=1_000_000_000),
            ("http.max_connections", 16..=1_000_000),
            ("http.max_connections_per_address", 16..=1_000_000),
            ("http.max_header_bytes", 8_192..=1 << 20),
            ("http.max_waits_per_principal", 1..=1_000_000),
            ("http.heartbeat_ms", SECOND..=60 * SECOND),
            ("http.drain_ms", 0..=60 * SECOND),
            ("http.grace_ms", 0..=300 * SECOND),
            ("auth.jwt_max_seconds", 60..=100 * YEAR / SECOND),
            ("auth.jwks_refresh_seconds", 10..=DAY / SECOND),
            ("auth.oidc_session_seconds", 60..=SESSION_SECONDS),
            ("nats.stream_max_age_ms", SECOND..=10 * YEAR),
        ] {
            // Without a number at the path the value is out of every range.
            self.range(path, self.tree.whole(path).unwrap_or(u64::MAX), range);
        }
        let every_ms = settings.engine.doctor.every_ms;
        if every_ms > 0 {
            self.range("doctor.every_ms", every_ms, SECOND..=30 * DAY);
        }
        if settings.http.http.host.trim().is_empty() {
            self.fail("http.host", "expected an address or a name");
        }
    }

    /// Checks values that are risky together.
    fn together(&mut self, settings: &Settings) {
        let engine = &settings.engine;
        for (path, least, why) in [
            ("tasks.backoff.max_ms", "tasks.backoff.base_ms", ""),
            ("approvals.ask_backoff_max_ms", "approvals.ask_backoff_ms", ""),
            ("agents.session_ms", "agents.lease_ms", "a working agent would not count as live"),
            (
                "retention.finished_ms",
                "tasks.idempotency_ms",
                "a repeated submission would find no task",
            ),
            ("http.max_body_bytes", "tasks.max_payload_bytes", ""),
            ("http.max_inflight_bytes", "http.max_body_bytes", ""),
        ] {
            // A setting that is missing fails, so that no name here can be misspelt.
            if self.tree.whole(path).is_none_or(|value| Some(value) < self.tree.whole(least)) {
                let or = if why.is_empty() { "" } else { ", or " };
                self.fail(path, format!("expected no less than {least}{or}{why}"));
            }
        }
        if !is_fleet_source(&engine.events.source) {
            let expected =
                "expected a path such as /orchestrator, or a URI, without `/` at the end";
            self.fail("events.source", expected);
        }
        if !is_plain(&settings.nats.stream) {
            self.fail("nats.stream", "expected letters, digits, _ and -");
        }
        let partitions = u64::from(settings.store.partitions);
        let least = MIN_LOG_BYTES * partitions;
        if engine.retention.events_bytes < least {
            let expected = format!("expected {least} or more with {partitions} partitions");
            self.fail("retention.events_bytes", expected);
        }
        let largest = engine.largest_task_bytes();
        if engine.agents.max_claim_bytes < largest {
            let why = "so large is a task with tasks.max_payload_bytes";
            self.fail("agents.max_claim_bytes", format!("expected {largest} or more: {why}"));
        }
        let starts = &engine.queue.head_start_ms;
        for (sooner, later) in Priority::ALL.iter().zip(&Priority::ALL[1..]) {
            if starts.of(*sooner) < starts.of(*later) {
                let sooner = sooner.as_str();
                let why =
                    format!("expected no more than {sooner}'s, or the less urgent would go first");
                self.fail(&format!("queue.head_start_ms.{}", later.as_str()), why);
            }
        }
    }

    fn routing(&mut self, engine: &engine::Settings) {
        for (number, rule) in engine.routing.rules.iter().enumerate() {
            self.condition(&format!("routing.rules[{number}].when"), &rule.when, engine);
        }
        let mut seen = BTreeSet::new();
        for kind in &engine.tasks.types {
            let mut taken = engine.routing.rules.iter().map(|rule| &rule.when.types);
            if !taken.any(|types| types.is_empty() || types.contains(kind)) {
                self.fail("routing.rules", format!("no rule takes tasks of type `{kind}`"));
            }
            if !seen.insert(kind) {
                self.fail("tasks.types", format!("`{kind}` is given twice"));
            }
        }
        if engine.tasks.types.is_empty() {
            self.fail("tasks.types", "expected at least one type");
        }
    }

    fn approvals(&mut self, engine: &engine::Settings) {
        let mut seen = BTreeSet::new();
        for (number, rule) in engine.approvals.rules.iter().enumerate() {
            let path = format!("approvals.rules[{number}]");
            self.condition(&format!("{path}.when"), &rule.when, engine);
            if rule.name.trim().is_empty() {
                let why = "expected a name, which approvers see as the reason";
                self.fail(&format!("{path}.name"), why);
            } else if !seen.insert(&rule.name) {
                self.fail(&format!("{path}.name"), "another rule has this name");
            }
            self.terms(&format!("{path}.terms"), &rule.terms, engine);
        }
        self.terms("approvals.asked", &engine.approvals.asked, engine);
        if engine.approvals.on_expiry == OnExpiry::Escalate {
            let why = "expected \"reject\" or \"hold\": only the terms of a rule can escalate";
            self.fail("approvals.on_expiry", why);
        }
        self.groups(&engine.approvals.groups);
    }

    /// Terms that no approvers can meet would block their tasks for ever.
    fn terms(&mut self, path: &str, terms: &TermsSetting, engine: &engine::Settings) {
        let quorum = terms.quorum.unwrap_or(1);
        self.range(&format!("{path}.quorum"), quorum.into(), 1..=20);
        if let Some(ms) = terms.expires_after_ms {
            self.range(&format!("{path}.expires_after_ms"), ms, SECOND..=YEAR);
        }
        if let Some(ms) = terms.remind_every_ms.filter(|ms| *ms > 0) {
            self.range(&format!("{path}.remind_every_ms"), ms, SECOND..=YEAR);
        }
        let escalates = terms.on_expiry == Some(OnExpiry::Escalate);
        if escalates == terms.escalate_to.is_empty() {
            let expected =
                "expected at least one entry with on_expiry = \"escalate\", and none without it";
            self.fail(&format!("{path}.escalate_to"), expected);
        } else if terms.escalate_to.len() > 5 {
            self.fail(&format!("{path}.escalate_to"), "expected at most 5 entries");
        }
        let known = &engine.approvals.groups;
        let first = (path.to_owned(), &terms.roles, &terms.groups);
        let later = terms.escalate_to.iter().enumerate().map(|(number, level)| {
            let path = format!("{path}.escalate_to[{number}]");
            (path, &level.roles, &level.groups)
        });
        for (path, roles, groups) in std::iter::once(first).chain(later) {
            for role in roles.iter().filter(|role| !role.allows(Scope::ApprovalsDecide)) {
                let why = format!("the role {} may not decide", role.as_str());
                self.fail(&format!("{path}.roles"), why);
            }
            for group in groups.iter().filter(|group| !known.contains_key(*group)) {
                let why = format!("`{group}` is not one of approvals.groups");
                self.fail(&format!("{path}.groups"), why);
            }
            let members = groups.iter().flat_map(|group| engine.people.members(known, group));
            let people = members.collect::<BTreeSet<_>>().len();
            if roles.is_empty() && !groups.is_empty() && people < quorum as usize {
                let why = "its groups have fewer people than the quorum";
                self.fail(&format!("{path}.quorum"), why);
            }
        }
        for (number, level) in terms.escalate_to.iter().enumerate() {
            let path = format!("{path}.escalate_to[{number}].expires_after_ms");
            self.range(&path, level.expires_after_ms, SECOND..=YEAR);
        }
    }

    /// A misspelling in a rule must not go unnoticed: a wrong type would let a task pass without an
    /// approval.
    fn condition(&mut self, path: &str, when: &Condition, engine: &engine::Settings) {
        if let Err(why) = when.check() {
            self.fail(&format!("{path}.where"), why);
        }
        for (number, kind) in when.types.iter().enumerate() {
            self.known_type(&format!("{path}.types[{number}]"), kind.as_str(), engine);
        }
    }

    fn known_type(&mut self, path: &str, kind: &str, engine: &engine::Settings) {
        let types = &engine.tasks.types;
        if !types.iter().any(|known| known.as_str() == kind) {
            let near = nearest(kind, types.iter().map(Name::as_str));
            let hint = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            self.fail(path, format!("`{kind}` is not one of tasks.types{hint}"));
        }
    }

    fn sla(&mut self, engine: &engine::Settings) {
        self.targets("sla.targets", &engine.sla.targets, engine);
        self.targets("sla.start_targets", &engine.sla.start_targets, engine);
        for (number, rule) in engine.sla.rules.iter().enumerate() {
            let path = format!("sla.rules[{number}]");
            self.condition(&format!("{path}.when"), &rule.when, engine);
            let notifies = match rule.action {
                Action::Notify => true,
                Action::Raise | Action::Escalate | Action::Cancel => false,
            };
            if notifies && rule.to.is_none() {
                self.fail(&path, "expected `to`, which names the receiver");
            } else if !notifies && rule.to.is_some() {
                self.fail(&format!("{path}.to"), "expected only with the action `notify`");
            }
        }
    }

    fn targets(&mut self, table: &str, targets: &BTreeMap<String, u64>, engine: &engine::Settings) {
        for (key, target) in targets {
            let path = format!("{table}.{key}");
            let parts = key.split_once('/');
            if Priority::from_str(parts.map_or(key, |(_, priority)| priority)).is_err() {
                let expected = "expected the key `P0` to `P3`, or a type and a priority such as \
                                `\"deploy/P0\"`";
                self.fail(&path, expected);
            } else if let Some((kind, _)) = parts {
                self.known_type(&path, kind, engine);
            }
            self.range(&path, *target, TARGET_MS);
        }
    }

    fn origins(&mut self, origins: &[String]) {
        for (number, origin) in origins.iter().enumerate() {
            let place = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_origin =
                place.is_some_and(|place| !place.is_empty() && !place.contains(['/', ' ', '*']));
            if origin != "*" && !is_origin {
                let expected =
                    "expected `*` or an origin such as `https://app.example.com`, without a path";
                self.fail(&format!("http.cors_origins[{number}]"), expected);
            }
        }
    }
}
