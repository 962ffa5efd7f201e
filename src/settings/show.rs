//! The configuration in force as TOML that can be read again, except for its secrets.

use std::fmt::Write;

use config::{Value, ValueKind};

use super::DEFAULTS;
use super::tree::{Tree, bare, below, shown, sorted};

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
