//! The settings of a process: the compiled-in defaults, then a file, then the environment, joined
//! and checked.
//!
//! Each layer declares its own struct next to its code. This module only joins them, and nothing
//! below imports it. It reads files but never the process's environment: the variables are an
//! argument, so that a test needs no process of its own.

mod check;
mod environment;
mod known;
mod show;
mod tree;

#[cfg(test)]
mod secrets_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use config::{Config, ConfigError, File, FileFormat, Source, Value, ValueKind};
use serde::de::DeserializeOwned;

use crate::domain::name::Name;
use crate::domain::people::People;
use crate::engine;
use crate::http::Auth;
use crate::runtime::telemetry;
use environment::Environment;
use tree::Tree;

/// The defaults are a file so that operators can read them, and compiled in so that a bare binary
/// runs.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Variables of the environment: the name and value of each.
pub type Variables = Vec<(String, String)>;

/// All settings of a process, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The section `[store]`.
    pub store: crate::store::Settings,
    /// The sections `[tasks]`, `[queue]`, `[agents]`, `[routing]`, `[approvals]`, `[sla]`,
    /// `[events]`, `[retention]` and `[doctor]`.
    pub engine: engine::Settings,
    /// The sections `[http]` and `[auth]`.
    pub http: crate::http::Settings,
    /// The section `[nats]`.
    pub nats: crate::transport::Settings,
    /// The section `[log]`.
    pub log: telemetry::Settings,
    tree: Tree,
}

/// One fault of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting, such as `tasks.max_retries`, or the name of the variable.
    pub key: String,
    /// The value that was given; `None` if it is secret or does not help.
    pub value: Option<String>,
    /// The file or the variable that the value comes from; `None` if that is unknown.
    pub origin: Option<String>,
    /// What is wrong and what is expected.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.key)?;
        if let Some(value) = &self.value {
            write!(formatter, " = {value}")?;
        }
        if let Some(origin) = &self.origin {
            write!(formatter, " ({origin})")?;
        }
        write!(formatter, ": {}", self.detail)
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("the configuration cannot be read: {0}")]
    Syntax(String),
    /// `ORCHESTRATOR_ENV` is not the plain name of a file in `config/`.
    #[error("ORCHESTRATOR_ENV is {0:?}, which is not a plain name; it selects config/<name>.toml")]
    Environment(String),
    /// The configuration is readable but has faults, all of which are listed.
    #[error("the configuration has {}:{}", count(.0), list(.0))]
    Invalid(Vec<Fault>),
}

