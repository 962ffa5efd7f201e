//! Content negotiation for events: the form that a client's `Accept` requests (RFC 9110, 12.5.1).
//!
//! The most specific range that matches a media type gives its weight. The type of the highest
//! weight wins; between equal weights, the one whose range stands first.

use std::borrow::Cow;

use poem::http::header;
use poem::{FromRequest, Request, RequestBody};

use crate::domain::event::Event;

use super::answer::CONTENT_TYPE as JSON;
use super::error::Refusal;

/// The media type of a stream of events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The media type of one CloudEvent, as a stream has them.
pub const CLOUD_EVENT: &str = "application/cloudevents+json";
/// The media type of a page of CloudEvents.
pub const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";

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
}

/// How events are written for one reader.
#[derive(Clone, Debug)]
pub struct EventWriter {
    /// The form of each event.
    pub form: Form,
    /// What the `source` of a CloudEvent begins with; see [`Event::cloud_source`].
    pub fleet: String,
}

impl EventWriter {
    /// Writes `event`; every channel shows the same bytes.
    pub fn write<'e>(&self, event: &'e Event) -> Cow<'e, str> {
        match self.form {
            Form::Json => Cow::Borrowed(&event.json),
            Form::CloudEvent => Cow::Owned(event.to_cloud_event(&self.fleet)),
        }
    }
}

/// What the client accepts of a call that has pages of events, and streams too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A page of events.
    Page(Form),
    /// A stream of events.
    Stream(Form),
}

/// The form of the events of a call that has streams only.
#[derive(Clone, Copy, Debug)]
pub struct StreamForm(pub Form);

/// The media ranges of an `Accept`; empty if the client sent none, which accepts everything.
struct Accept(Vec<Range>);

/// One media range, in lower case, with its weight from 0 to 1.
struct Range {
    name: String,
    weight: f32,
}

impl Range {
    /// Reads a part of an `Accept`; `None` if it is empty. A weight that is no number from 0 to 1
    /// counts as 0, because what it means is not known.
    fn read(part: &str) -> Option<Self> {
        let mut pieces = part.split(';').map(str::trim);
        let name = pieces.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
        let weight = pieces.find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        let weight = weight.unwrap_or(1.0);
        Some(Self { name, weight: if (0.0..=1.0).contains(&weight) { weight } else { 0.0 } })
    }

    /// How exactly the range names `media`, from 1 to 3; `None` if it does not match.
    fn exactness(&self, media: &str) -> Option<u8> {
        if self.name == media {
            return Some(3);
        }
        let group = media.split('/').next()?;
        if self.name.strip_suffix("/*") == Some(group) {
            return Some(2);
        }
        (self.name == "*/*").then_some(1)
    }
}

impl Accept {
    fn read<'h>(values: impl Iterator<Item = &'h str>) -> Self {
        Self(values.flat_map(|value| value.split(',')).filter_map(Range::read).collect())
    }

    fn of(request: &Request) -> Self {
        let values = request.headers().get_all(header::ACCEPT).iter();
        Self::read(values.map(|value| value.to_str().unwrap_or("unreadable")))
    }

    /// The weight of `media`, and the place of the range that gives it; `None` if it is refused or
    /// not named at least as exactly as `least`.
    fn weight(&self, media: &str, least: u8) -> Option<(f32, usize)> {
        let ranges = self.0.iter().enumerate();
        let fitting = ranges.filter_map(|(nth, range)| Some((range.exactness(media)?, nth, range)));
        // Of equally exact ranges, the first counts.
        let (exactness, nth, range) =
            fitting.max_by_key(|(exactness, nth, _)| (*exactness, usize::MAX - nth))?;
        (range.weight > 0.0 && exactness >= least).then_some((range.weight, nth))
    }

    /// The most welcome of `offers`, and the first of them if the client has no preference.
    fn best<T: Copy>(&self, offers: &[(&str, T)], least: u8) -> Option<T> {
        let mut best: Option<(f32, usize, T)> = None;
        for (media, offer) in offers {
            let Some((weight, nth)) = self.weight(media, least) else { continue };
            let is_better = best.is_none_or(|(most, first, _)| {
                weight > most || (weight.total_cmp(&most).is_eq() && nth < first)
            });
            if is_better {
                best = Some((weight, nth, *offer));
            }
        }
        best.map(|(.., offer)| offer)
    }

    /// The form of a stream's events: JSON, unless the client names CloudEvents and prefers them.
    fn form(&self) -> Form {
        let forms = [(JSON, Form::Json), (CLOUD_EVENT, Form::CloudEvent)];
        self.best(&forms, 3).unwrap_or(Form::Json)
    }

    /// What the client gets where there are pages and streams; `None` if it accepts neither.
    fn accepted(&self) -> Option<Accepted> {
        let page = Accepted::Page(Form::Json);
        if self.0.is_empty() {
            return Some(page);
        }
        let stream = Accepted::Stream(self.form());
        let batch = Accepted::Page(Form::CloudEvent);
        self.best(&[(JSON, page), (CLOUD_EVENTS, batch), (EVENT_STREAM, stream)], 1)
    }

    /// The form of a stream's events; `None` if the client accepts no stream.
    fn stream_form(&self) -> Option<Form> {
        let takes_stream = self.weight(EVENT_STREAM, 1).is_some();
        let takes_events = self.weight(CLOUD_EVENT, 3).is_some();
        (self.0.is_empty() || takes_stream || takes_events).then(|| self.form())
    }
}

