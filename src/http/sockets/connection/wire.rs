//! The connection as the HTTP library reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::super::stream::{Stream, would_block};
use super::{Blocked, Connection, Phase};

impl Connection {
    /// Whether to hide the end of the client's sending from the HTTP library for now: the library
    /// would drop the rest of an answer that is being sent.
    fn hides_end(&self) -> bool {
        self.is_half_closed() && self.lock().is_unsent
    }

    fn note_read(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::New | Phase::Idle) {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    fn note_written(&self) {
        let bytes = self.stream.take_moved();
        let mut state = self.lock();
        state.is_unsent = true;
        if bytes > 0
            && let Some(blocked) = &mut state.blocked
        {
            blocked.moved = Instant::now();
            blocked.read += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
    }

    fn note_blocked(&self) {
        let mut state = self.lock();
        state.is_unsent = true;
        let now = Instant::now();
        state.blocked.get_or_insert(Blocked { since: now, moved: now, read: 0 });
    }

    /// Records that all bytes were passed to the system. Returns whether the client's end is no
    /// longer hidden.
    fn note_sent(&self) -> bool {
        let mut state = self.lock();
        let was_unsent = std::mem::take(&mut state.is_unsent);
        state.blocked = None;
        if !std::mem::take(&mut state.is_handed_over) {
            return false;
        }
        let answer_bytes = std::mem::take(&mut state.answer_bytes);
        let has_receipt = state.receipt.is_some();
        let is_half_closed = self.is_half_closed() || (has_receipt && self.is_at_end());
        // A client that has closed its sending side may be gone: the server of the connection waits
        // for a reset.
        let receipt = if is_half_closed { None } else { state.receipt.take() };
        drop(state);
        if let Some(receipt) = receipt {
            receipt.confirm();
        }
        if answer_bytes > 0
            && let Some(owner) = self.owner.upgrade()
        {
            owner.answer_ends(answer_bytes);
        }
        was_unsent && is_half_closed
    }

    /// Whether the next thing to read is the end of the client's sending.
    fn is_at_end(&self) -> bool {
        let is_end = self.stream.is_at_end();
        if is_end {
            self.half_closed.store(true, Ordering::Relaxed);
        }
        is_end
    }

    /// Whether `bytes` are the HTTP library's own refusal of bytes that are no request. That
    /// refusal has no body; the gateway sends its own instead.
    fn keeps_back(&self, bytes: &[u8]) -> bool {
        let is_refusal = bytes.starts_with(b"HTTP/1.1 4") && bytes.ends_with(b"\r\n\r\n");
        if !is_refusal {
            return false;
        }
        let mut state = self.lock();
        let head = String::from_utf8_lossy(bytes);
        let is_between = matches!(state.phase, Phase::New | Phase::Head | Phase::Idle);
        if !is_between || !head.contains("content-length: 0\r\n") {
            return false;
        }
        state.refused = head.get(9..12).and_then(|status| status.parse().ok());
        state.refused.is_some()
    }

    /// Makes `attempt` whenever the system may take bytes, until it takes some.
    fn write<T>(
        &self,
        context: &mut Context<'_>,
        attempt: impl Fn(&Stream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let Poll::Ready(ready) = self.stream.poll_write_ready(context) else {
                self.note_blocked();
                return Poll::Pending;
            };
            ready?;
            let taken = attempt(&self.stream);
            self.note_written();
            if !would_block(&taken) {
                return Poll::Ready(taken);
            }
        }
    }
}

/// The connection as the HTTP library reads and writes it.
pub struct Wire(pub Arc<Connection>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let connection = &self.0;
        loop {
            // The code that sends the rest of the answer wakes the reader.
            if connection.hides_end() {
                return Poll::Pending;
            }
            match ready!(connection.stream.poll_read(context, into))? {
                0 if !connection.is_half_closed() && into.remaining() > 0 => {
                    connection.half_closed.store(true, Ordering::Relaxed);
                }
                0 => return Poll::Ready(Ok(())),
                _ => {
                    connection.note_read();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.0.write(context, |stream| stream.try_write(&[IoSlice::new(bytes)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [head] = slices
            && self.0.keeps_back(head)
        {
            return Poll::Ready(Ok(head.len()));
        }
        self.0.write(context, |stream| stream.try_write(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.0.stream.try_flush();
        if would_block(&flushed) {
            ready!(self.0.write(context, Stream::try_flush))?;
        } else {
            flushed?;
        }
        if self.0.note_sent() {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end is sent with the last answer: see `say_goodbye`.
        Poll::Ready(Ok(()))
    }
}
