//! What was promised in time.

use super::task::Millis;

/// A task's promise in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sla {
    /// The promise in the client's words, such as `4h`: at most 64 characters.
    pub target: Option<String>,
    /// When the task must be finished.
    pub deadline: Option<Millis>,
    /// How long after its start the task must be finished; a submission gives this or the deadline.
    pub within_ms: Option<Millis>,
    /// When the first attempt must have begun.
    pub start_deadline: Option<Millis>,
    /// How long after it may start the first attempt must have begun; a submission gives this or the deadline.
    pub start_within_ms: Option<Millis>,
    /// After how much of the time to warn, in percent, 1 to 100.
    pub alert_threshold: u8,
}

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlaState {
    /// There is time.
    OnTrack,
    /// The alert threshold has passed.
    Warned,
    /// The deadline has passed.
    Violated,
    /// The task was finished in time.
    Met,
}

impl SlaState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnTrack => "on_track",
            Self::Warned => "warned",
            Self::Violated => "violated",
            Self::Met => "met",
        }
    }
}

impl Sla {
    /// How the promise stands at `now` for a task that was accepted at `created` and, if it is over,
    /// ended at `finished`.
    pub fn state(&self, created: Millis, finished: Option<Millis>, now: Millis) -> SlaState {
        let Some(deadline) = self.deadline else {
            return if finished.is_some() { SlaState::Met } else { SlaState::OnTrack };
        };
        let warn_at = created + deadline.saturating_sub(created) * u64::from(self.alert_threshold) / 100;
        match finished {
            Some(at) if at <= deadline => SlaState::Met,
            Some(_) => SlaState::Violated,
            None if now > deadline => SlaState::Violated,
            None if now >= warn_at => SlaState::Warned,
            None => SlaState::OnTrack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_warned_then_violated_and_met_only_in_time() {
        let sla = Sla {
            target: None,
            deadline: Some(2_000),
            within_ms: None,
            start_deadline: None,
            start_within_ms: None,
            alert_threshold: 80,
        };

        assert_eq!(sla.state(1_000, None, 1_799), SlaState::OnTrack);
        assert_eq!(sla.state(1_000, None, 1_800), SlaState::Warned);
        assert_eq!(sla.state(1_000, None, 2_001), SlaState::Violated);
        assert_eq!(sla.state(1_000, Some(2_000), 9_000), SlaState::Met);
        assert_eq!(sla.state(1_000, Some(2_001), 9_000), SlaState::Violated);
    }
}
