//! The parsers of HTTP requests, for fuzzers: see [`crate::fuzz`].

use std::str::FromStr;
use std::sync::LazyLock;

use poem::Request;
use poem::http::{HeaderName, HeaderValue, Method, Uri};
use poem_openapi::types::Type;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::name::Name;
use crate::domain::time;
use crate::runtime::secret::Secret;

use super::auth::Guard;
use super::error::Refusal;
use super::field::{Faults, Fields};
use super::json_body::parse;
use super::request::{self as body, Limits, Trace, TraceState};
use super::settings::{Auth, UnknownMembers};
use super::text::{EventType, IdempotencyKey, PageLimit, ShortText, Time, TraceId, WaitMs, Word};
use super::understood;

/// The limits that bodies are checked against.
static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    types: ["faq", "bugfix", "deploy"].iter().filter_map(|kind| kind.parse().ok()).collect(),
    max_json_bytes: 1_000,
    max_event_bytes: 1_000,
    max_retries: 3,
    warn_at_percent: 80,
});

/// Reads one kind of body, and all that its members mean.
fn read<T: Fields + Type, R>(
    json: &[u8],
    take: impl FnOnce(T, &mut Faults) -> Option<R>,
) -> Option<R> {
    let read = parse::<T>(json, UnknownMembers::Refuse).and_then(|(value, unknown)| {
        let mut faults = unknown.into_faults();
        let taken = take(value, &mut faults);
        Ok(faults.finish(taken)?)
    });
    read.map_err(check_refusal).ok()
}

/// A refusal of a body says what the client did wrong, and where.
fn check_refusal(refusal: Refusal) {
    let problem = refusal.into_problem("");
    assert!((400..500).contains(&problem.status), "{problem:?}");
    assert!(!problem.detail.is_empty(), "{problem:?}");
    for error in &problem.errors {
        assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{problem:?}");
    }
}

/// Bodies: the first byte chooses the call, the others are what a client sends.
pub fn bodies(bytes: &[u8]) {
    let Some((call, json)) = bytes.split_first() else { return };
    let id = TaskId::new(Partition(0));
    let Ok(agent) = Name::from_str("faq_agent") else { return };
    match call % 12 {
        0 => {
            let task = read(json, |body: body::Submission, faults| {
                body.into_task(faults, &LIMITS, Trace::default(), |_| None)
            });
            let sent = String::from_utf8_lossy(json);
            // What is approved and delivered is what was sent, byte for byte.
            assert!(task.is_none_or(|task| sent.contains(task.spec.payload.get())), "{sent}");
        }
        1 => drop(read(json, |body: body::ClaimRequest, faults| body.into_claim(faults, agent))),
        2 => drop(read(json, |body: body::Outcomes, faults| {
            Some(body.into_parts(faults, agent, &LIMITS))
        })),
        3 => {
            drop(read(json, |body: body::Completion, faults| body.into_report(faults, id, &LIMITS)))
        }
        4 => drop(read(json, |body: body::Failure, faults| body.into_report(faults, id, &LIMITS))),
        5 => drop(read(json, |body: body::Heartbeat, faults| body.into_parts(faults))),
        6 => {
            drop(read(json, |body: body::PublishRequest, faults| body.into_event(faults, &LIMITS)))
        }
        7 => drop(read(json, |body: body::StatusRequest, faults| {
            body.into_change(faults, None, None, &LIMITS)
        })),
        8 => drop(read(json, |body: body::Approve, faults| {
            Some(body.into_decision(faults, &LIMITS))
        })),
        9 => drop(read(json, |body: body::Ask, faults| body.into_question(faults, &LIMITS))),
        10 => drop(read(json, |body: body::Retarget, faults| body.into_target(faults))),
        _ => lists(json),
    }
}

/// Bodies that are lists, each item of which is read by itself.
fn lists(json: &[u8]) {
    if let Ok((batch, unknown)) = parse::<body::Batch>(json, UnknownMembers::Refuse) {
        let items = batch.into_tasks(unknown, &LIMITS, &Trace::default());
        items
            .map_err(check_refusal)
            .into_iter()
            .flatten()
            .filter_map(Result::err)
            .for_each(check_refusal);
    }
    if let Ok((decisions, unknown)) = parse::<body::Decisions>(json, UnknownMembers::Refuse) {
        let items = decisions.into_decisions(unknown, &LIMITS);
        items.map_err(check_refusal).into_iter().flatten().for_each(drop);
    }
}

/// The values of parameters and headers.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(Time(at)) = Time::read(&text) {
        assert_eq!(time::read(&time::written(at)), Some(at), "{text:?}");
    }
    if let Ok(IdempotencyKey(key)) = IdempotencyKey::read(&text) {
        assert!(key.len() <= 255 && key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    }
    if let Ok(EventType(kind)) = EventType::read(&text) {
        assert!(kind.bytes().all(|byte| byte.is_ascii_graphic()), "{kind:?}");
    }
    let _ = (PageLimit::read(&text), WaitMs::read(&text), ShortText::read(&text));
    let _ = TraceId::read(&text);
    let text = text.into_owned();
    let _ = Trace::of(Some(text.clone()), TraceState(Some(text)));
}

/// A guard with a key and a secret that no fuzzer knows.
static GUARD: LazyLock<Option<Guard>> = LazyLock::new(|| {
    let secret = || crate::domain::text::hex(uuid::Uuid::now_v7().as_bytes());
    let api_keys = [("ops".to_owned(), Secret::new(format!("{}:admin", secret())))].into();
    let auth = Auth { jwt_secret: Some(Secret::new(secret())), api_keys, ..Auth::default() };
    Guard::new(&auth, None).ok()
});

/// Heads of requests: `METHOD TARGET`, then a header a line. No credential of a stranger passes.
pub fn requests(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let (Ok(method), Ok(target)) = (method.parse::<Method>(), target.parse::<Uri>()) else {
        return;
    };
    let mut request = Request::builder().method(method).uri(target).finish();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            request.headers_mut().append(name, value);
        }
    }
    if let Some(guard) = &*GUARD {
        assert!(guard.authenticate(&request).is_err(), "{text:?} passes as a credential");
    }
    let _ = understood::check(&request, UnknownMembers::Refuse).map_err(check_refusal);
}