fn count(faults: &[Fault]) -> String {
    if faults.len() == 1 { "a fault".to_owned() } else { format!("{} faults", faults.len()) }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

impl Settings {
    /// Joins and checks the settings.
    ///
    /// * `file`: the path that `--config` names; if `None`, `config/<ORCHESTRATOR_ENV>.toml` in the
    ///   current directory, if that variable is set.
    /// * `variables`: the variables of the environment.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not TOML; or [`Error::Invalid`] with everything else that is
    /// wrong, all at once.
    pub fn read(file: Option<&Path>, variables: &Variables) -> Result<Self, Error> {
        let path = match file {
            Some(file) => Some(file.to_owned()),
            None => named_file(variables)?,
        };
        let Some(path) = path else { return Self::join(None, variables) };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::join(Some((path.display().to_string(), text)), variables),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// Joins the defaults, the name and text of the file, and the environment.
    fn join(file: Option<(String, String)>, variables: &Variables) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let defaults = collect(&File::from_str(DEFAULTS, FileFormat::Toml))?;
        let mut builder = Config::builder().add_source(Layer(defaults.clone()));
        if let Some((name, text)) = file {
            let read = File::from_str(&text, FileFormat::Toml).collect().map(Tree);
            let read =
                read.map_err(|error| Error::Syntax(format!("{name}: {}", error_text(&error))))?;
            builder = builder.add_source(Layer(from_place(read, &name)));
        }
        builder = builder.add_source(Environment::read(variables, &defaults, &mut faults));
        let tree = Tree(
            builder.build().and_then(|config| config.collect()).map_err(|error| syntax(&error))?,
        );
        known::compare(&defaults, &tree, &mut faults);
        let settings = Self::typed(tree, &mut faults);
        if let Some(settings) = &settings {
            check::cross(settings, &mut faults);
        }
        match settings {
            Some(settings) if faults.is_empty() => Ok(settings),
            _ => Err(Error::Invalid(faults)),
        }
    }

    /// Reads each section into its struct. `None`, with the faults added, if a section cannot be
    /// read.
    fn typed(tree: Tree, faults: &mut Vec<Fault>) -> Option<Self> {
        let store = section(&tree, "store", faults);
        let log = section(&tree, "log", faults);
        let http = section(&tree, "http", faults);
        let auth = section(&tree, "auth", faults);
        let tasks = section(&tree, "tasks", faults);
        let queue = section(&tree, "queue", faults);
        let agents = section(&tree, "agents", faults);
        let routing = section(&tree, "routing", faults);
        let approvals = section(&tree, "approvals", faults);
        let sla = section(&tree, "sla", faults);
        let retention = section(&tree, "retention", faults);
        let nats = section(&tree, "nats", faults);
        let doctor = section(&tree, "doctor", faults);
        let events = section(&tree, "events", faults);
        let people = auth.as_ref().map(|auth: &Auth| People::new(&auth.identities, &auth.sources));
        Some(Self {
            store: store?,
            engine: engine::Settings {
                tasks: tasks?,
                queue: queue?,
                agents: agents?,
                routing: routing?,
                approvals: approvals?,
                sla: sla?,
                events: events?,
                retention: retention?,
                doctor: doctor?,
                people: people?,
            },
            http: crate::http::Settings { http: http?, auth: auth? },
            nats: nats?,
            log: log?,
            tree,
        })
    }

    /// Whether a file or the environment sets the store to use.
    pub fn names_a_store(&self) -> bool {
        self.tree.origin("store.url").is_some()
    }

    /// Whether a file or the environment sets what is logged.
    pub fn names_a_log_level(&self) -> bool {
        self.tree.origin("log.level").is_some()
    }

    /// Shows the settings in force as TOML, with the origin of each value and with secrets as
    /// `***`.
    pub fn shown(&self) -> String {
        show::toml(&self.tree)
    }
}

fn named_file(variables: &Variables) -> Result<Option<PathBuf>, Error> {
    let named =
        variables.iter().find(|(name, text)| name == "ORCHESTRATOR_ENV" && !text.is_empty());
    let Some((_, name)) = named else { return Ok(None) };
    if Name::from_str(name).is_err() {
        return Err(Error::Environment(name.clone()));
    }
    Ok(Some(format!("config/{name}.toml").into()))
}

/// Reads one section. `None` if a key of it already has a fault, which serde's error would only
/// repeat.
fn section<T: DeserializeOwned>(tree: &Tree, name: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let is_of_section =
        |fault: &Fault| fault.key == name || fault.key.starts_with(&format!("{name}."));
    if faults.iter().any(is_of_section) {
        return None;
    }
    let mut value = tree.0.get(name)?.clone();
    if let ValueKind::Table(table) = &mut value.kind {
        // TOML has no word for "none", so an empty secret means none.
        table.retain(|key, value| {
            !(key == "jwt_secret" && value.kind == ValueKind::String(String::new()))
        });
    }
    value.try_deserialize().map_err(|error| faults.push(typed_fault(tree, name, error))).ok()
}

fn typed_fault(tree: &Tree, section: &str, error: ConfigError) -> Fault {
    match error {
        ConfigError::At { error, key: Some(key), .. } => {
            let key = tree::below(section, &key);
            tree.fault(&key, error_text(&error))
        }
        ConfigError::Type { key: Some(key), expected, .. } => {
            tree.fault(&tree::below(section, &key), format!("expected {expected}"))
        }
        other => tree.fault(section, error_text(&other)),
    }
}

/// The error without the excerpt of the file, which may hold a secret.
fn error_text(error: &ConfigError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.contains(" |"))
        .collect();
    lines.join(": ")
}

fn syntax(error: &ConfigError) -> Error {
    Error::Syntax(error_text(error))
}

fn collect(source: &impl Source) -> Result<Tree, Error> {
    source.collect().map(Tree).map_err(|error| syntax(&error))
}

/// Marks every value of `tree` as coming from the file `name`.
fn from_place(tree: Tree, name: &str) -> Tree {
    fn mark(value: Value, origin: &String) -> Value {
        let kind = match value.kind {
            ValueKind::Table(table) => ValueKind::Table(
                table.into_iter().map(|(key, value)| (key, mark(value, origin))).collect(),
            ),
            ValueKind::Array(items) => {
                ValueKind::Array(items.into_iter().map(|item| mark(item, origin)).collect())
            }
            other => other,
        };
        Value::new(Some(origin), kind)
    }
    let name = name.to_owned();
    Tree(tree.0.into_iter().map(|(key, value)| (key, mark(value, &name))).collect())
}

/// One layer of the configuration.
#[derive(Clone, Debug)]
struct Layer(Tree);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, ConfigError> {
        Ok(self.0.0.clone())
    }
}
