//! How each refusal of the engine is said over HTTP.

use crate::domain::lifecycle::State;
use crate::engine;
use crate::runtime::chain::Chain;

use super::super::text::{Text, Time};
use super::{Cause, Refusal};

impl From<engine::Error> for Refusal {
    #[allow(clippy::too_many_lines, reason = "one arm a variant")]
    // No wildcard arm: a new error must be given its status here before it compiles.
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        let said = error.to_string();
        let refuse =
            |cause, advice: &str| Self::new(cause, format!("{}. {advice}", capital(&said)));
        match error {
            Error::Invalid(faults) => Self::invalid(faults),
            Error::UnknownTask(_) => {
                refuse(Cause::UnknownTask, "Check the id; finished tasks are kept for a time only.")
            }
            Error::UnknownApproval(_) => {
                refuse(Cause::UnknownApproval, "Check the id; it goes with its task.")
            }
            Error::UnknownAgent { .. } => {
                refuse(Cause::UnknownAgent, "Use a known one, or add a routing rule for it.")
            }
            Error::TooManyAgents { .. } => refuse(
                Cause::TooManyAgents,
                "Use a known one, or try again once others have owned nothing for a while.",
            ),
            Error::TaskTooLarge { .. } => refuse(
                Cause::AnswerTooLarge,
                "It stays where it is. Claim it over HTTP, or have `agents.max_claim_bytes` or NATS's `max_payload` raised.",
            ),
            Error::FinalParent { state, .. } => {
                let mut refusal = refuse(
                    Cause::FinalParent,
                    "Retry the parent first, or leave `parent_task_id` out.",
                );
                refusal.problem.task_status = Some(Text(state));
                refusal
            }
            Error::Illegal { state, .. } => {
                let mut refusal =
                    refuse(Cause::IllegalTransition, "Get the task to see what became of it.");
                refusal.problem.task_status = Some(Text(state));
                refusal
            }
            Error::LeaseLost { held, .. } => {
                let mut refusal = refuse(
                    Cause::LeaseLost,
                    "Stop working on it; the work of this attempt is not taken.",
                );
                refusal.problem.current_attempt = Some(held);
                refusal
            }
            Error::TaskCancelled(_) => {
                let mut refusal = refuse(Cause::TaskCancelled, "Stop working on it.");
                refusal.problem.task_status = Some(Text(State::Cancelled));
                refusal
            }
            Error::NotHolder { .. } => {
                refuse(Cause::NotHolder, "Only its holder may report on it.")
            }
            Error::EndedByHuman { role, .. } => {
                let advice = format!("Have a caller of role {} or higher retry it.", role.as_str());
                refuse(Cause::EndedByHuman, &advice)
            }
            Error::AsksExhausted { .. } => refuse(
                Cause::AsksExhausted,
                "Go on without asking, or have an admin retry the task.",
            ),
            Error::AskedTooSoon { wait_ms, .. } => {
                let mut refusal = refuse(Cause::AskedTooSoon, "Try again then.");
                let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
                refusal.retry_after = Some(seconds);
                refusal
            }
            Error::ResultMismatch { .. } => refuse(
                Cause::ResultMismatch,
                "The first report stands. Get the task to see what became of it.",
            ),
            Error::AlreadyDecided { status, by, at, .. } => {
                let mut refusal = refuse(Cause::AlreadyDecided, "A decision stands.");
                refusal.problem.approval_status = Some(Text(status));
                refusal.problem.decided_by = Some(by);
                refusal.problem.decided_at = Some(Text(Time(at)));
                refusal
            }
            Error::NotAsked { .. } => refuse(Cause::NotAsked, "One of them must decide."),
            Error::AlreadyVoted(_) => refuse(Cause::AlreadyVoted, "Others must say yes too."),
            Error::ContentChanged { digest, .. } => {
                let mut refusal = refuse(
                    Cause::ContentChanged,
                    "Look at it again, and send the `digest` of what you saw.",
                );
                refusal.problem.digest = Some(digest);
                refusal
            }
            Error::Uncleared(_) => {
                refuse(Cause::Uncleared, "Cancel the task, and submit it again.")
            }
            Error::OwnSubmission(_) => refuse(Cause::OwnSubmission, "Somebody else must decide."),
            Error::OwnContent(_) => {
                refuse(Cause::OwnContent, "Its terms want four eyes: another person must approve.")
            }
            Error::ForeignSource { .. } => {
                refuse(Cause::ForeignSource, "Leave `source_agent` out, or send your own name.")
            }
            Error::ShareUsed { wait_ms } => {
                let mut refusal = refuse(
                    Cause::ShareUsed,
                    "Wait as long as `Retry-After` says, and publish less: events.publish_bytes_per_minute.",
                );
                refusal.retry_after =
                    Some(u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(1).max(1));
                refusal
            }
            Error::IdempotencyMismatch { .. } => {
                refuse(Cause::IdempotencyMismatch, "Send the same body again, or use a new key.")
            }
            Error::Full => refuse(Cause::StoreFull, "Nothing was stored. Try again later."),
            Error::NotReplicated { .. } => refuse(
                Cause::NotReplicated,
                "It is done, but a failover could lose it. Repeat the request, a submission with its `Idempotency-Key`.",
            ),
            Error::Unavailable(_) | Error::Foreign(_) => {
                // The store says once in the log since when it is away.
                tracing::debug!(error = %Chain(&error), "store unavailable");
                refuse(
                    Cause::StoreUnavailable,
                    "Whether a write happened is unknown. Repeat the request, a submission with its `Idempotency-Key`.",
                )
            }
            Error::Corrupt(_) => {
                tracing::error!(error = %Chain(&error), "store content unreadable");
                Self::internal()
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
