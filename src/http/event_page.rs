//! The answer to a reader of the event log: a page, or a stream if the client prefers one.

use poem::http::{StatusCode, Uri, header};
use poem::{FromRequest, IntoResponse, Request, RequestBody, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaResponses, Registry};
use poem_openapi::types::Type;

use crate::engine::EventPage;

use super::accept::{EventWriter, Form};
use super::answer::{CONTENT_TYPE, documented};
use super::stream::EventStream;
use super::view::EventPageView;

/// Whether the log has more events after the page, in lower case.
pub const HAS_MORE: &str = "x-has-more";
/// Whether events after the requested cursor were trimmed, in lower case.
pub const HAS_GAP: &str = "x-has-gap";

/// The address of the request, from which that of the next page is made.
#[derive(Clone, Debug)]
pub struct Address(Uri);

impl<'a> FromRequest<'a> for Address {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(request.uri().clone()))
    }
}

impl Address {
    /// The same address with `cursor` as `after`.
    fn after(&self, cursor: &str) -> String {
        let pairs = self.0.query().unwrap_or_default().split('&');
        let mut pairs: Vec<_> = pairs
            .filter(|pair| !matches!(pair.split('=').next(), Some("" | "after")))
            .map(str::to_owned)
            .collect();
        pairs.push(format!("after={cursor}"));
        format!("{}?{}", self.0.path(), pairs.join("&"))
    }
}

/// The answer to a reader of the event log.
pub enum EventsAnswer {
    /// A part of the log.
    Page {
        /// The events of the page, and the cursor after it.
        page: EventPage,
        /// How each event is written.
        writer: EventWriter,
        /// Where the page was requested.
        address: Address,
    },
    /// A stream, for clients that accept one.
    Stream(EventStream),
}

impl IntoResponse for EventsAnswer {
    fn into_response(self) -> Response {
        let (page, writer, address) = match self {
            Self::Stream(stream) => return stream.into_response(),
            Self::Page { page, writer, address } => (page, writer, address),
        };
        let next = address.after(&page.next.to_string());
        Response::builder()
            .content_type(writer.form.media_type())
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::LINK, format!("<{next}>; rel=\"next\""))
            .header(HAS_MORE, page.has_more.to_string())
            .header(HAS_GAP, page.has_gap.to_string())
            .body(write(&page, &writer))
    }
}

/// Writes the page as JSON; its items are the bytes that the log keeps.
fn write(page: &EventPage, writer: &EventWriter) -> String {
    let items: Vec<_> = page.events.iter().map(|event| writer.write(event)).collect();
    let items = items.join(",");
    match writer.form {
        Form::CloudEvent => format!("[{items}]"),
        Form::Json => format!(
            r#"{{"items":[{items}],"next_cursor":"{}","has_more":{},"has_gap":{}}}"#,
            page.next, page.has_more, page.has_gap
        ),
    }
}

impl ApiResponse for EventsAnswer {
    fn meta() -> MetaResponses {
        // Of several media types, generated clients read only one, and not all the same.
        let forms = [(CONTENT_TYPE, EventPageView::schema_ref())];
        let mut responses = documented(Some(StatusCode::OK), "A page of the log", forms);
        for response in &mut responses.responses {
            response.headers = vec![
                described::<String>("Link", "The address of the next page, as `rel=\"next\"`."),
                described::<bool>("X-Has-More", "Whether the log has more events after this page."),
                described::<bool>(
                    "X-Has-Gap",
                    "Whether events after the requested cursor were trimmed from the log.",
                ),
            ];
        }
        responses
    }

    fn register(registry: &mut Registry) {
        EventPageView::register(registry);
    }
}

fn described<T: Type>(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema: T::schema_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_address_keeps_the_filter_and_replaces_the_cursor() {
        for (given, next) in [
            ("/events", "/events?after=c"),
            ("/events?after=start", "/events?after=c"),
            ("/events?types=a.%2a&after=b&limit=2&", "/events?types=a.%2a&limit=2&after=c"),
        ] {
            assert_eq!(Address(given.parse().unwrap()).after("c"), next);
        }
    }
}
