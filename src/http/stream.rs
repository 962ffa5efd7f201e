//! The answer to a reader of events as they come: a stream of `text/event-stream`.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use poem::http::{StatusCode, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use tokio::time::timeout;

use crate::engine::{Feed, FeedItem};
use crate::runtime::chain::Chain;

use super::accept::{EVENT_STREAM, EventWriter};
use super::answer::documented;
use super::peer::Peer;
use super::shares::Share;

/// How long a client waits before it reconnects a lost stream, in milliseconds.
const RETRY_MS: u32 = 1_000;

const TRIMMED: &str = "events after your cursor were trimmed from the log";
const TOO_SLOW: &str = "you read too slowly; resume from your last id";
const ENDED: &str = "your credential has ended; authenticate again";
const STOPPING: &str = "this process stops; resume from your last id";
const UNREADABLE: &str = "the log cannot be read now; resume from your last id";

/// All events from some cursor on, without end.
pub struct EventStream {
    /// The source of the events.
    pub feed: Box<Feed>,
    /// How each event is written.
    pub writer: EventWriter,
    /// How long the stream may be silent before a heartbeat comment.
    pub heartbeat: Duration,
    /// The client, and its place in the budget of waits.
    pub reader: (Peer, Share),
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let Self { feed, writer, heartbeat, reader: (peer, place) } = self;
        let body = SseBody { feed, writer, heartbeat, peer, is_alone: false, _place: place };
        Response::builder()
            .content_type(EVENT_STREAM)
            .header(header::CACHE_CONTROL, "no-cache")
            // Keeps nginx from buffering events.
            .header("x-accel-buffering", "no")
            .body(body.into_body())
    }
}

/// Writes the events of a feed as the body of a stream, which owns the feed.
struct SseBody {
    feed: Box<Feed>,
    writer: EventWriter,
    heartbeat: Duration,
    peer: Peer,
    /// Whether the client has closed its sending side and was sent something since then.
    is_alone: bool,
    _place: Share,
}

impl SseBody {
    fn into_body(self) -> Body {
        // Sent at once, so that the client sees the stream open and can resume before the first
        // event.
        let opening = format!("retry: {RETRY_MS}\nid: {}\n\n", self.feed.cursor());
        let rest = stream::unfold(Some(self), async |sse| {
            let mut sse = sse?;
            let (text, goes_on) = sse.next().await;
            Some((text, goes_on.then_some(sse)))
        });
        let all = stream::once(async { opening }).chain(rest);
        Body::from_bytes_stream(all.map(|text| Ok::<_, io::Error>(Bytes::from(text))))
    }

    /// The next text of the stream, and whether more follows.
    async fn next(&mut self) -> (String, bool) {
        let item = tokio::select! {
            biased;
            () = self.peer.credential_ends() => {
                return (self.notice("credential-ended", ENDED), false);
            }
            item = timeout(self.heartbeat, self.feed.next()) => item.ok(),
            () = self.peer.ends_sending(), if !self.is_alone => {
                self.is_alone = true;
                None
            }
        };
        let Some(item) = item else {
            // The id advances past events that the filter hides from this client, so that it
            // resumes after them.
            return (format!(": heartbeat\nid: {}\n\n", self.feed.cursor()), true);
        };
        match item {
            Ok(FeedItem::Event(event, cursor)) => {
                // A payload may have line feeds between its tokens: a reader joins the lines again.
                let data = self.writer.write(&event).replace('\n', "\ndata: ");
                (format!("id: {cursor}\nevent: {}\ndata: {data}\n\n", event.event_type), true)
            }
            Ok(FeedItem::Gap(_)) => (self.notice("gap", TRIMMED), true),
            Ok(FeedItem::TooSlow) => (self.notice("cut-off", TOO_SLOW), false),
            Ok(FeedItem::Stopping) => (self.notice("stopping", STOPPING), false),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "event stream ended");
                (self.notice("error", UNREADABLE), false)
            }
        }
    }

    /// A notice about the stream itself. Its name is one word, which no type of event is.
    fn notice(&self, name: &str, reason: &str) -> String {
        format!("id: {}\nevent: {name}\ndata: {{\"reason\":\"{reason}\"}}\n\n", self.feed.cursor())
    }
}

impl ApiResponse for EventStream {
    fn meta() -> MetaResponses {
        documented(
            Some(StatusCode::OK),
            "Events as they come, without end",
            [(EVENT_STREAM, String::schema_ref())],
        )
    }

    fn register(_: &mut Registry) {}
}