/// The document lists the media types of the answer instead of a parameter.
impl<'a> FromRequest<'a> for Accepted {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let accepted = Accept::of(request).accepted();
        Ok(accepted.ok_or_else(|| Refusal::not_acceptable(&[JSON, CLOUD_EVENTS, EVENT_STREAM]))?)
    }
}

impl<'a> FromRequest<'a> for StreamForm {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let form = Accept::of(request).stream_form().map(Self);
        Ok(form.ok_or_else(|| Refusal::not_acceptable(&[EVENT_STREAM, CLOUD_EVENT]))?)
    }
}

#[cfg(test)]
mod tests {
    use super::Accepted::{Page, Stream};
    use super::Form::{CloudEvent, Json};
    use super::*;

    fn read(accept: &str) -> Accept {
        Accept::read([accept].into_iter())
    }

    #[test]
    fn accept_selects_a_page_or_a_stream_by_weight_then_order() {
        for (accept, expected) in [
            ("", Some(Page(Json))),
            ("*/*", Some(Page(Json))),
            ("text/html, */*;q=0.8", Some(Page(Json))),
            ("application/json, text/plain, */*", Some(Page(Json))),
            ("application/json; charset=utf-8", Some(Page(Json))),
            ("application/*", Some(Page(Json))),
            ("text/*", Some(Stream(Json))),
            ("Text/Event-Stream", Some(Stream(Json))),
            ("text/event-stream, application/json", Some(Stream(Json))),
            ("application/json, text/event-stream", Some(Page(Json))),
            ("application/json;q=0.9, text/event-stream", Some(Stream(Json))),
            ("text/event-stream;q=0.1, application/json;q=0.2", Some(Page(Json))),
            ("text/event-stream;q=0, application/json", Some(Page(Json))),
            ("application/json;q=0, */*", Some(Page(CloudEvent))),
            ("application/json;q=0, application/cloudevents-batch+json;q=0, */*", {
                Some(Stream(Json))
            }),
            ("application/cloudevents-batch+json", Some(Page(CloudEvent))),
            ("text/event-stream, application/cloudevents+json", Some(Stream(CloudEvent))),
            ("application/cloudevents+json;q=0.5, text/event-stream", Some(Stream(CloudEvent))),
            ("application/cloudevents+json", None),
            ("text/html", None),
            ("*/*;q=0", None),
            ("*/*;q=x", None),
            ("*/*;q=2", None),
            ("application/xml, image/*", None),
        ] {
            assert_eq!(read(accept).accepted(), expected, "{accept:?}");
        }
    }

    #[test]
    fn accept_selects_the_form_of_the_events_of_a_stream() {
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("text/event-stream", Some(Json)),
            ("text/event-stream, application/problem+json", Some(Json)),
            ("application/cloudevents+json", Some(CloudEvent)),
            ("text/event-stream, application/cloudevents+json", Some(CloudEvent)),
            ("application/json, application/cloudevents+json;q=0.9, */*", Some(Json)),
            ("text/event-stream, application/cloudevents+json;q=0", Some(Json)),
            ("application/json", None),
            ("text/event-stream;q=0, */*", None),
        ] {
            assert_eq!(read(accept).stream_form(), expected, "{accept:?}");
        }
    }
}
