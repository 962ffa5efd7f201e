//! What a program prints: its result on stdout, its log and its progress on stderr.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

/// The largest result, in bytes. Gateways accept `tasks.max_payload_bytes`, mostly less.
const MAX_RESULT: usize = 16 << 20;

/// The longest line of the log, in bytes; longer ones are cut into several.
const MAX_LINE: u64 = 8_192;

/// How many of the last lines of the log are part of the error of a failed attempt.
const LAST_LINES: usize = 20;

/// How many bytes they have at most together.
const LAST_BYTES: usize = 4_096;

/// What begins a line of progress.
const PROGRESS: &str = "::progress ";

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// In percent, 0 to 100.
    pub percent: f64,
    /// What is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Progress {
    /// Reads a line such as `::progress 40 half of the files`. `None` if it is another line.
    fn read(line: &str) -> Option<Self> {
        let (percent, message) = match line.strip_prefix(PROGRESS)?.trim().split_once(' ') {
            Some((percent, message)) => (percent, Some(message.trim().to_owned())),
            None => (line.strip_prefix(PROGRESS)?.trim(), None),
        };
        let percent = percent.trim_end_matches('%').parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(Self { percent, message })
    }
}

/// What a program has printed so far. Two readers fill it while the program runs.
#[derive(Debug, Default)]
pub struct Output {
    result: Mutex<Vec<u8>>,
    last_lines: Mutex<VecDeque<String>>,
    /// The newest progress; `None` before the first.
    pub progress: watch::Sender<Option<Progress>>,
}

impl Output {
    /// Keeps stdout, to its end or to where it is too large.
    pub async fn keep_result(&self, stdout: impl AsyncRead + Unpin) {
        let mut stdout = BufReader::new(stdout);
        while let Ok(bytes) = stdout.fill_buf().await {
            let length = bytes.len();
            let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
            if length == 0 || result.len() > MAX_RESULT {
                return;
            }
            result.extend_from_slice(bytes);
            drop(result);
            stdout.consume(length);
        }
    }

    /// Reads stderr line by line to its end: progress is kept, every other line is passed to `log`.
    pub async fn read_log(&self, stderr: impl AsyncRead + Unpin, log: impl Fn(&str)) {
        let mut stderr = BufReader::new(stderr);
        loop {
            let mut line = Vec::new();
            let read = (&mut stderr).take(MAX_LINE).read_until(b'\n', &mut line).await;
            if read.map_or(true, |length| length == 0) {
                return;
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            match Progress::read(line) {
                Some(progress) => drop(self.progress.send_replace(Some(progress))),
                None if line.is_empty() => {}
                None => {
                    log(line);
                    self.remember(line);
                }
            }
        }
    }

    fn remember(&self, line: &str) {
        let mut lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.to_owned());
        let too_many = |lines: &VecDeque<String>| {
            let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
            lines.len() > LAST_LINES || (bytes > LAST_BYTES && lines.len() > 1)
        };
        while too_many(&lines) {
            lines.pop_front();
        }
    }

    /// Returns whether the program printed more than a result may have. It may have ended by that.
    pub fn is_too_large(&self) -> bool {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).len() > MAX_RESULT
    }

    /// Returns the result, byte for byte; `None` if nothing was printed. The error says why the
    /// output cannot be a result.
    pub fn result(&self) -> Result<Option<Box<RawValue>>, String> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if result.len() > MAX_RESULT {
            return Err(format!("the result on stdout is larger than {MAX_RESULT} bytes"));
        }
        if result.trim_ascii().is_empty() {
            return Ok(None);
        }
        let result = serde_json::from_slice(result.trim_ascii());
        result.map(Some).map_err(|error| format!("the result on stdout is not JSON: {error}"))
    }

    /// Returns the last lines of the log; empty if there are none.
    pub fn last_lines(&self) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_has_a_percentage_and_perhaps_a_message() {
        let read =
            |line: &str| Progress::read(line).map(|progress| (progress.percent, progress.message));

        assert_eq!(read("::progress 40 half  done "), Some((40.0, Some("half  done".to_owned()))));
        assert_eq!(read("::progress 99.5%"), Some((99.5, None)));
        for other in ["::progress", "::progress x", "::progress 101", "::progress -1", "progress 1"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_log_keeps_its_last_lines_and_its_progress() {
        let output = Output::default();
        let log: String = (0..50).map(|nth| format!("line {nth}\n")).collect();
        let text = format!("{log}::progress 7 on the way\n\nmüde \u{1b}\n");
        let logged = Mutex::new(0);

        output.read_log(text.as_bytes(), |_| *logged.lock().unwrap() += 1).await;

        assert_eq!(*logged.lock().unwrap(), 51);
        let last = output.last_lines();
        assert!(last.starts_with("line 31\n") && last.ends_with("\nmüde \u{1b}"), "{last}");
        assert_eq!(output.progress.borrow().as_ref().unwrap().percent, 7.0);
    }

    #[tokio::test]
    async fn a_result_is_json_byte_for_byte_or_nothing() {
        let result = async |text: &str| {
            let output = Output::default();
            output.keep_result(text.as_bytes()).await;
            output.result().map(|json| json.map(|json| json.get().to_owned()))
        };

        assert_eq!(result(" {\"n\": 1e400}\n").await, Ok(Some("{\"n\": 1e400}".to_owned())));
        assert_eq!(result("\n").await, Ok(None));
        assert!(result("done").await.unwrap_err().contains("not JSON"));
        assert!(result("{} {}").await.unwrap_err().contains("not JSON"));
        let large = format!("\"{}\"", "x".repeat(MAX_RESULT));
        assert!(result(&large).await.unwrap_err().contains("larger"));
    }
}
