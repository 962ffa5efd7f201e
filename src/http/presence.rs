//! Notices when a client hangs up, and drops its request then.
//!
//! The framework goes on with such a request to its end: a claim would wait for tasks, and lease them, for
//! somebody who is gone. A client that closes its sending side counts as gone, as in the HTTP library below.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use poem::http::StatusCode;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, IntoResponse, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The open connections by the addresses of both ends.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<Ends, CancellationToken>>>);

/// The framework passes nothing else from a connection on to its requests.
type Ends = (SocketAddr, SocketAddr);

impl Connections {
    /// Watches `stream`, and gives the address at this end, which requests need to find it again.
    pub fn watch(&self, stream: TcpStream, remote: &RemoteAddr) -> (Watched, LocalAddr) {
        let local =
            stream.local_addr().map(|address| LocalAddr(address.into())).unwrap_or_default();
        let (ends, gone) = (ends(&local, remote), CancellationToken::new());
        if let Some(ends) = ends {
            self.lock().insert(ends, gone.clone());
        }
        (Watched { stream, gone, ends, connections: self.clone() }, local)
    }

    fn gone(&self, request: &Request) -> Option<CancellationToken> {
        let ends = ends(request.local_addr(), request.remote_addr())?;
        self.lock().get(&ends).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ends, CancellationToken>> {
        // Nothing can be half done: whoever holds it makes one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ends(local: &LocalAddr, remote: &RemoteAddr) -> Option<Ends> {
    Some((*local.as_socket_addr()?, *remote.as_socket_addr()?))
}

/// A connection that says when its client has hung up.
pub struct Watched {
    stream: TcpStream,
    gone: CancellationToken,
    ends: Option<Ends>,
    connections: Connections,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(ends) = self.ends {
            self.connections.lock().remove(&ends);
        }
        self.gone.cancel();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let is_end = match &read {
            Poll::Ready(Ok(())) => into.filled().len() == before && into.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_end {
            self.gone.cancel();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Drops a request whose client has hung up.
pub struct Present<E> {
    /// Answers.
    pub inner: E,
    /// Say who is gone.
    pub connections: Connections,
}

impl<E: Endpoint<Output = Response>> Endpoint for Present<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let Some(gone) = self.connections.gone(&request) else {
            return self.inner.call(request).await;
        };
        tokio::select! {
            biased;
            answer = self.inner.call(request) => answer,
            () = gone.cancelled() => {
                tracing::debug!("the client hung up before the answer");
                // Nobody reads it.
                Ok(StatusCode::REQUEST_TIMEOUT.into_response())
            }
        }
    }
}
