//! The arguments of one submission, in the order that `submit.lua` takes them.

use std::fmt::Write as _;

use crate::domain::submission::{NewTask, Start};
use crate::domain::time::Millis;

use super::super::Error;
use super::super::new_record::NewRecord;
use super::cipher::{Cipher, Place};
use super::{fields, trace_word, word, write_json};

/// The arguments of every row.
const ROW: [&str; 4] = ["id", "terms", "spec", "groups"];

/// What tasks of a batch mostly have in common: the words of `terms`, before a line with the facts
/// of the status. `head_start` is in milliseconds. `start` and `finish` are deadlines: a time in
/// milliseconds, with `+` before it this long after the task may start, or `-`.
const TERMS: [&str; 8] =
    ["by", "head_start", "start", "finish", "percent", "stands", "actions", "target"];

/// An optional argument of a row. Most rows have none.
#[derive(Clone, Copy)]
enum Group {
    /// When the task may start, ms; with `+` before it: this long after now.
    Start,
    /// The words of its own: parent, cascade, trace, traceparent and title.
    Own,
    /// The parent: `here` in this partition; the state of one in another partition, or `gone`.
    Parent,
    /// The hash of the idempotency key and, each after a space, the digest of the body, and what it
    /// would be under other settings of the encryption.
    Key,
    /// The id of the approval, a space, the digest of the content and, in the next lines, the gate;
    /// see `gate.lua`.
    Gate,
}

impl Group {
    const ALL: [Self; 5] = [Self::Start, Self::Own, Self::Parent, Self::Key, Self::Gate];

    /// Returns the name in the script, of which the first letter stands in `groups`.
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Own => "own",
            Self::Parent => "parent",
            Self::Key => "key",
            Self::Gate => "gate",
        }
    }
}

/// Returns the places of the arguments in a row, the groups by their letters, and the function that
/// takes the terms apart, as Lua.
pub(in crate::store) fn lua() -> String {
    let mut lua = String::new();
    for (place, name) in ROW.iter().enumerate() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(lua, "local {} = {place}", name.to_uppercase());
    }
    let groups = Group::ALL.map(|group| format!("{}='{}'", &group.name()[..1], group.name()));
    let _ = writeln!(lua, "local ROW, GROUP = {}, {{{}}}", ROW.len(), groups.join(","));
    lua.push_str(&fields::cut("terms(text)", "text", &[], &TERMS, ""));
    lua
}

/// Appends the arguments of one task.
pub(in super::super) fn push(
    args: &mut redis::Cmd,
    cipher: &Cipher,
    record: &NewRecord,
) -> Result<(), Error> {
    let new = &record.new;
    args.arg(record.id.to_string()).arg(terms(record));
    let spec = write_json(&new.spec.payload, new.spec.metadata.as_deref())?;
    args.arg(cipher.seal(Place::Spec(record.id), &spec)?);
    let groups = groups(cipher, record)?;
    args.arg(groups.iter().map(|(group, _)| &group.name()[..1]).collect::<String>());
    for (_, argument) in groups {
        args.arg(argument);
    }
    Ok(())
}

fn groups(cipher: &Cipher, record: &NewRecord) -> Result<Vec<(Group, String)>, Error> {
    let new = &record.new;
    let mut groups = Vec::new();
    match new.start {
        Start::Now => {}
        Start::After(delay) => groups.push((Group::Start, format!("+{delay}"))),
        Start::At(at) => groups.push((Group::Start, at.to_string())),
    }
    if has_labels(new) || new.spec.parent.is_some() {
        groups.push((Group::Own, own(new)));
    }
    if new.spec.parent.is_some() {
        let state = match record.parent_elsewhere {
            None => "here",
            Some(None) => "gone",
            Some(Some(state)) => state.as_str(),
        };
        groups.push((Group::Parent, state.to_owned()));
    }
    if let Some(hash) = &record.key_hash {
        let digest = new.idempotency.as_ref().map_or("-", |one| one.digest.as_str());
        groups.push((Group::Key, format!("{hash} {}", cipher.digests(digest))));
    }
    if let Some(gate) = &record.gate {
        groups.push((Group::Gate, format!("{} {}\n{}", gate.id, gate.digest, gate.lines()?)));
    }
    Ok(groups)
}

/// Returns whether events about the task show something of its own.
fn has_labels(new: &NewTask) -> bool {
    let spec = &new.spec;
    spec.trace_id.is_some() || spec.traceparent.is_some() || spec.title.is_some()
}

fn own(new: &NewTask) -> String {
    let spec = &new.spec;
    let parent = spec.parent.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let cascade = spec.parent.map_or("-", |_| spec.on_parent_cancel.as_str());
    let trace_id = spec.trace_id.as_deref().unwrap_or("-");
    let traceparent = trace_word(spec.traceparent.as_deref(), spec.tracestate.as_deref());
    let title = word(spec.title.as_deref());
    format!("{parent} {cascade} {trace_id} {traceparent} {title}")
}

fn terms(record: &NewRecord) -> String {
    let new = &record.new;
    let spec = &new.spec;
    let by = &record.by;
    let head_start = record.head_start_ms;
    let promise = promise(record);
    let agent = &record.agent;
    let kind = &spec.kind;
    let priority = spec.priority.as_str();
    let max_retries = spec.max_retries;
    let timeout = spec.timeout_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    let source = &spec.source;
    let labels = if has_labels(new) { "+" } else { "-" };
    format!(
        "{by} {head_start} {promise}\n{agent} {kind} {priority} {max_retries} {timeout} {source} \
         {labels}"
    )
}

/// Returns the words of the terms about the SLA.
fn promise(record: &NewRecord) -> String {
    let stands = u8::from(record.stands_while_blocked);
    let Some(sla) = &record.new.sla else { return format!("- - - {stands} - -") };
    let actions = if record.actions.is_empty() { "-" } else { &record.actions };
    let start = deadline(sla.start_deadline, sla.start_within_ms);
    let finish = deadline(sla.deadline, sla.within_ms);
    let percent = sla.alert_threshold;
    let target = word(sla.target.as_deref());
    format!("{start} {finish} {percent} {stands} {actions} {target}")
}

fn deadline(at: Option<Millis>, within: Option<Millis>) -> String {
    match (at, within) {
        (Some(at), _) => at.to_string(),
        (None, Some(within)) => format!("+{within}"),
        (None, None) => "-".to_owned(),
    }
}
