//! The joined configuration as a tree: the values, their origins, and how they are shown.

use std::fmt;

use config::{ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::Fault;
use crate::domain::principal::Role;
use crate::domain::text;
use crate::runtime::address::Address;

/// The kind of value that a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Flag,
    List,
    Table,
    Nothing,
}

impl Kind {
    pub(super) fn of(value: &Value) -> Self {
        match &value.kind {
            ValueKind::String(_) => Self::Text,
            ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
                Self::Whole
            }
            ValueKind::Float(_) => Self::Number,
            ValueKind::Boolean(_) => Self::Flag,
            ValueKind::Array(_) => Self::List,
            ValueKind::Table(_) => Self::Table,
            ValueKind::Nil => Self::Nothing,
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text => "expected a text",
            Self::Whole => "expected a whole number",
            Self::Number => "expected a number",
            Self::Flag => "expected true or false",
            Self::List => "expected a list",
            Self::Table => "expected a table",
            Self::Nothing => "expected nothing",
        }
    }
}

/// The settings whose whole text is secret.
const SECRETS: [&str; 5] =
    ["auth.jwt_secret", "auth.oidc_client_secret", "nats.token", "nats.password", "nats.nkey_seed"];

/// The settings that contain a secret.
const URLS: [&str; 2] = ["store.url", "nats.url"];

/// Whether a value at this path is a secret or contains one.
pub(super) fn is_secret(path: &str) -> bool {
    let is_in_table = |table| path.starts_with(table);
    SECRETS.contains(&path)
        || URLS.contains(&path)
        || ["auth.api_keys.", "store.encryption.keys."].into_iter().any(is_in_table)
}

/// Tables whose keys the operator chooses, and the kind of their values.
const OPEN: [(&str, Kind); 9] = [
    ("store.encryption.keys", Kind::Text),
    ("auth.token_roles", Kind::Text),
    ("auth.api_keys", Kind::Text),
    ("auth.tenants", Kind::Text),
    ("auth.identities", Kind::Text),
    ("auth.sources", Kind::List),
    ("sla.targets", Kind::Whole),
    ("sla.start_targets", Kind::Whole),
    ("approvals.groups", Kind::List),
];

/// The kind of the values in the table at `path` if the operator chooses its keys; `None` if its
/// keys are those of the defaults.
pub(super) fn open_table(path: &str) -> Option<Kind> {
    OPEN.into_iter().find(|(open, _)| *open == path).map(|(_, kind)| kind)
}

/// A table of settings, each with its origin.
#[derive(Clone, Default)]
pub(super) struct Tree(pub(super) Map<String, Value>);

/// Shows no values, because some are secret.
impl fmt::Debug for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tree")
    }
}

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Tree {
    /// Reads a file of settings, which is the origin of each value if it has a name.
    pub(super) fn read(name: Option<&String>, text: &str) -> Result<Self, String> {
        FileFormat::Toml.parse(name, text).map(Self).map_err(|error| error_text(&*error))
    }

    /// The value at a path such as `routing.rules[0].agent`. Keys that contain a dot cannot be
    /// looked up.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']'));
        let mut value = self.0.get(steps.next()?)?;
        for step in steps {
            value = match &value.kind {
                ValueKind::Table(table) => table.get(step)?,
                ValueKind::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The whole number at `path`. `None` if there is none.
    pub(super) fn whole(&self, path: &str) -> Option<u64> {
        self.at(path)?.clone().into_uint().ok()
    }

    /// The fault that the value at `path` is not as `expected`.
    pub(super) fn fault(&self, path: &str, expected: impl Into<String>) -> Fault {
        let none = Value::new(None, ValueKind::Nil);
        fault(path, self.at(path).unwrap_or(&none), expected)
    }
}

/// The error without the excerpt of the file, which may hold a secret.
pub(super) fn error_text(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim_end);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.contains(" |")).collect();
    lines.join(": ")
}

/// The fault that `value` at `path` is not as `expected`.
pub(super) fn fault(path: &str, value: &Value, expected: impl Into<String>) -> Fault {
    // Any part of a URL that cannot be used may belong to its password.
    let is_short = !URLS.contains(&path)
        && !matches!(value.kind, ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil);
    Fault {
        key: path.to_owned(),
        value: is_short.then(|| shown(path, value)),
        origin: origin_of(value).map(str::to_owned),
        detail: expected.into(),
    }
}

/// The origin of the value. A table may be joined from several origins, of which the first is
/// returned.
fn origin_of(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::Table(table) => {
            sorted(table).into_iter().find_map(|(_, inner)| origin_of(inner))
        }
        _ => value.origin(),
    }
}

/// The entries of a table in a stable order.
pub(super) fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    entries
}

/// The path of `key` in the table at `parent`.
pub(super) fn below(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// Writes the value as TOML on one line, with secrets as `***`.
pub(super) fn shown(path: &str, value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => quoted(&masked(path, text)),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(path, item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(table) => {
            let pairs: Vec<_> = sorted(table)
                .into_iter()
                .map(|(key, value)| format!("{} = {}", bare(key), shown(&below(path, key), value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        ValueKind::Nil => quoted(""),
        _ if is_secret(path) => quoted("***"),
        other => other.to_string(),
    }
}

/// Writes the key as TOML: bare where that is allowed.
pub(super) fn bare(key: &str) -> String {
    if key.is_empty() || !is_plain(key) { quoted(key) } else { key.to_owned() }
}

/// Whether the text has only letters, digits, `_` and `-`.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Writes a TOML text, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    text::quoted(text).replace('\x7f', "\\u007f")
}

pub(super) fn masked(path: &str, text: &str) -> String {
    match path {
        _ if text.is_empty() => String::new(),
        _ if URLS.contains(&path) => Address::from(text).to_string(),
        _ if SECRETS.contains(&path) => "***".to_owned(),
        _ if path.starts_with("auth.api_keys") => match text.rsplit_once(':') {
            Some((_, role)) if role.parse::<Role>().is_ok() => format!("***:{role}"),
            _ => "***".to_owned(),
        },
        _ => text.to_owned(),
    }
}
