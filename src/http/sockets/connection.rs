//! One connection: its socket, what the gateway does on it, and what its client does.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustls::ServerConfig;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::runtime::receipt::Receipt;

use super::super::traffic::{Cause, Deadlines};
use super::stream::{NoTls, Stream};

mod state;
mod wire;

use state::{Blocked, Phase, State};

pub use wire::Wire;

/// How long a request may be in work after its client has closed its sending side before the
/// gateway checks whether the client is there. Most answers are given before.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is sent to check whether a client that sends no more is there.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long the gateway waits for a client before its connection counts as one that can make room.
const HOLDING: Duration = Duration::from_secs(1);

/// How many bytes are read and discarded at once, and the pause after them: 6 MB/s.
const SCRAP: usize = 64 << 10;
const SCRAP_PAUSE: Duration = Duration::from_millis(10);

/// How many bytes of an answer the system holds for a stranger who does not read. Left to itself
/// Linux takes up to 4 MB (`tcp_wmem`); copying them for a thousand connections a second leaves no
/// CPU to other clients.
const SEND_BUFFER: usize = 128 << 10;

/// What counts all connections together, and learns from each what it needs for that.
pub trait Owner: Send + Sync {
    /// Records that a request of the connection has shown a credential of `caller`. Only the first
    /// counts.
    fn note_caller(&self, connection: &Connection, caller: &Arc<str>);

    /// Records that an answer of `bytes` begins. If all answers together are too large, those that
    /// their clients have not read for longest are cut.
    fn answer_begins(&self, bytes: usize);

    /// Records that `bytes` of an answer are no longer held.
    fn answer_ends(&self, bytes: usize);
}

