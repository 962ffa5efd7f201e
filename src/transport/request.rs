//! Translates a request over NATS into the call that it means over HTTP.

use std::fmt::Write as _;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::domain::json::Members;
use crate::domain::text::quoted;

/// The header of a request that carries its signature.
pub(super) const SIGNATURE: &str = "Orchestrator-Signature";

/// The headers that mean the same over NATS as over HTTP.
const HEADERS: [&str; 8] = [
    "Authorization",
    "X-API-Key",
    SIGNATURE,
    "Idempotency-Key",
    "traceparent",
    "tracestate",
    "X-Request-Id",
    "Content-Encoding",
];

/// How the dot of an agent's name is written in a subject, where a bare dot would separate two
/// tokens.
const DOT: [&str; 2] = ["%2E", "%2e"];

const UNKNOWN: &str = "No call has this subject.";
const TASK_ID_WANTED: &str = "The body must be a JSON object with one `task_id`, the task's UUID.";

/// One call on a task: the verb `get` is `/tasks/<task_id>` over HTTP, any other
/// `/tasks/<task_id>/<verb>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskVerb {
    /// The verb, which is the last token of the subject.
    pub name: String,
    /// The method of the call over HTTP.
    pub method: String,
}

/// A request over NATS as a call over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method of the call over HTTP.
    pub method: String,
    /// The path and the query, percent-encoded where needed.
    pub path: String,
    /// The headers of the request that mean the same over HTTP: every value, unchanged.
    pub headers: Vec<(&'static str, String)>,
    /// The body, without the `task_id` that became part of the path.
    pub body: Bytes,
}

/// Reads a request. The error says what is wrong with it.
///
/// * `tokens`: the subject without the deployment's prefix.
pub(super) fn read(
    tokens: &[&str],
    verbs: &[TaskVerb],
    headers: Option<&HeaderMap>,
    body: Bytes,
) -> Result<Call, String> {
    let post = |path: String, body| Call {
        method: "POST".to_owned(),
        path,
        headers: known_headers(headers),
        body,
    };
    match tokens {
        ["agents", agent, verb @ ("claim" | "results")] => {
            let agent = DOT.iter().fold((*agent).to_owned(), |name, dot| name.replace(dot, "."));
            Ok(post(format!("/agents/{}/{verb}", encoded(&agent)), body))
        }
        ["ingest", "tasks"] => Ok(post("/tasks".to_owned(), body)),
        ["ingest", "events"] => Ok(post("/events/publish".to_owned(), body)),
        ["tasks", name] => {
            let verb = verbs.iter().find(|verb| verb.name == *name).ok_or(UNKNOWN)?;
            let (path, body) = task_call(verb, &body)?;
            Ok(Call { method: verb.method.clone(), ..post(path, body) })
        }
        _ => Err(UNKNOWN.to_owned()),
    }
}

/// Every value of the known headers, whose names are compared without regard to case.
fn known_headers(headers: Option<&HeaderMap>) -> Vec<(&'static str, String)> {
    let mut known = Vec::new();
    for (sent, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name = HEADERS.into_iter().find(|name| name.eq_ignore_ascii_case(sent.as_ref()));
        if let Some(name) = name {
            known.extend(values.iter().map(|value| (name, value.to_string())));
        }
    }
    known
}

/// The path and body of a call on a task: the task of the request's body goes into the path, and
/// the other members of a read go into its query, each value as it arrived.
fn task_call(verb: &TaskVerb, body: &Bytes) -> Result<(String, Bytes), String> {
    let Members::<String, &RawValue>(members) =
        serde_json::from_slice(body).map_err(|_| TASK_ID_WANTED)?;
    let (ids, rest): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(name, _)| name == "task_id");
    let [(_, id)] = ids.as_slice() else { return Err(TASK_ID_WANTED.to_owned()) };
    let id: uuid::Uuid = serde_json::from_str(id.get()).map_err(|_| TASK_ID_WANTED)?;
    let path = match verb.name.as_str() {
        "get" => format!("/tasks/{id}"),
        name => format!("/tasks/{id}/{name}"),
    };
    if verb.method != "GET" {
        let members = rest.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
        let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        return Ok((path, body.into()));
    }
    let pairs = rest.iter().map(|(name, value)| Ok(format!("{}={}", encoded(name), word(value)?)));
    let query = pairs.collect::<Result<Vec<_>, String>>()?.join("&");
    Ok((if query.is_empty() { path } else { format!("{path}?{query}") }, Bytes::new()))
}

