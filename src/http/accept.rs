//! Content negotiation for events: the form that a client's `Accept` requests.
//!
//! `application/cloudevents+json` among the media types makes every event a CloudEvent, and
//! `text/event-stream` makes the answer a stream; without the latter, any JSON makes it a page.
//! Weights are not compared, but `q=0` refuses a type.

use std::borrow::Cow;

use poem::http::header;
use poem::{FromRequest, Request, RequestBody};

use crate::domain::event::Event;

use super::answer::CONTENT_TYPE as JSON;
use super::error::Refusal;

/// The media type of a stream of events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The media type of a page of CloudEvents.
pub const CLOUD_EVENTS: &str = "application/cloudevents+json";

/// The form in which an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The JSON form that the rest of the API uses.
    Json,
    /// A CloudEvent 1.0 in structured mode.
    CloudEvent,
}

impl Form {
    /// The media type of a page of events in this form.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::CloudEvent => CLOUD_EVENTS,
        }
    }

    /// Writes `event` in this form; every channel shows the same bytes.
    pub fn write(self, event: &Event) -> Cow<'_, str> {
        match self {
            Self::Json => Cow::Borrowed(&event.json),
            Self::CloudEvent => Cow::Owned(event.to_cloud_event()),
        }
    }
}

/// The answer that the client accepts: a stream or a page, and the form of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A stream of events.
    Stream(Form),
    /// A page of events.
    Page(Form),
}

impl Accepted {
    /// Reads the values of `Accept`; `None` if they name no form on offer. No header accepts a
    /// stream.
    fn read<'h>(values: impl Iterator<Item = &'h str>) -> Option<Self> {
        let ranges: Vec<_> =
            values.flat_map(|value| value.split(',')).filter_map(media_range).collect();
        let takes = |wanted: &str| ranges.iter().any(|range| range == wanted);
        let form = if takes(CLOUD_EVENTS) { Form::CloudEvent } else { Form::Json };
        if takes(EVENT_STREAM) {
            return Some(Self::Stream(form));
        }
        if takes(JSON) || takes(CLOUD_EVENTS) {
            return Some(Self::Page(form));
        }
        if ranges.is_empty() || takes("*/*") || takes("text/*") {
            return Some(Self::Stream(form));
        }
        takes("application/*").then_some(Self::Page(form))
    }
}

/// The media range in `part` of an `Accept`, in lower case; `None` if the part is empty.
fn media_range(part: &str) -> Option<String> {
    let mut pieces = part.split(';').map(str::trim);
    let range = pieces.next().filter(|range| !range.is_empty())?.to_ascii_lowercase();
    let weight =
        pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
    let is_refused = weight.is_some_and(|weight| weight.parse() == Ok(0.0));
    // A refused range becomes an empty one, so that the client's `Accept` does not count as empty.
    Some(if is_refused { String::new() } else { range })
}

/// The document lists the media types of the answer instead of a parameter.
impl<'a> FromRequest<'a> for Accepted {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let values = request.headers().get_all(header::ACCEPT).iter();
        let accepted = Self::read(values.map(|value| value.to_str().unwrap_or("unreadable")));
        Ok(accepted.ok_or_else(|| Refusal::not_acceptable(&[EVENT_STREAM, JSON, CLOUD_EVENTS]))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_selects_the_form_of_events() {
        use Form::{CloudEvent, Json};
        for (accept, expected) in [
            ("", Some(Accepted::Stream(Json))),
            ("*/*", Some(Accepted::Stream(Json))),
            ("text/html, */*;q=0.8", Some(Accepted::Stream(Json))),
            ("Text/Event-Stream", Some(Accepted::Stream(Json))),
            ("text/event-stream, application/json", Some(Accepted::Stream(Json))),
            ("text/event-stream, application/cloudevents+json", Some(Accepted::Stream(CloudEvent))),
            ("application/json, text/plain, */*", Some(Accepted::Page(Json))),
            ("application/json; charset=utf-8", Some(Accepted::Page(Json))),
            ("application/*", Some(Accepted::Page(Json))),
            ("application/cloudevents+json", Some(Accepted::Page(CloudEvent))),
            ("text/event-stream;q=0, application/json", Some(Accepted::Page(Json))),
            ("text/html", None),
            ("*/*;q=0", None),
            ("application/xml, image/*", None),
        ] {
            assert_eq!(Accepted::read([accept].into_iter()), expected, "{accept:?}");
        }
    }
}
