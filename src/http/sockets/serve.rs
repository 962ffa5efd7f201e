//! Serves one connection from its first byte to its last.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, StatusCode, Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Request, Response};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::runtime::aside::aside;
use crate::runtime::receipt::Receipt;

use super::super::body::LIGHT_BODY;
use super::super::certificates::Certificates;
use super::super::error::Refusal;
use super::super::front;
use super::super::peer::Peer;
use super::super::traffic::{Cause, Traffic};
use super::answer::AnswerBody;
use super::connection::{Connection, Wire};
use super::connections::Slot;
use super::stream::NoTls;

/// How long a client may take to read a last answer and to close its side.
const GOODBYE: Duration = Duration::from_millis(500);

/// How long to watch for a reset after an answer has left to a client that has closed its sending
/// side.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The size in bytes from which an answer counts against the budget of unread answers.
const COUNTED: usize = 16 * 1024;

/// What all connections share to answer their requests.
pub struct Responder {
    /// The API that answers each request.
    pub endpoint: BoxEndpoint<'static>,
    /// The budgets, deadlines and counts.
    pub traffic: Arc<Traffic>,
    /// Cancelled once the gateway accepts no more requests.
    pub closing: CancellationToken,
    /// The HTTP library, with the bounds of a request's head.
    pub http: http1::Builder,
    /// The certificate for TLS; `None` for plain HTTP.
    pub certificates: Option<Arc<Certificates>>,
}

impl Responder {
    /// Shares `endpoint` among connections.
    ///
    /// * `max_header_bytes`: the largest head of a request.
    /// * `certificates`: for TLS; `None` for plain HTTP.
    pub fn new(
        endpoint: BoxEndpoint<'static>,
        traffic: Arc<Traffic>,
        max_header_bytes: usize,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let mut http = http1::Builder::new();
        // This module has its own deadlines, see `Connection::overdue`, and detects clients that
        // are gone.
        http.header_read_timeout(None).half_close(true).max_buf_size(max_header_bytes);
        Self { endpoint, traffic, closing: CancellationToken::new(), http, certificates }
    }
}

/// The error that ends a request whose client is gone.
#[derive(Debug, thiserror::Error)]
#[error("the client is gone")]
struct ClientGone;

/// Answers the requests of one connection until it ends, then closes it.
pub async fn serve(slot: Slot, responder: Arc<Responder>) {
    let connection = Arc::clone(&slot.connection);
    if let Some(certificates) = &responder.certificates {
        let config = certificates.current();
        let begun = tokio::select! {
            biased;
            () = connection.is_cut() => return,
            begun = connection.begin_tls(config) => begun,
        };
        if let Err(error) = begun {
            return refuse(&connection, &error, &responder).await;
        }
    }
    let ended = converse(&connection, &responder).await;
    if let Some(Err(error)) = &ended {
        tracing::debug!(%error, peer = %connection.remote, "connection ended");
    }
    leave(&connection, ended, &responder).await;
}

/// Ends a connection on which TLS did not begin.
async fn refuse(connection: &Connection, error: &NoTls, responder: &Responder) {
    tracing::debug!(%error, peer = %connection.remote, "connection refused");
    responder.traffic.count(Cause::NoTls);
    let last = match error {
        NoTls::Plain => written(front::standalone(Refusal::no_tls(), false)).await,
        NoTls::Failed(_) => Vec::new(),
    };
    tokio::select! {
        () = connection.say_goodbye(&last, GOODBYE) => {}
        () = connection.is_cut() => {}
    }
}

