//! `orchestrator api`: any call of the API.

use std::io::{self, Write};
use std::process::ExitCode;

use reqwest::Method;

use super::connection::Connection;
use super::{Error, read_json};

/// The options of `orchestrator api`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The method, such as GET or POST.
    #[arg(ignore_case = true, value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,
    /// The path with its query, such as `/tasks?status=failed`.
    #[arg(value_parser = path)]
    path: String,
    /// The body: JSON, a file with it, or `-` for the standard input.
    #[arg(short, long, value_name = "JSON")]
    data: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

fn path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("expected a path that begins with /")
    }
}

impl Options {
    /// Makes the call and prints the answer as it comes, also that of a refusal. The exit code is 1
    /// if the call is refused.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let body = self.data.as_deref().map(read_json).transpose()?;
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes());
        let method = method.map_err(|error| Error::Usage(error.to_string()))?;
        let client = self.connection.client()?;
        let mut answer = client.call(method, &self.path, body.as_deref()).await?;
        let mut stdout = io::stdout().lock();
        let mut last = b'\n';
        while let Some(chunk) = answer.next().await? {
            last = chunk.last().copied().unwrap_or(last);
            stdout.write_all(&chunk)?;
            stdout.flush()?;
        }
        if last != b'\n' {
            stdout.write_all(b"\n")?;
        }
        Ok(if answer.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
