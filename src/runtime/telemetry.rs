//! The log: what is logged, and the form of its lines. It goes to stderr, so that stdout is free
//! for answers.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::panic;
use super::visible::VisibleLines;

/// The section `[log]`: what is logged, and in which form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The level, or directives in the syntax of `RUST_LOG`.
    pub level: String,
    /// The form of a line.
    pub format: Format,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Text for people, with colours on a terminal.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error(
        "`{level}` is neither a level (error, warn, info, debug, trace) nor a list of \
         `target=level`"
    )]
    Level { level: String, source: tracing_subscriber::filter::ParseError },
    #[error("the log was started twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Settings {
    /// Reads the level into a filter.
    pub fn filter(&self) -> Result<EnvFilter, Error> {
        let level = self.level.clone();
        let is_level = self.level.parse::<tracing::metadata::LevelFilter>().is_ok();
        // A bare level is about this program: at `info`, libraries repeat what it logs itself.
        let directives = match self.level.to_ascii_lowercase().as_str() {
            bare @ ("info" | "debug" | "trace") if is_level => format!("warn,orchestrator={bare}"),
            other => other.to_owned(),
        };
        EnvFilter::builder().parse(&directives).map_err(|source| Error::Level { level, source })
    }
}

/// Starts the log of this process, which panics are logged to too.
pub fn start(settings: &Settings) -> Result<(), Error> {
    let is_coloured = settings.format == Format::Text && is_coloured(&io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(settings.filter()?)
        .with_writer(move || VisibleLines::new(io::stderr(), is_coloured))
        .with_target(false);
    match settings.format {
        Format::Text => lines.with_ansi(is_coloured).finish().try_init(),
        Format::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .map_err(Error::Twice)?;
    // The default hook writes several lines, which a collector of JSON cannot read.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let why = panic::text(info.payload());
        tracing::error!(place, error = why, "panic: this is a bug");
    }));
    Ok(())
}

/// Returns whether a stream is a terminal that shows colours, and the user wants them
/// (no-color.org).
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    stream.is_terminal() && !is_unwanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_are_read_and_anything_else_is_refused() {
        let filter =
            |level: &str| Settings { level: level.to_owned(), format: Format::Text }.filter();

        for good in ["info", "warn,orchestrator=debug", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let refused = filter("orchestrator=loud").unwrap_err();
        assert!(refused.to_string().contains("orchestrator=loud"));
    }
}
