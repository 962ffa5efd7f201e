//! `orchestrator tasks submit --file`: many tasks, in batches, safe to repeat.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::json::Members;
use super::output::Form;
use super::text::visible;
use super::{Error, Service, say, terminal};
use crate::cli::client::Client;
use crate::domain::text::hex;
use crate::runtime::backoff::Backoff;

/// How many lines one call submits; gateways allow 1,000.
const BATCH: usize = 500;

/// About how many bytes of lines one call submits: gateways allow `http.max_body_bytes`, 10 MiB
/// unless they are configured otherwise.
const BATCH_BYTES: usize = 4 << 20;

/// How often a batch is tried while the gateway is away or busy: for about a minute.
const TRIES: u32 = 10;

/// A line that is read: its number, from 1, and the submission.
struct Line {
    number: usize,
    submission: Box<RawValue>,
}

#[derive(Serialize)]
struct Batch<'l> {
    tasks: Vec<&'l RawValue>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    status: u16,
    task: Option<Members>,
    problem: Option<Box<RawValue>>,
}

/// What became of a line.
#[derive(Serialize)]
struct Reported {
    line: usize,
    status: u16,
    task_id: Option<String>,
    problem: Option<Box<RawValue>>,
}

/// How many lines came to what.
#[derive(Default)]
struct Summary {
    submitted: usize,
    known: usize,
    refused: usize,
    /// How many bytes of the file are read.
    bytes: u64,
    /// How many bytes the file has; 0 if that is not known.
    size: u64,
}

/// Submits every line of `file`. As JSON, each line is reported; as ids, those of the tasks are
/// printed; as a table, refused lines and the numbers are.
///
/// The exit code is 1 if a line was refused.
pub async fn submit(service: &Service, file: &str) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let unreadable = |error| Error::Usage(format!("cannot read {file}: {error}"));
    let mut summary = Summary::default();
    let input: Box<dyn BufRead> = match file {
        "-" => Box::new(BufReader::new(io::stdin())),
        path => {
            let file = File::open(path).map_err(unreadable)?;
            // A pipe has no size.
            summary.size = file.metadata().map_err(unreadable)?.len();
            Box::new(BufReader::new(file))
        }
    };
    let mut seen = HashMap::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(unreadable)?;
        summary.bytes += line.len() as u64 + 1;
        if line.trim().is_empty() {
            continue;
        }
        let submission = keyed(line.trim(), &mut seen)
            .map_err(|error| Error::Usage(format!("{file}: line {}: {error}", index + 1)))?;
        if batch.len() == BATCH || bytes + line.len() > BATCH_BYTES {
            send(service, &client, &std::mem::take(&mut batch), &mut summary).await?;
            bytes = 0;
        }
        bytes += line.len();
        batch.push(Line { number: index + 1, submission });
    }
    send(service, &client, &batch, &mut summary).await?;
    terminal::end_progress();
    let Summary { submitted, known, refused, .. } = summary;
    if service.form() == Form::Table {
        say(&format!("{submitted} submitted, {known} known already, {refused} refused\n"))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the submission of a line, with an idempotency key if it has none: the hash of the line
/// and of how many equal lines came before.
fn keyed(line: &str, seen: &mut HashMap<String, u64>) -> Result<Box<RawValue>, serde_json::Error> {
    let members: Members = serde_json::from_str(line)?;
    if members.0.iter().any(|(name, _)| name == "idempotency_key") {
        return RawValue::from_string(line.to_owned());
    }
    let hash = hex(&Sha256::digest(line));
    let nth = seen.entry(hash.clone()).or_insert(0);
    *nth += 1;
    let comma = if members.0.is_empty() { "" } else { "," };
    let begin = line.strip_suffix('}').unwrap_or(line);
    RawValue::from_string(format!("{begin}{comma}\"idempotency_key\":\"{hash}-{nth}\"}}"))
}

/// Submits some lines, and reports each.
async fn send(
    service: &Service,
    client: &Client,
    lines: &[Line],
    summary: &mut Summary,
) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let tasks = lines.iter().map(|line| &*line.submission).collect();
    let Answer { results } = patiently(client, &Batch { tasks }).await?;
    for (line, accepted) in lines.iter().zip(results) {
        match accepted.status {
            201 => summary.submitted += 1,
            200 => summary.known += 1,
            _ => summary.refused += 1,
        }
        report(service.form(), line.number, accepted)?;
    }
    let Summary { submitted, known, refused, bytes, size } = summary;
    let lines = *submitted + *known + *refused;
    terminal::show_progress(*bytes, *size, &format!("{lines} lines, {refused} refused"));
    Ok(())
}

/// Submits a batch. While the gateway is away or busy it is tried again, which is safe, because
/// each task has an idempotency key.
async fn patiently(client: &Client, batch: &Batch<'_>) -> Result<Answer, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
    loop {
        match client.post("/tasks/batch", batch).await {
            Err(error) if error.is_transient() && backoff.failures() < TRIES => {
                sleep(backoff.next_wait()).await;
            }
            answer => return Ok(answer?),
        }
    }
}

fn report(form: Form, line: usize, accepted: Accepted) -> Result<(), Error> {
    let Accepted { status, task, problem } = accepted;
    let task_id = task.map(|task| task.word("task_id"));
    if form.is_for_programs() {
        let json = to_raw_value(&Reported { line, status, task_id, problem })?;
        return say(&format!("{json}\n"));
    }
    if let Some(problem) = problem {
        let problem: Members = serde_json::from_str(problem.get())?;
        let faults = problem.word("errors");
        let detail = problem.word("detail");
        eprintln!("line {line}: {status}: {} {}", visible(&detail), visible(&faults));
    }
    match task_id {
        Some(id) if form == Form::Id => say(&format!("{id}\n")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_have_different_keys_that_are_the_same_again() {
        let keys = |lines: &[&str]| {
            let mut seen = HashMap::new();
            let keyed = lines.iter().map(|line| keyed(line, &mut seen).unwrap().get().to_owned());
            keyed.collect::<Vec<_>>()
        };
        let line = r#"{"type": "faq", "n": 1e400}"#;

        let first = keys(&[line, line, r#"{"idempotency_key": "mine"}"#, "{}"]);

        assert_eq!(first, keys(&[line, line, r#"{"idempotency_key": "mine"}"#, "{}"]));
        assert!(first[0].starts_with(r#"{"type": "faq", "n": 1e400,"idempotency_key":""#));
        assert!(first[0].ends_with("-1\"}") && first[1].ends_with("-2\"}"), "{first:?}");
        assert_eq!(first[2], r#"{"idempotency_key": "mine"}"#);
        assert!(first[3].starts_with("{\"idempotency_key\""));
        assert!(keyed("[]", &mut HashMap::new()).is_err());
    }
}
