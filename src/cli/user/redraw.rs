//! Figures that are shown again and again, each time in the place of those before.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Error, say};

/// Moves to the upper left corner of the terminal and clears what is there.
const CLEAR: &str = "\x1b[H\x1b[J";

/// How often figures are shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Rhythm {
    /// Show them every so many seconds, 1 to 3,600.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// Stop after so many times; default: when interrupted.
    #[arg(long, value_name = "COUNT")]
    times: Option<u64>,
}

impl Rhythm {
    /// Shows what `draw` returns at each moment. On a terminal it takes the place of what was there.
    pub async fn run(
        &self,
        mut draw: impl AsyncFnMut() -> Result<String, Error>,
    ) -> Result<(), Error> {
        let begin = if io::stdout().is_terminal() { CLEAR } else { "" };
        let mut next = Instant::now();
        let mut left = self.times;
        while left != Some(0) {
            let drawn = draw().await?;
            say(&format!("{begin}{drawn}"))?;
            left = left.map(|left| left - 1);
            next += Duration::from_secs(self.every);
            if left != Some(0) {
                sleep_until(next).await;
            }
        }
        Ok(())
    }
}
