//! A minimal HTTP client for loads: one kept connection and prepared requests, so that the load
//! costs little beside what it measures.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Error;

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
    pub(super) async fn post(&mut self, path: &str, body: &[u8]) -> Result<&[u8], Error> {
        self.request.clear();
        self.request.extend_from_slice(b"POST ");
        self.request.extend_from_slice(path.as_bytes());
        self.request.extend_from_slice(self.headers.as_bytes());
        self.request
            .extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.request.extend_from_slice(body);
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
        let mut head = None;
        loop {
            if let Some((status, start, length)) = head
                && self.answer.len() >= start + length
            {
                return Ok((status, start, start + length));
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            if head.is_none() {
                head = parse(&self.answer);
            }
        }
    }
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
