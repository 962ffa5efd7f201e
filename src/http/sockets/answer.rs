//! The body of an answer, which tells its connection once all of it was handed over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::connection::Connection;

/// The body of an answer, which tells its connection once all of it was handed over.
pub struct AnswerBody<B> {
    inner: B,
    connection: Arc<Connection>,
    /// For a stream: ends once its client is gone.
    gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<B> AnswerBody<B> {
    /// Wraps the body of an answer on `connection`.
    ///
    /// * `is_stream`: the body has no end of its own, and is cut once its client is gone.
    pub fn new(inner: B, connection: Arc<Connection>, is_stream: bool) -> Self {
        let watched = Arc::clone(&connection);
        let gone = is_stream.then_some(async move { watched.is_gone(false).await });
        Self { inner, connection, gone: gone.map(|gone| Box::pin(gone) as _) }
    }
}

impl<B: Body<Error = io::Error> + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(gone) = &mut self.gone
            && gone.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.connection.answer_ends();
    }
}
