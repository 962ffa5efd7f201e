//! `orchestrator demo`: a gateway and a worker in this process, and a story that uses them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::dev::{self, Home, fresh_key};
use super::{Error, INTERRUPTED};
use crate::demo;
use crate::runtime::secret::Secret;
use crate::settings::Settings;

/// Runs the story. The exit code is a failure unless every task of it was completed.
pub(super) async fn run(
    mut settings: Settings,
    stop: &CancellationToken,
) -> Result<ExitCode, Error> {
    let mut keys = BTreeMap::new();
    for (name, role) in demo::CAST {
        let key = fresh_key()?;
        settings
            .http
            .auth
            .api_keys
            .insert(name.to_owned(), Secret::new(format!("{key}:{}", role.as_str())));
        keys.insert(name, key);
    }
    settings.http.http.port = 0;
    // Nothing is kept, so a store is used only if the settings name one.
    let home = if settings.names_a_store() { Home::NamedOr(PathBuf::new()) } else { Home::Memory };
    let story = dev::during(&home, settings, stop, async |dev| {
        demo::run(&dev.url(), |name| keys.get(name).cloned().unwrap_or_default()).await
    });
    match story.await? {
        Some(Ok(true)) => Ok(ExitCode::SUCCESS),
        Some(Ok(false)) => Ok(ExitCode::FAILURE),
        Some(Err(error)) => Err(error.into()),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}
