//! Entry points for fuzzers: every parser of what clients send, as a function of bytes. No other
//! module calls them.
//!
//! A target panics if what its parser promises does not hold. `tests/it/fuzzing.rs` runs all of
//! them on any toolchain, from the inputs that `fuzz/corpus` keeps; the crate in `fuzz/` runs them
//! under libFuzzer, which finds inputs by coverage.

use serde_json::value::RawValue;

use crate::domain::audit::AuditPlace;
use crate::domain::content::{canonical, value_digest};
use crate::domain::event::TypePattern;
use crate::domain::folded::folded;
use crate::domain::json::{
    has_number_over, is_deeper_than, lossy_string, members, with_line_feeds,
};
use crate::domain::name::{Name, Worker};
use crate::domain::time;
use crate::runtime::visible::visible_except;
use crate::{engine, http, transport};

/// Nesting that recursive readers can follow; deeper values are refused before they are read.
const DEPTH: usize = 64;

/// One parser, or a few that read the same text.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target, and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Parses the bytes. Panics if a promise of the parser does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "bodies", run: http::fuzz::bodies },
    Target { name: "requests", run: http::fuzz::requests },
    Target { name: "words", run: http::fuzz::words },
    Target { name: "cursors", run: engine::fuzz::cursors },
    Target { name: "nats", run: transport::fuzz::requests },
    Target { name: "json", run: json },
    Target { name: "texts", run: texts },
];

/// Runs the target of this name.
///
/// # Panics
///
/// No target has the name, or a promise of its parser does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let Some(target) = target else { unknown(name) };
    (target.run)(bytes);
}

#[allow(clippy::panic, reason = "fuzzers report panics")]
fn unknown(name: &str) -> ! {
    panic!("no target is called {name}")
}

/// JSON of clients: its canonical form is stable, and means the same.
fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_deep = is_deeper_than(text, DEPTH);
    has_number_over(text, 400);
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    if is_deep {
        return;
    }
    let written = canonical(raw);
    let again: Result<Box<RawValue>, _> = serde_json::from_str(&written);
    assert!(again.as_ref().is_ok_and(|again| canonical(again) == written), "{written}");
    assert_eq!(value_digest(raw.get()), value_digest(&written));
    assert!(serde_json::from_str::<&RawValue>(&with_line_feeds(raw)).is_ok());
    lossy_string(raw);
    if raw.get().starts_with('{') {
        members(raw);
    }
}

/// Names, times and other short texts: what is read is written back, and shows no control
/// character.
fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let at = time::read(&text);
    assert!(at.is_none_or(|at| time::read(&time::written(at)) == Some(at)), "{text:?}");
    let name = text.parse::<Name>();
    assert!(name.is_ok_and(|name| name.as_str() == text) || text.parse::<Name>().is_err());
    let worker = text.parse::<Worker>();
    assert!(worker.is_ok_and(|worker| worker.as_str() == text) || text.parse::<Worker>().is_err());
    let place = text.parse::<AuditPlace>();
    assert!(place.is_ok_and(|place| place.to_string() == text) || !is_place(&text), "{text:?}");
    let _ = text.parse::<TypePattern>();
    let once = folded(&text);
    assert_eq!(folded(&once), once, "{text:?}");
    let shown = visible_except(&text, &[]);
    assert!(!shown.contains(char::is_control) && !shown.contains('\u{202e}'), "{text:?}");
}

fn is_place(text: &str) -> bool {
    text.parse::<AuditPlace>().is_ok()
}
