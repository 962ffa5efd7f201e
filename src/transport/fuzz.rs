//! The requests over NATS, for fuzzers: see [`crate::fuzz`].

use bytes::Bytes;

use super::request::{TaskVerb, read};

/// A request: the subject without the prefix on the first line, then the body. What it becomes is
/// one path of one call.
pub fn requests(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let subject = String::from_utf8_lossy(&bytes[..end]);
    let tokens: Vec<&str> = subject.split('.').collect();
    let body = Bytes::copy_from_slice(bytes.get(end + 1..).unwrap_or_default());
    let verb = |(name, method): (&str, &str)| TaskVerb {
        name: name.to_owned(),
        method: method.to_owned(),
    };
    let verbs = [("get", "GET"), ("complete", "POST"), ("status", "PATCH")].map(verb);
    let Ok(call) = read(&tokens, &verbs, None, body) else { return };
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{subject:?}: {path}");
    assert!((2..=4).contains(&path.split('/').count()), "{subject:?}: {path}");
    let parts = query.split('&').filter(|part| !part.is_empty());
    for part in parts {
        assert_eq!(part.matches('=').count(), 1, "{subject:?}: {query}");
        assert!(part.bytes().all(|byte| byte.is_ascii_graphic()), "{subject:?}: {query}");
    }
}
