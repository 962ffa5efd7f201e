//! The joined configuration as a tree: looking values up, where they come from, and how they are shown.

use config::{Map, Value, ValueKind};

use super::Fault;
use crate::store::sentinel::SCHEME;

/// What a setting may hold.
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

/// Tables whose keys the operator chooses, with what their values are.
const OPEN: [(&str, Kind); 6] = [
    ("auth.api_keys", Kind::Text),
    ("auth.identities", Kind::Text),
    ("auth.sources", Kind::List),
    ("sla.targets", Kind::Whole),
    ("sla.start_targets", Kind::Whole),
    ("approvals.groups", Kind::List),
];

/// What the values of the table at `path` are, if its keys are free; none: its keys are those of the defaults.
pub(super) fn open_table(path: &str) -> Option<Kind> {
    OPEN.into_iter().find(|(open, _)| *open == path).map(|(_, kind)| kind)
}

/// A table of settings, each with the place that it comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(pub(super) Map<String, Value>);

impl Tree {
    /// The value at a path such as `routing.rules[0].agent`. Keys with a dot in them cannot be asked for.
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

    /// Where the value at `path` comes from; none: it is the default.
    pub(super) fn origin(&self, path: &str) -> Option<&str> {
        self.at(path)?.origin()
    }

    /// Says that what stands at `path` is not as `expected`.
    pub(super) fn fault(&self, path: &str, expected: impl Into<String>) -> Fault {
        match self.at(path) {
            Some(value) => fault(path, value, expected),
            None => {
                Fault { key: path.to_owned(), value: None, origin: None, detail: expected.into() }
            }
        }
    }
}

/// Says that `value` at `path` is not as `expected`.
pub(super) fn fault(path: &str, value: &Value, expected: impl Into<String>) -> Fault {
    let is_short =
        !matches!(value.kind, ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil);
    Fault {
        key: path.to_owned(),
        value: is_short.then(|| shown(path, value)),
        origin: origin_of(value).map(str::to_owned),
        detail: expected.into(),
    }
}

/// Where the value comes from. A table may be joined from several places; the first that is found is named.
fn origin_of(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::Table(table) => {
            sorted(table).into_iter().find_map(|(_, inner)| origin_of(inner))
        }
        _ => value.origin(),
    }
}

/// The keys of a table in a stable order.
pub(super) fn sorted(table: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    entries
}

/// A path from its parts: what is below `parent`.
pub(super) fn below(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// The value as TOML on one line, with secrets as `***`.
pub(super) fn shown(path: &str, value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => quoted(&masked(path, text)),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(path, item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(table) => {
            let pair = |(key, value): (&String, &Value)| {
                format!("{} = {}", bare(key), shown(&below(path, key), value))
            };
            let pairs: Vec<_> = sorted(table).into_iter().map(pair).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        ValueKind::Nil => quoted(""),
        other => other.to_string(),
    }
}

/// The key as TOML: bare where that is allowed.
pub(super) fn bare(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { quoted(key) }
}

/// A TOML text: its escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\x7f', "\\u007f")
}

fn masked(path: &str, text: &str) -> String {
    match path {
        _ if text.is_empty() => String::new(),
        "store.url" => without_password(text),
        "nats.url" => text.split(',').map(without_password).collect::<Vec<_>>().join(","),
        "auth.jwt_secret" | "nats.token" | "nats.password" | "nats.nkey_seed" => "***".to_owned(),
        _ if path.starts_with("auth.api_keys") => match text.rsplit_once(':') {
            Some((_, role)) if role.parse::<crate::domain::principal::Role>().is_ok() => {
                format!("***:{role}")
            }
            _ => "***".to_owned(),
        },
        _ => text.to_owned(),
    }
}

/// A URL whose passwords, before the `@` or in the query, are `***`.
pub(crate) fn without_password(url: &str) -> String {
    let is_sentinel = url.starts_with(SCHEME);
    // Elsewhere a `#` may be part of a password.
    let parts = if is_sentinel { url.rsplit_once('#') } else { None };
    let (url, name) = parts.map_or((url, String::new()), |(url, name)| (url, format!("#{name}")));
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let mut safe = url.to_owned();
    if let Some((scheme, rest)) = url.split_once("://")
        && let Some((user, place)) = rest.rsplit_once('@')
    {
        let user = match user.split_once(':') {
            Some((user, _)) => format!("{user}:***"),
            None if is_sentinel => "***".to_owned(),
            None => user.to_owned(),
        };
        safe = format!("{scheme}://{user}@{place}");
    }
    if let Some(query) = query {
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((key, _)) if key.contains("pass") => format!("{key}=***"),
            _ => part.to_owned(),
        });
        safe = format!("{safe}?{}", parts.collect::<Vec<_>>().join("&"));
    }
    safe + &name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, safe) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://ops:s3:cr@t@db:6379/2", "rediss://ops:***@db:6379/2"),
            ("redis://:secret@db", "redis://:***@db"),
            ("redis+unix:///run/r.sock?db=1&pass=secret", "redis+unix:///run/r.sock?db=1&pass=***"),
            (
                "redis-sentinel://secret@one,two/0?sentinel_password=s#m",
                "redis-sentinel://***@one,two/0?sentinel_password=***#m",
            ),
            ("redis-sentinel://ops:secret@one:1,two#m", "redis-sentinel://ops:***@one:1,two#m"),
        ] {
            assert_eq!(without_password(url), safe);
        }
    }
}
