//! The log: what is written, how it looks. It goes to stderr, so that stdout stays free for answers.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::panic;

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is logged: a level, or directives as `RUST_LOG` takes them.
    pub level: String,
    /// How a line looks.
    pub format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is neither a level nor a list of directives.
    #[error(
        "`{level}` is neither a level (error, warn, info, debug, trace) nor a list of `target=level`"
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a log already.
    #[error("the log was started twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Settings {
    /// Reads the level.
    ///
    /// # Errors
    ///
    /// [`Error::Level`] if it cannot be read.
    pub fn filter(&self) -> Result<EnvFilter, Error> {
        let level = self.level.clone();
        let is_level = self.level.parse::<tracing::metadata::LevelFilter>().is_ok();
        // A bare level is about us: libraries say at `info` what we say in our own words.
        let directives = match self.level.to_ascii_lowercase().as_str() {
            bare @ ("info" | "debug" | "trace") if is_level => format!("warn,orchestrator={bare}"),
            other => other.to_owned(),
        };
        EnvFilter::builder().parse(&directives).map_err(|source| Error::Level { level, source })
    }
}

/// Starts the log of this process; panics go there too.
///
/// # Errors
///
/// If the level cannot be read, or if there is a log already.
pub fn start(settings: &Settings) -> Result<(), Error> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(settings.filter()?)
        .with_writer(io::stderr)
        .with_target(false);
    match settings.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        Format::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .map_err(Error::Twice)?;
    // The usual hook writes several lines of its own, which a collector of JSON cannot read.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let why = panic::text(info.payload());
        tracing::error!(place, error = why, "panic: this is a bug");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_are_read_and_anything_else_is_refused() {
        for good in ["info", "warn,orchestrator=debug", "off"] {
            assert!(
                Settings { level: good.to_owned(), format: Format::Text }.filter().is_ok(),
                "{good}"
            );
        }
        let refused = Settings { level: "orchestrator=loud".to_owned(), format: Format::Text }
            .filter()
            .unwrap_err();
        assert!(refused.to_string().contains("orchestrator=loud"));
    }
}
