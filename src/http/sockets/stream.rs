//! The bytes of one connection: TCP, and above it TLS if the gateway has a certificate.
//!
//! TLS has no task and no buffer of its own here. What the client sends is decrypted when the
//! gateway reads, or when it checks whether the client is still there, so that everything known of
//! a connection (deadlines, a closed side, bytes that the client does not read) is the same with
//! and without TLS.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::runtime::tls::names_of;

/// The first byte of every TLS connection: a record of the kind "handshake".
const HANDSHAKE_RECORD: u8 = 0x16;

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The client sent something else, such as a request of plain HTTP.
    #[error("the client does not speak TLS")]
    Plain,
    /// The client is gone, or sent nothing that both sides accept.
    #[error("TLS handshake failed: {0}")]
    Failed(#[from] io::Error),
}

/// The bytes of one connection.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    /// Empty without TLS, and before the handshake.
    tls: OnceLock<Mutex<ServerConnection>>,
    /// The names in the verified certificate of the client. Empty before the handshake.
    certificate_names: OnceLock<Vec<String>>,
    /// How many bytes the system took since [`Stream::take_moved`].
    moved: AtomicUsize,
}

/// The socket as the TLS library reads and writes it, without waiting.
struct Raw<'s>(&'s Stream);

impl Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.tcp.try_read(into)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.moved(self.0.tcp.try_write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.moved(self.0.tcp.try_write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// The bytes of a connection that was just accepted, without TLS.
    pub fn new(tcp: TcpStream) -> Self {
        let (tls, certificate_names) = (OnceLock::new(), OnceLock::new());
        Self { tcp, tls, certificate_names, moved: AtomicUsize::new(0) }
    }

    /// The socket itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the connection is protected by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.get().is_some()
    }

    fn session(&self) -> Option<MutexGuard<'_, ServerConnection>> {
        // The library notes its own failures; a panic in between would be a bug in it.
        self.tls.get().map(|tls| tls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins TLS: waits for the client until both sides have agreed on keys.
    ///
    /// # Errors
    ///
    /// The client sends something else, or nothing that both sides accept. An alert of TLS says so
    /// where there is one.
    pub async fn begin_tls(&self, config: Arc<ServerConfig>) -> Result<(), NoTls> {
        let mut first = [0];
        match self.tcp.peek(&mut first).await? {
            0 => return Err(NoTls::Failed(io::ErrorKind::UnexpectedEof.into())),
            _ if first != [HANDSHAKE_RECORD] => return Err(NoTls::Plain),
            _ => {}
        }
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        self.tls.get_or_init(|| Mutex::new(session));
        while let Some(interest) = self.shake_hands()? {
            self.tcp.ready(interest).await?;
        }
        let certificate = self
            .session()
            .and_then(|session| session.peer_certificates().and_then(<[_]>::first).map(names_of));
        self.certificate_names.get_or_init(|| certificate.unwrap_or_default());
        Ok(())
    }

    /// The names in the verified certificate of the client. Empty without one.
    pub fn certificate_names(&self) -> &[String] {
        self.certificate_names.get().map_or(&[], Vec::as_slice)
    }

    /// Takes the handshake as far as it goes. Returns what it waits for; `None` if it is complete.
    fn shake_hands(&self) -> io::Result<Option<Interest>> {
        let Some(mut session) = self.session() else { return Ok(None) };
        loop {
            // What the system does not take goes with the first answer.
            let is_sent = is_done(self.send(&mut session))?;
            if !session.is_handshaking() {
                return Ok(None);
            }
            if !self.receive(&mut session)? {
                let writable = if is_sent { None } else { Some(Interest::WRITABLE) };
                return Ok(Some(writable.map_or(Interest::READABLE, |it| it | Interest::READABLE)));
            }
            if is_at_end(&mut session) == Some(true) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Decrypts what has arrived; there must be no decrypted bytes left. Returns whether something
    /// has arrived, be it the end.
    fn receive(&self, session: &mut ServerConnection) -> io::Result<bool> {
        if !is_done(session.read_tls(&mut Raw(self)))? {
            return Ok(false);
        }
        let understood = session.process_new_packets();
        // What the library itself answers, such as an alert, is sent as far as the system takes
        // it; the rest goes with the next bytes.
        let sent = is_done(self.send(session));
        understood.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        sent.map(|_| true)
    }

    /// Passes all encrypted bytes to the system.
    fn send(&self, session: &mut ServerConnection) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Raw(self))?;
        }
        Ok(())
    }

    /// Reads what has arrived; 0 is the end of the client's sending. `WouldBlock` if nothing has.
    fn try_read(&self, into: &mut ReadBuf<'_>) -> io::Result<usize> {
        let Some(mut session) = self.session() else { return self.tcp.try_read_buf(into) };
        loop {
            match session.reader().read(into.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The client closed its side without the farewell of TLS, as many do. A request
                // that was cut short does not pass for a whole one: HTTP says how long it is.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => {
                    let read = read?;
                    into.advance(read);
                    return Ok(read);
                }
            }
            if !self.receive(&mut session)? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    /// Whether TLS holds decrypted bytes, or knows that no more will come.
    fn has_decrypted(&self) -> bool {
        self.session().is_some_and(|mut session| is_at_end(&mut session).is_some())
    }

    /// Reads into `into`; 0 is the end of the client's sending.
    pub fn poll_read(
        &self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.has_decrypted() {
                ready!(self.tcp.poll_read_ready(context))?;
            }
            let read = self.try_read(into);
            if !would_block(&read) {
                return Poll::Ready(read);
            }
        }
    }

    /// Writes without waiting. Returns how many bytes were taken; with TLS some of them may still
    /// wait for [`Stream::try_flush`]. `WouldBlock` if the system takes none.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(mut session) = self.session() else {
            return self.moved(self.tcp.try_write_vectored(slices));
        };
        self.send(&mut session)?;
        let taken = session.writer().write_vectored(slices)?;
        is_done(self.send(&mut session))?;
        Ok(taken)
    }

    /// Passes to the system what TLS still holds. `WouldBlock` if the system does not take all.
    pub fn try_flush(&self) -> io::Result<()> {
        self.session().map_or(Ok(()), |mut session| self.send(&mut session))
    }

    /// Returns once the system may take more.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(context)
    }

    fn moved(&self, written: io::Result<usize>) -> io::Result<usize> {
        self.moved.fetch_add(*written.as_ref().unwrap_or(&0), Ordering::Relaxed);
        written
    }

    /// How many bytes the system took since the last call.
    pub fn take_moved(&self) -> usize {
        self.moved.swap(0, Ordering::Relaxed)
    }

    /// Whether the next thing to read is the end of the client's sending.
    pub fn is_at_end(&self) -> bool {
        let Some(mut session) = self.session() else {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            return recv(&self.tcp, &mut [0], flags).is_ok_and(|(read, _)| read == 0);
        };
        self.looks_ahead(&mut session) == Some(true)
    }

    /// Whether the client's sending ends before another byte; `None` if neither has arrived.
    fn looks_ahead(&self, session: &mut ServerConnection) -> Option<bool> {
        loop {
            if let Some(is_end) = is_at_end(session) {
                return Some(is_end);
            }
            match self.receive(session) {
                Ok(true) => {}
                Ok(false) => return None,
                // The reader finds the same error.
                Err(_) => return Some(true),
            }
        }
    }

    /// Returns once the client's sending ends before another byte; never if a byte arrives.
    pub async fn ends(&self) {
        if !self.is_tls() {
            match self.tcp.peek(&mut [0]).await {
                Ok(0) | Err(_) => return,
                Ok(_) => return std::future::pending().await,
            }
        }
        loop {
            let ahead = self.session().and_then(|mut session| self.looks_ahead(&mut session));
            match ahead {
                Some(true) => return,
                Some(false) => return std::future::pending().await,
                None => {}
            }
            if self.tcp.readable().await.is_err() {
                return;
            }
        }
    }

    /// Closes the sending side, with the farewell of TLS if there is TLS. Returns whether the
    /// client is still there.
    pub fn close_sending(&self) -> bool {
        if let Some(mut session) = self.session().filter(|session| !session.is_handshaking()) {
            session.send_close_notify();
            // A client that does not read misses the farewell.
            let _ = self.send(&mut session);
        }
        shutdown(&self.tcp, Shutdown::Write).is_ok()
    }
}

/// Whether it failed only because it would have to wait.
pub fn would_block<T>(done: &io::Result<T>) -> bool {
    done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether it is done; not if it would have to wait.
fn is_done<T>(done: io::Result<T>) -> io::Result<bool> {
    if would_block(&done) { Ok(false) } else { done.map(|_| true) }
}

/// Whether the decrypted bytes are at their end; `None` if more may come.
fn is_at_end(session: &mut ServerConnection) -> Option<bool> {
    match session.reader().fill_buf() {
        Ok(bytes) => Some(bytes.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(_) => Some(true),
    }
}