/// One connection, from its acceptance to its end.
#[derive(Debug)]
pub struct Connection {
    /// The number of the connection, in the order of acceptance.
    pub id: u64,
    /// The address of the client.
    pub remote: SocketAddr,
    /// The local address of the connection.
    pub local: SocketAddr,
    /// Whether the connection was accepted beyond the bound, only to refuse its requests.
    pub is_reserve: bool,
    stream: Stream,
    state: Mutex<State>,
    owner: Weak<dyn Owner>,
    /// Whose credential was shown first. Only the [`Owner`] sets this, so that its counts agree.
    pub caller: OnceLock<Arc<str>>,
    half_closed: AtomicBool,
    work_begins: Notify,
    cut: CancellationToken,
    cause: OnceLock<Cause>,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(
        id: u64,
        stream: TcpStream,
        (local, remote): (SocketAddr, SocketAddr),
        is_reserve: bool,
        owner: Weak<dyn Owner>,
    ) -> Self {
        Self {
            id,
            remote,
            local,
            is_reserve,
            stream: Stream::new(stream),
            state: Mutex::new(State::new()),
            owner,
            caller: OnceLock::new(),
            half_closed: AtomicBool::new(false),
            work_begins: Notify::new(),
            cut: CancellationToken::new(),
            cause: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each holder sets plain values, so nothing is left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Begins TLS, within the deadline for the head of the first request.
    ///
    /// # Errors
    ///
    /// The client does not speak TLS, or not in a way that the gateway accepts.
    pub async fn begin_tls(&self, config: Arc<ServerConfig>) -> Result<(), NoTls> {
        self.stream.begin_tls(config).await
    }

    /// Whether the connection is protected by TLS.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// The names in the verified certificate of the client. Empty without one.
    pub fn certificate_names(&self) -> &[String] {
        self.stream.certificate_names()
    }

    /// Records that a request has arrived; `is_whole` says that it has no body, or all of it.
    pub fn request_arrived(&self, is_whole: bool) {
        self.enter(if is_whole { Phase::Work } else { Phase::Body });
    }

    /// Records that the body of the request has arrived.
    pub fn body_is_read(&self) {
        self.enter(Phase::Work);
        self.work_begins.notify_one();
    }

    /// Returns whether a request has arrived and is being answered.
    pub fn is_working(&self) -> bool {
        self.lock().phase == Phase::Work
    }

    /// Records that an answer begins, of which `bytes` are counted; `receipt` is kept until the
    /// client has the answer.
    pub fn answer_begins(&self, bytes: usize, receipt: Option<Receipt>) {
        let mut state = self.lock();
        state.answer_bytes += bytes;
        state.is_handed_over = false;
        // The previous answer has left before the next one begins.
        let before = std::mem::replace(&mut state.receipt, receipt);
        drop(state);
        if let Some(before) = before {
            before.confirm();
        }
        if bytes > 0
            && let Some(owner) = self.owner.upgrade()
        {
            owner.answer_begins(bytes);
        }
    }

    /// Records that all of the answer was handed to the HTTP library.
    pub fn answer_ends(&self) {
        let mut state = self.lock();
        state.is_handed_over = true;
        state.phase = Phase::Idle;
        state.since = Instant::now();
    }

    /// The address of the client, for counting its connections.
    pub fn address(&self) -> IpAddr {
        self.remote.ip().to_canonical()
    }

    /// Records that a request on this connection has shown a credential of `caller`.
    pub fn note_caller(&self, caller: &Arc<str>) {
        if self.caller.get().is_none()
            && let Some(owner) = self.owner.upgrade()
        {
            owner.note_caller(self, caller);
        }
    }

    /// Whether the client has closed its sending side.
    pub fn is_half_closed(&self) -> bool {
        self.half_closed.load(Ordering::Relaxed)
    }

    /// The status with which the HTTP library refused the bytes received; `None` if they were a
    /// request.
    pub fn refused(&self) -> Option<u16> {
        self.lock().refused
    }

    /// Whether a part of a request's head has arrived.
    pub fn is_in_head(&self) -> bool {
        self.lock().phase == Phase::Head
    }

    /// Has the system hold little of what this client does not read, unless the client has shown a
    /// credential.
    pub fn bound_send_buffer(&self) {
        if self.caller.get().is_none() {
            // If that fails the system holds more.
            let _ = set_socket_send_buffer_size(self.stream.tcp(), SEND_BUFFER);
        }
    }

    /// Takes the receipt of an answer that is not known to have reached its client.
    pub fn take_receipt(&self) -> Option<Receipt> {
        self.lock().receipt.take()
    }

    /// Cuts the connection for this cause; only the first cause is kept.
    pub fn cut(&self, cause: Cause) {
        let _ = self.cause.set(cause);
        self.cut.cancel();
    }

    /// The cause for which the connection is cut; `None` if it is not.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }

    /// Returns once the connection is cut.
    pub async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    /// The deadline that the connection has missed; `None` if it is in time.
    pub fn overdue(&self, now: Instant, deadlines: &Deadlines) -> Option<Overdue> {
        let state = self.lock();
        if let Some(Blocked { since, moved, read }) = state.blocked {
            let is_late = now.duration_since(moved) > deadlines.write
                || now.duration_since(since) > deadlines.allowed(deadlines.write, read);
            return is_late.then_some(Overdue::Cut(Cause::WriteTimeout));
        }
        let (allowed, late) = match state.phase {
            Phase::New | Phase::Head => (deadlines.header, Overdue::Cut(Cause::HeaderTimeout)),
            Phase::Idle => (deadlines.idle, Overdue::Idle),
            // The reader of bodies has its own deadline, and answers with 408; work ends by itself.
            Phase::Body | Phase::Work => return None,
        };
        (now.duration_since(state.since) > allowed).then_some(late)
    }

    /// Since when the connection only waits for its client, so that it can make room; `None` if it
    /// is at work.
    pub fn spare_since(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        if let Some(blocked) = state.blocked.filter(|blocked| holds(now, blocked.since)) {
            return Some(blocked.since);
        }
        match state.phase {
            Phase::New | Phase::Head | Phase::Idle => Some(state.since),
            Phase::Body => Some(state.since).filter(|since| holds(now, *since)),
            Phase::Work => None,
        }
    }

    /// Since when its client has not read, and the size of the answer; `None` if the client reads.
    pub fn unread(&self) -> Option<(Instant, usize)> {
        let state = self.lock();
        state.blocked.map(|blocked| (blocked.moved, state.answer_bytes))
    }

    /// Returns once the client is known to be gone, as far as that can be known.
    ///
    /// * `can_pass_over`: whether the client ignores interim answers, as clients of HTTP/1.1 do.
    pub async fn is_gone(&self, can_pass_over: bool) {
        tokio::select! {
            () = self.is_reset() => {}
            () = self.is_gone_after_its_end(can_pass_over) => {}
        }
    }

    async fn is_gone_after_its_end(&self, can_pass_over: bool) {
        self.ends_sending().await;
        sleep(PATIENCE).await;
        // Nothing can be sent between the bytes of a previous answer.
        if can_pass_over && !self.lock().is_unsent && !self.takes_at_once(INTERIM) {
            // The client does not even read so little, or the connection is broken.
            return;
        }
        // The caller waits for a reset beside this.
        std::future::pending().await
    }

    /// Returns once the client has closed its sending side. That does not show while another
    /// request follows this one.
    pub async fn ends_sending(&self) {
        while self.lock().phase == Phase::Body {
            self.work_begins.notified().await;
        }
        self.stream.ends().await;
        self.half_closed.store(true, Ordering::Relaxed);
    }

    /// Writes all of `bytes`, if the system takes them at once.
    fn takes_at_once(&self, bytes: &[u8]) -> bool {
        let sent = self.stream.try_write(&[IoSlice::new(bytes)]);
        sent.is_ok_and(|sent| sent == bytes.len()) && self.stream.try_flush().is_ok()
    }

    /// Returns once the connection was reset.
    pub async fn is_reset(&self) {
        // An error here means that there is nothing left to wait for.
        let _ = self.stream.tcp().ready(Interest::ERROR).await;
    }

    /// Drops what the client has not read: the system would keep it for minutes.
    pub fn discard_unread(&self) {
        // If that fails, the system keeps it.
        let _ = self.stream.tcp().set_zero_linger();
    }

    /// Sends `last` and closes the sending side, then reads on for at most `patience`, so that the
    /// client can read what was sent before its connection is reset. Reads slowly, so that
    /// discarded bytes do not take the CPU of other clients.
    pub async fn say_goodbye(&self, last: &[u8], patience: Duration) {
        // A fresh connection takes a small answer at once; a client that did not read gets none.
        let is_sent = last.is_empty() || self.takes_at_once(last);
        if !is_sent || !self.stream.close_sending() {
            return;
        }
        let tcp = self.stream.tcp();
        let read_on = async {
            let mut scrap = vec![0; SCRAP];
            while tcp.readable().await.is_ok() {
                match tcp.try_read(&mut scrap) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    Ok(_) | Err(_) => sleep(SCRAP_PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = read_on => {}
            () = sleep(patience) => {}
        }
    }
}

/// Whether a wait for a client since `since` is long enough to make room.
fn holds(now: Instant, since: Instant) -> bool {
    now.duration_since(since) > HOLDING
}

impl Drop for Connection {
    fn drop(&mut self) {
        let unsent = self.lock().answer_bytes;
        if unsent > 0
            && let Some(owner) = self.owner.upgrade()
        {
            owner.answer_ends(unsent);
        }
    }
}

/// The deadline that a connection has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The connection was not used again, which is no fault.
    Idle,
    /// The connection is cut for this cause.
    Cut(Cause),
}
