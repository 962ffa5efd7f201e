//! The configuration in force as TOML that can be read again, except for its secrets.

use std::fmt::Write;

use config::{Value, ValueKind};
use serde::Serialize;
use serde_json::Value as Json;

use super::DEFAULTS;
use super::tree::{Tree, bare, below, is_secret, masked, shown, sorted};

pub(super) fn toml(tree: &Tree) -> String {
    let mut text =
        "# Settings in force. A value without a remark is the default; *** stands for a secret.\n"
            .to_owned();
    // The sections in the order of `config/default.toml`, which has each of them.
    let headers = DEFAULTS.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    for section in headers.filter(|header| !header.contains('.')) {
        if let Some(ValueKind::Table(table)) = tree.0.get(section).map(|value| &value.kind) {
            let _ = write!(text, "\n[{section}]\n");
            for (key, value) in sorted(table) {
                line(&mut text, &below(section, key), &bare(key), value);
            }
        }
    }
    text
}

/// A setting in force.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The path of the setting, such as `http.port`.
    pub key: String,
    /// The value, with secrets as `***`.
    pub value: Json,
    /// Where the value comes from: a file or an environment variable. `None` if it is the default.
    pub source: Option<String>,
}

/// Returns every setting in force, in the order of their paths.
pub(super) fn all(tree: &Tree) -> Vec<Shown> {
    let mut found = Vec::new();
    for (section, value) in sorted(&tree.0) {
        collect(&mut found, section, value);
    }
    found
}

fn collect(found: &mut Vec<Shown>, path: &str, value: &Value) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (inner, value) in sorted(table) {
                collect(found, &below(path, inner), value);
            }
        }
        _ => found.push(Shown {
            key: path.to_owned(),
            value: json(path, value),
            source: value.origin().map(str::to_owned),
        }),
    }
}

/// Returns the value as JSON, with secrets as `***`.
fn json(path: &str, value: &Value) -> Json {
    match &value.kind {
        ValueKind::String(text) => Json::from(masked(path, text)),
        ValueKind::Array(items) => items.iter().map(|item| json(path, item)).collect(),
        ValueKind::Table(table) => {
            let pairs = sorted(table).into_iter();
            pairs.map(|(key, value)| (key.clone(), json(&below(path, key), value))).collect()
        }
        ValueKind::Nil => Json::from(""),
        _ if is_secret(path) => Json::from("***"),
        // Numbers and booleans are written alike in both.
        other => serde_json::from_str(&other.to_string()).unwrap_or_default(),
    }
}

/// Writes `value`. A table becomes one line for each key, because the keys may have different
/// origins.
fn line(text: &mut String, path: &str, key: &str, value: &Value) {
    let written = match &value.kind {
        ValueKind::Table(table) => {
            for (inner, value) in sorted(table) {
                line(text, &below(path, inner), &format!("{key}.{}", bare(inner)), value);
            }
            return;
        }
        ValueKind::Array(items)
            if items.iter().any(|item| matches!(item.kind, ValueKind::Table(_))) =>
        {
            let rows = items.iter().map(|item| format!("    {},\n", shown(path, item)));
            format!("[\n{}]", rows.collect::<String>())
        }
        _ => shown(path, value),
    };
    let remark = value.origin().map_or_else(String::new, |origin| format!("  # {origin}"));
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{key} = {written}{remark}");
}
