//! Turns errors of the framework and its extractors into refusals.

use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::StatusCode;
use poem_openapi::error::{ParseParamError, ParsePathError};

use crate::runtime::chain::Chain;

use super::error::Refusal;
use super::openapi::Template;

/// Returns the refusal for an error of a request to `path`.
pub fn refusal(error: poem::Error, path: &str) -> Refusal {
    let error = match error.downcast::<Refusal>() {
        Ok(refusal) => return refusal,
        Err(error) => error,
    };
    if let Some(fault) = error.downcast_ref::<ParseParamError>() {
        return Refusal::parameter(fault.name, plain_reason(&fault.reason));
    }
    if let Some(fault) = error.downcast_ref::<ParsePathError>() {
        let name = Template::of(path).and_then(Template::parameter).unwrap_or("parameter");
        let reason = plain_reason(&fault.reason);
        return Refusal::unreadable(format!("`{name}` in the path {reason}."));
    }
    if error.is::<NotFoundError>() {
        return Refusal::unknown_route();
    }
    if error.is::<MethodNotAllowedError>() {
        let allow = Template::of(path).map(Template::allow).unwrap_or_default();
        return Refusal::method_not_allowed(allow);
    }
    match error.status() {
        status if status.is_server_error() => {
            tracing::error!(error = %Chain(&error), "request failed");
            Refusal::internal()
        }
        StatusCode::BAD_REQUEST => Refusal::unreadable(error.to_string()),
        StatusCode::FORBIDDEN => Refusal::origin_refused(),
        status => Refusal::other(status, error.to_string()),
    }
}

/// The reason that a [`super::text::Word`] gave, without the text that the framework adds to it.
fn plain_reason(reason: &str) -> &str {
    let inner = reason.split(" (occurred while parsing").next().unwrap_or(reason);
    match inner.strip_prefix("failed to parse \"").and_then(|rest| rest.split_once("\": ")) {
        Some((_, own)) => own,
        None if reason.ends_with("expects an input value.") => "is required",
        None => inner,
    }
}
