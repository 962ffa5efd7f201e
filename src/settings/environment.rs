//! The environment as a source of settings: which variable means which setting, and how its text is
//! read.
//!
//! This module does not read the process's environment: the variables are an argument.

use config::{FileFormat, Format, Map, Value, ValueKind};

use super::tree::{Kind, Tree, below, open_table};
use super::{Fault, Variables};
use crate::domain::nearest::nearest;

/// The prefix of the long names: `ORCHESTRATOR__SECTION__KEY`.
const LONG: &str = "ORCHESTRATOR__";

/// The prefix of API keys: `ORCHESTRATOR_API_KEY_<NAME>=<key>:<role>`.
const API_KEY: &str = "ORCHESTRATOR_API_KEY_";

/// The short names, and the settings that they mean.
const SHORT: [(&str, &str); 6] = [
    ("REDIS_URL", "store.url"),
    ("NATS_URL", "nats.url"),
    ("ORCHESTRATOR_PORT", "http.port"),
    ("ORCHESTRATOR_JWT_SECRET", "auth.jwt_secret"),
    ("ORCHESTRATOR_CORS_ORIGINS", "http.cors_origins"),
    ("RUST_LOG", "log.level"),
];

/// Names that are no settings: the file to read, and the variables of the commands that call a
/// gateway.
const ELSEWHERE: [&str; 3] = ["ORCHESTRATOR_ENV", "ORCHESTRATOR_URL", "ORCHESTRATOR_API_KEY"];

/// Reads `variables`; the default settings say which settings exist and what they hold.
///
/// A short name whose value is empty counts as not set, because compose files pass such on. If a
/// short and a long name mean the same setting, the long one counts.
pub(super) fn read(variables: &Variables, defaults: &Tree, faults: &mut Vec<Fault>) -> Tree {
    let mut tree = Tree::default();
    let (long, short): (Vec<_>, Vec<_>) =
        variables.iter().partition(|(name, _)| name.starts_with(LONG));
    for (name, text) in short.into_iter().chain(long) {
        let Some(path) = path_of(name) else {
            faults.extend(near_miss(name));
            continue;
        };
        if text.is_empty() && !name.starts_with(LONG) {
            continue;
        }
        let (value, detail) = match locate(&path, defaults) {
            // The value of an unknown variable may be a misspelt secret.
            Err(detail) => (None, detail),
            Ok((spelled, kind)) => match parse(name, text, kind) {
                Ok(value) => {
                    put(&mut tree.0, &spelled, value);
                    continue;
                }
                Err(detail) => (Some(format!("{text:?}")), detail),
            },
        };
        faults.push(Fault { key: name.clone(), value, origin: None, detail });
    }
    tree
}

/// The setting that the variable means.
fn path_of(name: &str) -> Option<String> {
    if let Some(path) = name.strip_prefix(LONG) {
        return Some(path.replace("__", ".").to_lowercase());
    }
    if let Some((_, path)) = SHORT.into_iter().find(|(short, _)| *short == name) {
        return Some(path.to_owned());
    }
    let key = name.strip_prefix(API_KEY)?;
    Some(below("auth.api_keys", &key.to_lowercase()))
}

/// Variables of other programs may begin with our prefix too (Kubernetes makes some); one that
/// looks like a misspelling is refused.
fn near_miss(name: &str) -> Option<Fault> {
    if !name.starts_with("ORCHESTRATOR_") || ELSEWHERE.contains(&name) {
        return None;
    }
    let known = SHORT.into_iter().map(|(short, _)| short).chain(ELSEWHERE);
    let meant = nearest(name, known)?;
    let detail = format!("unknown variable, did you mean `{meant}`?");
    Some(Fault { key: name.to_owned(), value: None, origin: None, detail })
}

/// The path as the defaults spell it (a variable cannot distinguish `P0` from `p0`), and the kind
/// of its value.
fn locate(path: &str, defaults: &Tree) -> Result<(Vec<String>, Kind), String> {
    let mut table = &defaults.0;
    let mut spelled = Vec::new();
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        let parent = spelled.join(".");
        let found = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
        let Some((known, value)) = found else {
            let kind = open_table(&parent).filter(|_| !key.is_empty() && keys.peek().is_none());
            spelled.push(key.to_owned());
            return kind.map(|kind| (spelled, kind)).ok_or_else(|| unknown(&parent, key, table));
        };
        spelled.push(known.clone());
        match &value.kind {
            ValueKind::Table(inner) => table = inner,
            _ if keys.peek().is_none() => return Ok((spelled, Kind::of(value))),
            _ => return Err(format!("`{}` has no keys below it", spelled.join("."))),
        }
    }
    Err(format!("`{}` is a table: set one of its keys", spelled.join(".")))
}

fn unknown(parent: &str, key: &str, table: &Map<String, Value>) -> String {
    let meant = nearest(key, table.keys().map(String::as_str));
    let hint = meant.map_or_else(String::new, |meant| {
        let name = below(parent, meant).replace('.', "__").to_uppercase();
        format!(", did you mean `{LONG}{name}`?")
    });
    format!("unknown setting `{}`{hint}", below(parent, key))
}

fn parse(origin: &String, text: &str, kind: Kind) -> Result<Value, String> {
    let parsed = match kind {
        Kind::Text => Some(ValueKind::String(text.to_owned())),
        Kind::Whole => text.trim().replace('_', "").parse().ok().map(ValueKind::I64),
        Kind::Number => text.trim().parse().ok().map(ValueKind::Float),
        Kind::Flag => text.trim().parse().ok().map(ValueKind::Boolean),
        Kind::List if text.trim_start().starts_with('[') => return list(origin, text),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(ValueKind::Array(items.map(|item| Value::new(Some(origin), item)).collect()))
        }
        Kind::Table | Kind::Nothing => None,
    };
    if let Some(value) = parsed {
        return Ok(Value::new(Some(origin), value));
    }
    let mut expected = kind.expected().to_owned();
    if text.starts_with("tcp://") {
        expected.push_str("; Kubernetes made this variable: set enableServiceLinks to false");
    }
    Err(expected)
}

/// Reads a list in the syntax of the file: `["a", { b = 1 }]`.
fn list(origin: &String, text: &str) -> Result<Value, String> {
    let mut read = FileFormat::Toml
        .parse(None, &format!("list = {text}"))
        .map_err(|error| format!("expected a TOML list: {error}"))?;
    Ok(Value::new(Some(origin), read.remove("list").map(|list| list.kind)))
}

fn put(table: &mut Map<String, Value>, path: &[String], value: Value) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert(key.clone(), value);
        return;
    }
    let inner =
        table.entry(key.clone()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if let ValueKind::Table(inner) = &mut inner.kind {
        put(inner, rest, value);
    }
}
