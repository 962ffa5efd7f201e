//! The answer to a reader of events: a stream of `text/event-stream`, or a page.

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

use crate::engine::{EventPage, Feed, FeedItem};
use crate::runtime::chain::Chain;

use super::accept::{CLOUD_EVENTS, EVENT_STREAM, Form};
use super::answer::{CONTENT_TYPE, documented};
use super::peer::Peer;
use super::shares::Share;
use super::view::{CloudEventPage, EventPageView};

/// How long a client waits before it reconnects a lost stream, in milliseconds.
const RETRY_MS: u32 = 1_000;

const TRIMMED: &str = "events after your cursor were trimmed from the log";
const TOO_SLOW: &str = "you read too slowly; resume from your last id";
const STOPPING: &str = "this process stops; resume from your last id";
const UNREADABLE: &str = "the log cannot be read now; resume from your last id";

/// The answer to a reader of events.
pub enum EventsResponse {
    /// All events from some cursor on, without end.
    Stream {
        /// The source of the events.
        feed: Box<Feed>,
        /// The form in which each event is written.
        form: Form,
        /// How long the stream may be silent before a heartbeat comment.
        heartbeat: Duration,
        /// The client, and its place in the budget of waits.
        reader: (Peer, Share),
    },
    /// A part of the log.
    Page {
        /// The events of the page, and the cursor after it.
        page: EventPage,
        /// The form in which each event is written.
        form: Form,
    },
}

impl IntoResponse for EventsResponse {
    fn into_response(self) -> Response {
        let response = Response::builder().header(header::CACHE_CONTROL, "no-cache");
        match self {
            // The second header keeps nginx from buffering events.
            Self::Stream { feed, form, heartbeat, reader: (peer, place) } => {
                response.content_type(EVENT_STREAM).header("x-accel-buffering", "no").body(
                    SseBody { feed, form, heartbeat, peer, is_alone: false, _place: place }
                        .into_body(),
                )
            }
            Self::Page { page, form } => {
                response.content_type(form.media_type()).body(write_page(&page, form))
            }
        }
    }
}

/// Writes the page as JSON; its items are the bytes that the log keeps.
fn write_page(page: &EventPage, form: Form) -> String {
    let items: Vec<_> = page.events.iter().map(|event| form.write(event)).collect();
    format!(
        r#"{{"items":[{}],"next_cursor":"{}","has_more":{},"has_gap":{}}}"#,
        items.join(","),
        page.next,
        page.has_more,
        page.has_gap
    )
}

/// Writes the events of a feed as the body of a stream, which owns the feed.
struct SseBody {
    feed: Box<Feed>,
    form: Form,
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
                let data = self.form.write(&event).replace('\n', "\ndata: ");
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

impl ApiResponse for EventsResponse {
    fn meta() -> MetaResponses {
        documented(
            Some(StatusCode::OK),
            "Events as they come, or a page of the log",
            [
                (EVENT_STREAM, String::schema_ref()),
                (CONTENT_TYPE, EventPageView::schema_ref()),
                (CLOUD_EVENTS, CloudEventPage::schema_ref()),
            ],
        )
    }

    fn register(registry: &mut Registry) {
        EventPageView::register(registry);
        CloudEventPage::register(registry);
    }
}
