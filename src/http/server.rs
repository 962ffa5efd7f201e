//! The listening socket: binds, accepts with patience, and stops without dropping anybody.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Server, endpoint::BoxEndpoint};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

use super::presence::{Connections, Present, Watched};
use super::settings::{Error, Http, Settings};

/// A gateway that listens but does not answer yet.
pub struct Gateway {
    endpoint: BoxEndpoint<'static>,
    acceptor: TcpAcceptor,
    address: SocketAddr,
    idle_timeout: Duration,
    drain: Duration,
    grace: Duration,
    stop: CancellationToken,
}

impl Gateway {
    /// Checks `settings`, listens, and notes in the audit log what has changed about the credentials.
    ///
    /// # Errors
    ///
    /// A credential is missing or weak, a setting is refused, the address is taken, or the store refuses.
    pub async fn bind(
        engine: Engine,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let endpoint = super::endpoint(engine.clone(), settings, stop.clone())?;
        let gateway = Self::listen(endpoint, &settings.http, stop).await?;
        super::note_credentials(&engine, settings, &gateway.stop).await?;
        Ok(gateway)
    }

    async fn listen(
        endpoint: BoxEndpoint<'static>,
        http: &Http,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let refused =
            |source| Error::Bind { address: format!("{}:{}", http.host, http.port), source };
        let listener = TcpListener::bind((http.host.as_str(), http.port)).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            endpoint,
            acceptor: TcpAcceptor::from_tokio(listener).map_err(refused)?,
            address,
            idle_timeout: Duration::from_millis(http.idle_timeout_ms),
            drain: Duration::from_millis(http.drain_ms),
            grace: Duration::from_millis(http.grace_ms),
            stop,
        })
    }

    /// Where it listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the stop token is cancelled; then `/health/ready` says 503 for the drain time, no
    /// connection is accepted any more, and requests in flight have the grace time to finish.
    ///
    /// # Errors
    ///
    /// None that a listening socket is known to meet; the framework's signature has one.
    pub async fn serve(self) -> io::Result<()> {
        let Self { stop, drain, .. } = self;
        let stopped = async move {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let connections = Connections::default();
        Server::new_with_acceptor(Patient::new(self.acceptor, connections.clone()))
            .name("gateway")
            .idle_timeout(self.idle_timeout)
            .run_with_graceful_shutdown(
                Present { inner: self.endpoint, connections },
                stopped,
                Some(self.grace),
            )
            .await
    }
}

/// The first pause after a failed accept; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Long enough not to burn a core while the process is out of file descriptors, short enough to
/// notice when one is free again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections, sends small answers at once, and pauses when the system has no more sockets to
/// give: the framework's own loop would try again without a pause.
struct Patient {
    inner: TcpAcceptor,
    connections: Connections,
    pause: Duration,
}

impl Patient {
    fn new(inner: TcpAcceptor, connections: Connections) -> Self {
        Self { inner, connections, pause: FIRST_PAUSE }
    }
}

impl Acceptor for Patient {
    type Io = Watched;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Watched, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            match self.inner.accept().await {
                Ok((stream, _, remote, scheme)) => {
                    self.pause = FIRST_PAUSE;
                    // Without it an answer waits up to 40 ms for the acknowledgement of the one before.
                    // A peer that is gone already shows itself on the first read.
                    let _ = stream.set_nodelay(true);
                    let (stream, local) = self.connections.watch(stream, &remote);
                    return Ok((stream, local, remote, scheme));
                }
                Err(error) => {
                    tracing::warn!(%error, pause_ms = self.pause.as_millis() as u64, "connection not accepted");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make;
    use poem::{EndpointExt, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_request_in_flight_is_answered_after_stop_and_then_nobody_listens() {
        static ARRIVED: Notify = Notify::const_new();
        static ANSWER: Notify = Notify::const_new();
        let slow = make(|_| async {
            ARRIVED.notify_one();
            ANSWER.notified().await;
            "answered"
        });
        let http = Http { host: "127.0.0.1".to_owned(), port: 0, ..Http::default() };
        let stop = CancellationToken::new();
        let endpoint = slow.map_to_response().boxed();
        let gateway = Gateway::listen(endpoint, &http, stop.clone()).await.unwrap();
        let address = gateway.address();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(gateway.serve());

        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        ARRIVED.notified().await;
        stop.cancel();
        ANSWER.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();

        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("answered"), "{answer}");
        serving.join_next().await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error_that_names_the_settings() {
        let endpoint = || make(|_| async { Response::default() }).boxed();
        let http = Http { host: "127.0.0.1".to_owned(), port: 0, ..Http::default() };
        let first = Gateway::listen(endpoint(), &http, CancellationToken::new()).await.unwrap();

        let taken = Http { port: first.address().port(), ..http };
        let error =
            Gateway::listen(endpoint(), &taken, CancellationToken::new()).await.err().unwrap();

        assert!(error.to_string().contains("`http.port`"), "{error}");
    }
}
