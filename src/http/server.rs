//! The listening socket: binds, accepts with back-off, and stops without dropping a request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use poem::EndpointExt;
use poem::endpoint::BoxEndpoint;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;

use super::certificates::{Certificates, Watched};
use super::front::{RefusalLayer, RequestIdLayer};
use super::metrics::{MetricsAlone, Source};
use super::settings::{Error, Http, Settings};
use super::sockets::{self, Connections, Responder};
use super::traffic::Traffic;

/// The most connections to the address of the metrics: far more than there are scrapers.
const METRICS_CONNECTIONS: usize = 64;

/// A gateway that listens but does not answer yet.
pub struct Gateway {
    api: Listening,
    /// The metrics on an address of their own; `None` if they have none.
    metrics: Option<Listening>,
}

/// A socket that listens, and what answers on it.
struct Listening {
    responder: Arc<Responder>,
    connections: Arc<Connections>,
    /// `None` for plain HTTP.
    certificates: Option<Watched>,
    listener: TcpListener,
    address: SocketAddr,
    drain: Duration,
    grace: Duration,
    stop: CancellationToken,
}

impl Gateway {
    /// Checks `settings`, listens, and notes in the audit log which credentials changed.
    ///
    /// # Errors
    ///
    /// A credential is missing, weak or malformed, a setting is refused, the address is taken, or
    /// the store refuses.
    pub async fn bind(
        engine: Engine,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let http = sockets::limited_by_system(&settings.http);
        let traffic = Traffic::new(&http);
        let source = Source::new(engine.clone(), Arc::clone(&traffic));
        let on_api = Source::on_api(&source, &http);
        let endpoint = super::endpoint(engine.clone(), settings, stop.clone(), on_api).await?;
        let api = Listening::bind(endpoint, &http, traffic, stop.clone()).await?;
        let metrics = match metrics_alone(&http)? {
            Some(http) => {
                let endpoint = RequestIdLayer(RefusalLayer(MetricsAlone(source))).boxed();
                let traffic = Traffic::new(&http);
                Some(Listening::bind(endpoint, &http, traffic, stop.clone()).await?)
            }
            None => None,
        };
        super::note_credentials(&engine, settings, &stop).await?;
        Ok(Self { api, metrics })
    }

    /// The address of the socket, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.api.address
    }

    /// The address that serves the metrics and nothing else; `None` if there is none.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.api.certificates.is_some()
    }

    /// Answers until the stop token is cancelled. Then `/health/ready` returns 503 for the drain
    /// time, the gateway accepts no more connections, and requests in flight have the grace time to
    /// finish.
    ///
    /// # Errors
    ///
    /// None: if the socket cannot accept, the gateway tries again.
    pub async fn serve(self) -> io::Result<()> {
        let metrics = OptionFuture::from(self.metrics.map(Listening::serve));
        tokio::join!(self.api.serve(), metrics);
        Ok(())
    }
}

/// The settings of the address that serves the metrics and nothing else; `None` if there is none.
fn metrics_alone(http: &Http) -> Result<Option<Http>, Error> {
    if http.metrics_address.is_empty() {
        return Ok(None);
    }
    let refused = |_| Error::refused("http.metrics_address", "is not an address and a port");
    let address: SocketAddr = http.metrics_address.parse().map_err(refused)?;
    Ok(Some(Http {
        host: address.ip().to_string(),
        port: address.port(),
        tls_cert_file: String::new(),
        max_connections: METRICS_CONNECTIONS,
        ..http.clone()
    }))
}

impl Listening {
    async fn bind(
        endpoint: BoxEndpoint<'static>,
        http: &Http,
        traffic: Arc<Traffic>,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let refused =
            |source| Error::Bind { address: format!("{}:{}", http.host, http.port), source };
        let certificates = Certificates::load(http)?;
        let listener = TcpListener::bind((http.host.as_str(), http.port)).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            responder: Arc::new(Responder::new(
                endpoint,
                Arc::clone(&traffic),
                http.max_header_bytes,
                certificates.as_ref().map(|watched| Arc::clone(&watched.certificates)),
            )),
            certificates,
            connections: Connections::new(http, traffic),
            listener,
            address,
            drain: Duration::from_millis(http.drain_ms),
            grace: Duration::from_millis(http.grace_ms),
            stop,
        })
    }

    /// Answers until the stop token is cancelled, and then for the drain and grace times.
    async fn serve(mut self) {
        let connections = Arc::clone(&self.connections);
        let certificates = self.certificates.take();
        tokio::select! {
            () = self.serve_until_stopped() => {}
            () = connections.watch() => {}
            Some(()) = OptionFuture::from(certificates.map(Watched::watch)) => {}
        }
    }

    async fn serve_until_stopped(self) {
        let tasks = TaskTracker::new();
        let stopped = async {
            self.stop.cancelled().await;
            sleep(self.drain).await;
        };
        tokio::select! {
            () = stopped => {}
            () = accept(&self.listener, &self.connections, &self.responder, &tasks) => {}
        }
        drop(self.listener);
        self.responder.closing.cancel();
        tasks.close();
        if timeout(self.grace, tasks.wait()).await.is_err() {
            self.connections.cut_all();
            tasks.wait().await;
        }
    }
}

/// The first pause after a failed accept; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Long enough not to burn a core while the process has no file descriptors, short enough to notice
/// soon when one is free again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections, each into a task of its own, and pauses while the system has no more
/// sockets. Never returns.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    responder: &Arc<Responder>,
    tasks: &TaskTracker,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                pause = FIRST_PAUSE;
                // Nagle's algorithm would let a small answer wait up to 40 ms for the
                // acknowledgement of the previous one. A peer that is already gone has no address.
                let local = stream.set_nodelay(true).and_then(|()| stream.local_addr());
                let Ok(local) = local else { continue };
                let slot = connections.take(stream, (local, remote)).await;
                tasks.spawn(sockets::serve(slot, Arc::clone(responder)));
            }
            Err(error) => {
                let pause_ms = pause.as_millis() as u64;
                tracing::warn!(%error, pause_ms, "connection not accepted");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::Response;
    use poem::endpoint::make;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    use super::*;

    async fn listen(
        endpoint: BoxEndpoint<'static>,
        http: &Http,
        stop: CancellationToken,
    ) -> Result<Gateway, Error> {
        let api = Listening::bind(endpoint, http, Traffic::new(http), stop).await?;
        Ok(Gateway { api, metrics: None })
    }

    #[tokio::test]
    async fn stop_answers_requests_in_flight_then_closes_the_socket() {
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
        let gateway = listen(endpoint, &http, stop.clone()).await.unwrap();
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
    async fn an_address_in_use_is_an_error_that_names_the_settings() {
        let endpoint = || make(|_| async { Response::default() }).boxed();
        let http = Http { host: "127.0.0.1".to_owned(), port: 0, ..Http::default() };
        let first = listen(endpoint(), &http, CancellationToken::new()).await.unwrap();

        let taken = Http { port: first.address().port(), ..http };
        let error = listen(endpoint(), &taken, CancellationToken::new()).await.err().unwrap();

        assert!(error.to_string().contains("`http.port`"), "{error}");
    }
}
