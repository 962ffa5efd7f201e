//! Finds unknown keys and values of the wrong kind, all at once, by comparing the given settings
//! with the defaults.

use config::{Map, Value, ValueKind};

use super::Fault;
use super::tree::{Kind, Tree, below, fault, open_table, sorted};
use crate::domain::nearest::nearest;

/// Adds a fault for each key of the table `given` at `path` that is unknown or of another kind than
/// the default in `known`.
pub(super) fn compare(
    defaults: &Tree,
    path: &str,
    known: &Map<String, Value>,
    given: &Map<String, Value>,
    faults: &mut Vec<Fault>,
) {
    for (key, value) in sorted(given) {
        let place = below(path, key);
        match (open_table(path), known.get(key)) {
            (Some(kind), _) => expect(&place, value, kind, faults),
            (None, None) => {
                let why = unknown(defaults, path, key, known);
                // The value of an unknown key may be a misplaced secret.
                faults.push(Fault { value: None, ..fault(&place, value, why) });
            }
            (None, Some(default)) => match (&default.kind, &value.kind) {
                (ValueKind::Table(known), ValueKind::Table(given)) => {
                    compare(defaults, &place, known, given, faults);
                }
                _ => expect(&place, value, Kind::of(default), faults),
            },
        }
    }
}

fn expect(path: &str, value: &Value, kind: Kind, faults: &mut Vec<Fault>) {
    if Kind::of(value) != kind {
        faults.push(fault(path, value, kind.expected()));
    }
}

fn unknown(defaults: &Tree, path: &str, key: &str, known: &Map<String, Value>) -> String {
    let near = nearest(key, known.keys().map(String::as_str)).map(|near| below(path, near));
    let hint = match near.or_else(|| elsewhere(defaults, key)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let keys: Vec<_> = sorted(known).into_iter().map(|(key, _)| key.as_str()).collect();
            format!("known are {}", keys.join(", "))
        }
    };
    let what = if path.is_empty() { "unknown section" } else { "unknown key" };
    format!("{what}, {hint}")
}

/// The setting of exactly this name in another section.
fn elsewhere(defaults: &Tree, key: &str) -> Option<String> {
    sorted(&defaults.0).into_iter().find_map(|(section, value)| match &value.kind {
        ValueKind::Table(table) if table.contains_key(key) => Some(below(section, key)),
        _ => None,
    })
}
