//! A minimal HTTP client for loads: one kept connection and prepared requests, so that the load
//! costs little beside what it measures. An agent over it.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Error;
use super::load::{AGENT, check};

/// A connection to the gateway, for one request at a time.
pub(super) struct Wire {
    stream: TcpStream,
    /// The headers that every request has after its first line.
    headers: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(address: SocketAddr, key: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let headers = format!(
            " HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        );
        Ok(Self { stream, headers, request: Vec::new(), answer: Vec::new() })
    }

    /// Posts `body` to `path` and returns the body of the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for every answer that is not a 2xx.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> Result<&[u8], Error> {
        self.request.clear();
        let headers = &self.headers;
        let length = body.len();
        write!(self.request, "POST {path}{headers}Content-Length: {length}\r\n\r\n{body}")?;
        self.stream.write_all(&self.request).await?;
        let (status, start, end) = self.read().await?;
        let body = &self.answer[start..end];
        if (200..300).contains(&status) {
            Ok(body)
        } else {
            Err(Error::Refused { status, body: String::from_utf8_lossy(body).into_owned() })
        }
    }

    /// Reads an answer. Returns its status and the range of its body.
    async fn read(&mut self) -> Result<(u16, usize, usize), Error> {
        self.answer.clear();
        while self.stream.read_buf(&mut self.answer).await? > 0 {
            if let Some((status, start, length)) = parse(&self.answer)
                && self.answer.len() >= start + length
            {
                return Ok((status, start, start + length));
            }
        }
        Err(io::Error::from(ErrorKind::UnexpectedEof).into())
    }
}

/// A claimed task, as the gateway answers.
#[derive(Deserialize)]
pub(super) struct Held {
    pub(super) task: Submitted,
    pub(super) attempt: u32,
    pub(super) lease: String,
}

/// The part of a task that is read here.
#[derive(Deserialize)]
pub(super) struct Submitted {
    pub(super) task_id: String,
}

/// The answer to a claim.
#[derive(Deserialize)]
pub(super) struct Claimed {
    pub(super) tasks: Vec<Held>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Status>,
    claimed: Option<Claimed>,
}

#[derive(Deserialize)]
struct Status {
    status: Option<String>,
}

/// An agent, which completes its tasks and claims the next in one call.
pub(super) struct Agent {
    wire: Wire,
    claim: String,
    /// The outcomes that complete the tasks it holds, as JSON.
    pub(super) outcomes: Vec<String>,
}

/// The result of one call of an agent.
pub(super) struct Turn {
    pub(super) completed: u64,
    pub(super) took: Duration,
}

impl Agent {
    /// Makes the `nth` agent, which claims up to `max` tasks and waits for them up to `wait_ms`.
    pub(super) fn new(wire: Wire, nth: u64, max: u64, wait_ms: u64) -> Self {
        let worker = format!("bench-{nth}");
        let claim = format!(r#","claim":{{"worker":"{worker}","max":{max},"wait_ms":{wait_ms}}}"#);
        Self { wire, claim, outcomes: Vec::new() }
    }

    /// Completes the tasks it holds and claims the next, unless this is its last call.
    pub(super) async fn turn(&mut self, is_last: bool) -> Result<Turn, Error> {
        let path = format!("/agents/{AGENT}/results");
        let claim = if is_last { "" } else { &self.claim };
        let body = format!(r#"{{"outcomes":[{}]{claim}}}"#, self.outcomes.join(","));
        let sent = Instant::now();
        let answer: Answer = serde_json::from_slice(self.wire.post(&path, &body).await?)?;
        let took = sent.elapsed();
        let statuses = answer.results.iter().filter_map(|result| result.status.as_deref());
        let completed = statuses.filter(|status| *status == "completed").count() as u64;
        check("accepted outcomes", completed, self.outcomes.len() as u64)?;
        let held = answer.claimed.into_iter().flat_map(|claimed| claimed.tasks);
        self.outcomes = held.map(completion).collect();
        Ok(Turn { completed, took })
    }
}

/// Returns the outcome that completes the task, as JSON.
fn completion(held: Held) -> String {
    let Held { task: Submitted { task_id }, attempt, lease } = held;
    let holder = format!(r#""task_id":"{task_id}","attempt":{attempt},"lease":"{lease}""#);
    format!(r#"{{{holder},"outcome":"completed","result":{{"ok":true}}}}"#)
}

/// Returns the status, the start of the body and its length. `None` if the head is incomplete.
fn parse(answer: &[u8]) -> Option<(u16, usize, usize)> {
    let start = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..start]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, start, length.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_only_with_its_head() {
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";

        assert_eq!(parse(&answer[..30]), None);
        assert_eq!(parse(answer), Some((201, answer.len() - 2, 2)));
    }
}
