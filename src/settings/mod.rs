//! The settings of a process: the compiled-in defaults, then a file, then the environment, joined and checked.
//!
//! Each layer declares its own struct next to its code; this module only joins them, and nothing below
//! imports it. It reads files but never the process's environment: the variables are an argument, so that a
//! test needs no process of its own.

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

/// The defaults are a file so that operators can read them; it is compiled in so that a bare binary runs.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Variables of the environment, name and value.
pub type Variables = Vec<(String, String)>;

/// Everything that a process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[store]`
    pub store: crate::store::Settings,
    /// `[tasks]`, `[queue]`, `[agents]`, `[routing]`, `[approvals]`, `[sla]`, `[events]`, `[retention]`,
    /// `[doctor]`
    pub engine: engine::Settings,
    /// `[http]`, `[auth]`
    pub http: crate::http::Settings,
    /// `[nats]`
    pub nats: crate::transport::Settings,
    /// `[log]`
    pub log: telemetry::Settings,
    tree: Tree,
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting, such as `tasks.max_retries`, or the variable.
    pub key: String,
    /// What it was given, where that helps and is no secret.
    pub value: Option<String>,
    /// The file or the variable that gave it.
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

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration cannot be read: {0}")]
    Syntax(String),
    /// `ORCHESTRATOR_ENV` names no file in `config/`.
    #[error("ORCHESTRATOR_ENV is {0:?}, which is no plain name; it selects config/<name>.toml")]
    Environment(String),
    /// It can be read but is not right.
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
    /// * `file`: what `--config` names; none: `config/<ORCHESTRATOR_ENV>.toml` in the current directory, if that
    ///   variable is set.
    /// * `variables`: the environment.
    ///
    /// # Errors
    ///
    /// If a file that was asked for cannot be read, and [`Error::Invalid`] with everything else that is wrong, all
    /// at once.
    pub fn read(file: Option<&Path>, variables: &Variables) -> Result<Self, Error> {
        let file =
            file.map(|file| Ok(file.to_owned())).or_else(|| named_file(variables)).transpose()?;
        let text = file.map(|path| match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(source) => Err(Error::File { path, source }),
        });
        Self::join(text.transpose()?, variables)
    }

    /// Joins the defaults, the file's name and text, and the environment.
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

    /// Reads each section into its struct; none, with the faults added, if one cannot be.
    fn typed(tree: Tree, faults: &mut Vec<Fault>) -> Option<Self> {
        let (store, log) = (section(&tree, "store", faults), section(&tree, "log", faults));
        let (http, auth) = (section(&tree, "http", faults), section(&tree, "auth", faults));
        let (tasks, queue) = (section(&tree, "tasks", faults), section(&tree, "queue", faults));
        let (agents, routing) =
            (section(&tree, "agents", faults), section(&tree, "routing", faults));
        let (approvals, sla) = (section(&tree, "approvals", faults), section(&tree, "sla", faults));
        let (retention, nats) =
            (section(&tree, "retention", faults), section(&tree, "nats", faults));
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

    /// Whether somebody said which store to use.
    pub fn names_a_store(&self) -> bool {
        self.tree.origin("store.url").is_some()
    }

    /// Whether somebody chose what is logged.
    pub fn names_a_log_level(&self) -> bool {
        self.tree.origin("log.level").is_some()
    }

    /// What is in force, as TOML, with where each value comes from and with secrets as `***`.
    pub fn shown(&self) -> String {
        show::toml(&self.tree)
    }
}

fn named_file(variables: &Variables) -> Option<Result<PathBuf, Error>> {
    let (_, name) =
        variables.iter().find(|(name, text)| name == "ORCHESTRATOR_ENV" && !text.is_empty())?;
    let is_plain = Name::from_str(name).is_ok();
    Some(if is_plain {
        Ok(format!("config/{name}.toml").into())
    } else {
        Err(Error::Environment(name.clone()))
    })
}

/// Reads one section. Where a key of it has a fault already, the section is left out: its error would say so again.
fn section<T: DeserializeOwned>(tree: &Tree, name: &str, faults: &mut Vec<Fault>) -> Option<T> {
    let is_of_section =
        |fault: &Fault| fault.key == name || fault.key.starts_with(&format!("{name}."));
    if faults.iter().any(is_of_section) {
        return None;
    }
    let mut value = tree.0.get(name)?.clone();
    if let ValueKind::Table(table) = &mut value.kind {
        // TOML has no word for "none".
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

/// The error without the excerpt of the file, in which a secret may stand.
fn error_text(error: &ConfigError) -> String {
    let text = error.to_string();
    let is_excerpt = |line: &str| line.contains(" |");
    let lines =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !is_excerpt(line));
    lines.collect::<Vec<_>>().join(": ")
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
