//! What a connection is doing at the moment.

use tokio::time::Instant;

use crate::runtime::receipt::Receipt;

/// Where a connection is in its exchange of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte has arrived yet.
    New,
    /// A part of a request's head has arrived.
    Head,
    /// The head has arrived, and the body is arriving.
    Body,
    /// The whole request has arrived and is being answered.
    Work,
    /// The last request has been answered.
    Idle,
}

/// The wait for a client to read an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    pub(super) since: Instant,
    /// When the client last read something.
    pub(super) moved: Instant,
    /// How many bytes the client has read since the wait began.
    pub(super) read: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) since: Instant,
    /// `None` while no bytes wait for the client to read.
    pub(super) blocked: Option<Blocked>,
    pub(super) is_unsent: bool,
    /// Whether all of the answer was handed to the HTTP library.
    pub(super) is_handed_over: bool,
    /// How many counted bytes of answers are not passed to the system yet.
    pub(super) answer_bytes: usize,
    /// The receipt of the answer that is being sent.
    pub(super) receipt: Option<Receipt>,
    /// The status with which the HTTP library refused bytes that are no request.
    pub(super) refused: Option<u16>,
}

impl State {
    /// The state of a connection that was just accepted.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::New,
            since: Instant::now(),
            blocked: None,
            is_unsent: false,
            is_handed_over: false,
            answer_bytes: 0,
            receipt: None,
            refused: None,
        }
    }
}
