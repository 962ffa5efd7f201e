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

use config::{Config, ConfigError, Source, ValueKind};
use serde::de::DeserializeOwned;

pub use show::Shown;

use crate::domain::name::Name;
use crate::domain::people::People;
use crate::engine;
use crate::http::Auth;
use crate::runtime::telemetry;
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
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error("cannot read the configuration file {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The configuration file is not TOML.
    #[error("the configuration cannot be read: {0}")]
    Syntax(String),
    #[error("ORCHESTRATOR_ENV is {0:?}, which is not a plain name; it selects config/<name>.toml")]
    Environment(String),
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
        let defaults = Tree::read(None, DEFAULTS).map_err(Error::Syntax)?;
        let mut builder = Config::builder().add_source(defaults.clone());
        if let Some((name, text)) = file {
            let given = Tree::read(Some(&name), &text);
            builder = builder
                .add_source(given.map_err(|error| Error::Syntax(format!("{name}: {error}")))?);
        }
        builder = builder.add_source(environment::read(variables, &defaults, &mut faults));
        let joined = builder.build().and_then(|config| config.collect());
        let tree = Tree(joined.map_err(|error| Error::Syntax(tree::error_text(&error)))?);
        known::compare(&defaults, "", &defaults.0, &tree.0, &mut faults);
        if let Some(settings) = Self::typed(tree, &mut faults) {
            check::cross(&settings, &mut faults);
            if faults.is_empty() {
                return Ok(settings);
            }
        }
        Err(Error::Invalid(faults))
    }

    /// Reads each section into its struct. `None`, with the faults added, if a section cannot be
    /// read.
    fn typed(tree: Tree, faults: &mut Vec<Fault>) -> Option<Self> {
        macro_rules! sections {
            ($($name:ident)*) => { $(let $name = section(&tree, stringify!($name), faults);)* };
        }
        sections! {
            store log http auth tasks queue agents routing approvals sla retention nats
            doctor events limits
        }
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
                limits: limits?,
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

    /// Whether a file or the environment sets the setting at `path`, such as `store.url`.
    pub fn names(&self, path: &str) -> bool {
        self.tree.at(path).is_some_and(|value| value.origin().is_some())
    }

    /// Shows the settings in force as TOML, with the origin of each value and with secrets as
    /// `***`.
    pub fn shown(&self) -> String {
        show::toml(&self.tree)
    }

    /// Returns every setting in force with its source, with secrets as `***`.
    pub fn all(&self) -> Vec<Shown> {
        show::all(&self.tree)
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
            let is_optional = ["jwt_secret", "oidc_client_secret"].contains(&key.as_str());
            !(is_optional && value.kind == ValueKind::String(String::new()))
        });
    }
    value.try_deserialize().map_err(|error| faults.push(typed_fault(tree, name, error))).ok()
}

fn typed_fault(tree: &Tree, section: &str, error: ConfigError) -> Fault {
    match error {
        ConfigError::At { error, key: Some(key), .. } => {
            tree.fault(&tree::below(section, &key), tree::error_text(&error))
        }
        ConfigError::Type { key: Some(key), expected, .. } => {
            tree.fault(&tree::below(section, &key), format!("expected {expected}"))
        }
        other => tree.fault(section, tree::error_text(&other)),
    }
}