/// Answers requests. Returns how the connection ended, or `None` if it is to be cut.
async fn converse(
    connection: &Arc<Connection>,
    responder: &Arc<Responder>,
) -> Option<hyper::Result<()>> {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        connection.request_arrived(request.body().is_end_stream());
        answer(request, Arc::clone(connection), Arc::clone(responder))
    });
    let io = TokioIo::new(Wire(Arc::clone(connection)));
    let served = responder.http.serve_connection(io, service);
    tokio::pin!(served);
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            () = connection.is_cut() => return None,
            ended = &mut served => return Some(ended),
            () = responder.closing.cancelled(), if !is_closing => {
                is_closing = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers one request.
async fn answer(
    mut request: hyper::Request<Incoming>,
    connection: Arc<Connection>,
    responder: Arc<Responder>,
) -> Result<hyper::Response<impl Body<Data = Bytes, Error = std::io::Error>>, ClientGone> {
    let can_pass_over = request.version() == Version::HTTP_11;
    let most = request.body().size_hint().upper();
    let is_heavy = most.is_none_or(|bytes| bytes > LIGHT_BODY as u64);
    let peer = Peer::new(Arc::clone(&responder.traffic), Arc::clone(&connection));
    request.extensions_mut().insert(peer);
    let local = LocalAddr(connection.local.into());
    let remote = RemoteAddr(connection.remote.into());
    let scheme = if connection.is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
    let request = Request::from((request, local, remote, scheme));
    let mut response = if connection.is_reserve && !is_vital(request.uri().path()) {
        responder.traffic.count(Cause::Full);
        front::standalone(Refusal::overloaded(), connection.is_tls())
    } else {
        let answering = responder.endpoint.get_response(request);
        tokio::select! {
            biased;
            response = aside(|| is_heavy && connection.is_working(), answering) => response,
            () = connection.is_gone(can_pass_over) => return Err(ClientGone),
        }
    };
    connection.bound_send_buffer();
    if connection.is_reserve {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let receipt = response.extensions_mut().remove::<Receipt>();
    let response = hyper::Response::from(response);
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    connection.answer_begins(size.filter(|size| *size >= COUNTED).unwrap_or(0), receipt);
    let is_stream = size.is_none();
    Ok(response.map(|body| AnswerBody::new(body, connection, is_stream)))
}

/// Whether this path is answered even if there is no room for anything else.
fn is_vital(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path == "/metrics"
}

/// Ends the connection: sends a last refusal if there is one, and decides whether the answer that
/// was sent last has arrived.
async fn leave(
    connection: &Arc<Connection>,
    ended: Option<hyper::Result<()>>,
    responder: &Responder,
) {
    let Some(ended) = ended else { return cut_off(connection).await };
    let refusal = refusal_of(connection, &ended);
    if refusal.is_some() {
        responder.traffic.count(Cause::NotHttp);
    }
    let last = match refusal {
        Some(refusal) => written(front::standalone(refusal, connection.is_tls())).await,
        None => Vec::new(),
    };
    // While the process stops, it waits for no client.
    let patience = if responder.closing.is_cancelled() { Duration::ZERO } else { GOODBYE };
    tokio::select! {
        () = connection.say_goodbye(&last, patience) => {}
        () = connection.is_cut() => {}
    }
    if ended.is_err() {
        return;
    }
    // The answer left after its client had closed its sending side: a reset means that nothing
    // reads it.
    let Some(receipt) = connection.take_receipt() else { return };
    match timeout(AFTERWARDS, connection.is_reset()).await {
        Ok(()) => drop(receipt),
        Err(_) => receipt.confirm(),
    }
}

/// Ends a connection that was cut.
async fn cut_off(connection: &Connection) {
    if connection.unread().is_some() {
        return connection.discard_unread();
    }
    if connection.cause() == Some(Cause::HeaderTimeout) && connection.is_in_head() {
        let last = written(front::standalone(Refusal::slow_head(), connection.is_tls())).await;
        connection.say_goodbye(&last, GOODBYE).await;
    }
}

/// The refusal of bytes that are no request; `None` if they were a request, or if none came.
fn refusal_of(connection: &Connection, ended: &hyper::Result<()>) -> Option<Refusal> {
    if let Some(status) = connection.refused() {
        return Some(Refusal::no_request(status));
    }
    let error = ended.as_ref().err()?;
    // The library refuses everything else that it cannot parse by itself; this is the preface of
    // HTTP/2.
    if error.is_parse() {
        return Some(Refusal::no_request(StatusCode::HTTP_VERSION_NOT_SUPPORTED.as_u16()));
    }
    let is_cut_short = error.is_incomplete_message() && connection.is_in_head();
    is_cut_short.then(|| Refusal::no_request(StatusCode::BAD_REQUEST.as_u16()))
}

/// The bytes of an answer that ends its connection.
async fn written(response: Response) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in response.headers() {
        // Header values of this gateway are text; writing to a String cannot fail.
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let body = response.into_body().into_bytes().await.unwrap_or_default();
    let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}