/// A text, number or boolean as a value of a query.
fn word(value: &RawValue) -> Result<String, String> {
    match serde_json::from_str(value.get()) {
        Ok(serde_json::Value::String(text)) => Ok(encoded(&text)),
        Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Ok(encoded(value.get())),
        _ => Err("Beside `task_id`, the members of a request that reads a task must be texts, \
                  numbers or booleans."
            .to_owned()),
    }
}

/// Percent-encodes a text for a segment of a path, or for a part of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a20558-059e-77b3-a1d4-242afd96db00";

    fn verbs() -> Vec<TaskVerb> {
        let verb = |(name, method): (&str, &str)| TaskVerb {
            name: name.to_owned(),
            method: method.to_owned(),
        };
        [("get", "GET"), ("complete", "POST"), ("status", "PATCH")].map(verb).to_vec()
    }

    fn called(subject: &str, body: &str) -> Result<Call, String> {
        let tokens: Vec<_> = subject.split('.').collect();
        read(&tokens, &verbs(), None, Bytes::from(body.to_owned()))
    }

    #[test]
    fn hostile_tokens_of_a_subject_stay_in_their_segment() {
        for (subject, path) in [
            ("agents.dev_agent.claim", "/agents/dev_agent/claim"),
            ("agents.team%2Edev%2eagent.claim", "/agents/team.dev.agent/claim"),
            ("agents.a/b?c.claim", "/agents/a%2Fb%3Fc/claim"),
            ("agents.a%2Fb.results", "/agents/a%252Fb/results"),
        ] {
            assert_eq!(called(subject, "{}").unwrap().path, path);
        }
        for subject in ["else", "tasks.nothing", "agents.a.b.claim"] {
            assert!(called(subject, &format!(r#"{{"task_id":"{ID}"}}"#)).is_err(), "{subject}");
        }
    }

    #[test]
    fn the_task_id_goes_into_the_path_and_the_rest_stays() {
        let body =
            format!(r#"{{"attempt":1, "task_id":"{ID}", "result" : {{ "b":1.0,"a":[ ] }}}}"#);
        let call = called("tasks.complete", &body).unwrap();
        assert_eq!((call.method.as_str(), call.path), ("POST", format!("/tasks/{ID}/complete")));
        assert_eq!(call.body, r#"{"attempt":1,"result":{ "b":1.0,"a":[ ] }}"#);

        let body = format!(r#"{{"status":"failed", "task_id":"{ID}"}}"#);
        let call = called("tasks.status", &body).unwrap();
        assert_eq!((call.method.as_str(), call.path), ("PATCH", format!("/tasks/{ID}/status")));
    }

    #[test]
    fn members_of_a_read_become_its_query() {
        let body = format!(r#"{{"task_id":"{ID}", "wait_ms":5, "a b":"c&d"}}"#);
        let call = called("tasks.get", &body).unwrap();
        assert_eq!(call.path, format!("/tasks/{ID}?wait_ms=5&a%20b=c%26d"));
        assert!(call.body.is_empty());
        assert!(called("tasks.get", &format!(r#"{{"task_id":"{ID}", "x":[]}}"#)).is_err());
    }

    #[test]
    fn a_request_must_name_exactly_one_task() {
        for body in ["", "[]", "{}", r#"{"task_id":7}"#, r#"{"task_id":"x"}"#] {
            assert!(called("tasks.complete", body).is_err(), "{body}");
        }
        let twice = format!(r#"{{"task_id":"{ID}","task_id":"{ID}"}}"#);
        assert!(called("tasks.complete", &twice).is_err());
    }

    #[test]
    fn every_value_of_a_header_is_passed_in_any_case() {
        let mut headers = HeaderMap::new();
        headers.append("x-api-key", "one");
        headers.append("x-api-key", "two");
        headers.insert("X-Other", "1");

        let call = read(&["ingest", "tasks"], &[], Some(&headers), Bytes::new()).unwrap();

        let expected = [("X-API-Key", "one".to_owned()), ("X-API-Key", "two".to_owned())];
        assert_eq!(call.headers, expected);
    }
}
