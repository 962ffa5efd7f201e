//! `orchestrator context`: remembers gateways by name, each with a key.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::super::contexts::{self, Context, Contexts};
use super::connection;
use super::table::table;
use super::text::visible;
use super::{Error, say};
use crate::domain::name::Name;
use crate::runtime::address::Address;

/// The commands for contexts.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Add a context; the first one becomes the current one.
    Add {
        /// The name of the context.
        name: Name,
        /// The URL of the gateway.
        #[arg(long)]
        url: Address,
        /// The file with the API key, which is copied; `-` is the standard input. Without a key, it
        /// comes from ORCHESTRATOR_API_KEY.
        #[arg(long, value_name = "FILE", conflicts_with = "key_command")]
        key_file: Option<String>,
        /// The command that prints the API key each time it is needed, such as `pass show tasks`.
        #[arg(long, value_name = "COMMAND")]
        key_command: Option<String>,
        /// Trust only the authorities in this PEM file.
        #[arg(long, value_name = "FILE")]
        ca_file: Option<String>,
    },
    /// Make a context the current one.
    Use {
        /// The name of the context.
        name: Name,
    },
    /// List all contexts, the current one with a star.
    List,
    /// Remove a context with its key.
    Remove {
        /// The name of the context.
        name: Name,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::Add { name, url, key_file, key_command, ca_file } => {
                let url = connection::url(&url)?;
                let key = key_file.as_deref().map(read_key).transpose()?;
                let ca_file = ca_file.as_deref().map(absolute).transpose()?;
                let context = Context { url, key, key_command, ca_file };
                Contexts::change(|all| {
                    if all.contexts.contains_key(&name) {
                        return Err(contexts::Error::Exists(name));
                    }
                    all.current.get_or_insert_with(|| name.clone());
                    all.contexts.insert(name, context);
                    Ok(())
                })?;
            }
            Self::Use { name } => Contexts::change(|all| {
                all.check_known(&name)?;
                all.current = Some(name);
                Ok(())
            })?,
            Self::Remove { name } => Contexts::change(|all| {
                all.check_known(&name)?;
                all.contexts.remove(&name);
                all.current = all.current.take().filter(|current| *current != name);
                Ok(())
            })?,
            Self::List => say(&list(&Contexts::read()?))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read_key(file: &str) -> Result<crate::runtime::secret::Secret, Error> {
    let text =
        if file == "-" { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Error::Usage(format!("cannot read {file}: {error}")))?;
    Ok(contexts::read_key(&text)?)
}

/// The path from the root on: a context is used in any directory.
fn absolute(file: &str) -> Result<String, Error> {
    let path = std::fs::canonicalize(file);
    let path = path.map_err(|error| Error::Usage(format!("cannot find {file}: {error}")))?;
    Ok(path.display().to_string())
}

fn list(all: &Contexts) -> String {
    let rows = all.contexts.iter().map(|(name, context)| {
        let star = if all.current.as_ref() == Some(name) { "*" } else { "" };
        let key = match (&context.key, &context.key_command) {
            (_, Some(command)) => format!("$({})", visible(command)),
            (Some(_), None) => "stored".to_owned(),
            (None, None) => "-".to_owned(),
        };
        vec![star.to_owned(), name.to_string(), visible(&context.url), key]
    });
    table(["", "CONTEXT", "URL", "KEY"], rows)
}
