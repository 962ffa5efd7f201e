//! `orchestrator stats`: shows the numbers of tasks and agents, once or again and again.

use std::process::ExitCode;

use serde_json::value::RawValue;

use super::describe::describe;
use super::json::Members;
use super::redraw::Rhythm;
use super::text::terminal_width;
use super::{Error, Service};

/// The options of `orchestrator stats`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Show them again and again, until interrupted.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    rhythm: Rhythm,
    #[command(flatten)]
    service: Service,
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        if !self.watch {
            return self.service.show("/stats").await;
        }
        let client = self.service.client()?;
        let draw = async || {
            let answer: Box<RawValue> = client.get("/stats").await?;
            let shown = || {
                let members: Members = serde_json::from_str(answer.get())?;
                Ok(describe(&members, terminal_width()))
            };
            self.service.form().of_item(&answer, shown)
        };
        self.rhythm.run(draw).await?;
        Ok(ExitCode::SUCCESS)
    }
}
