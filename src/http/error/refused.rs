//! Maps each error of the engine to its refusal: the cause, and the advice to the client. And
//! refusals of managed keys.

use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::time::Millis;
use crate::engine;
use crate::runtime::chain::Chain;

use super::super::text::Time;
use super::{Cause, Refusal};

impl From<engine::Error> for Refusal {
    #[allow(clippy::too_many_lines, reason = "one arm a variant")]
    // No wildcard arm: a new error must be given its status here before it compiles.
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        let happened = capital(&error.to_string());
        let refuse = |cause, advice: &str| Self::new(cause, format!("{happened}. {advice}"));
        match error {
            Error::Invalid(faults) => Self::invalid(faults),
            Error::UnknownTask(_) => {
                refuse(Cause::UnknownTask, "Check the id; final tasks are kept for a limited time.")
            }
            Error::UnknownApproval(_) => refuse(
                Cause::UnknownApproval,
                "Check the id; an approval is removed with its task.",
            ),
            Error::UnknownBulk(_) => {
                refuse(Cause::UnknownBulk, "Check the id; a bulk is kept as long as final tasks.")
            }
            Error::TooManyBulks { .. } => refuse(
                Cause::TooManyBulks,
                "Wait until one has ended, or abort one; the limit is `tasks.max_bulks`.",
            ),
            Error::UnknownAgent { .. } => refuse(
                Cause::UnknownAgent,
                "Use a known agent, or add a routing rule for this one.",
            ),
            Error::TooManyAgents { .. } => refuse(
                Cause::TooManyAgents,
                "Use a known agent, or try again once others have had no tasks for a while.",
            ),
            Error::TaskTooLarge { .. } => refuse(
                Cause::AnswerTooLarge,
                "The task stays where it is. Claim it over HTTP, or raise \
                 `agents.max_claim_bytes` or the `max_payload` of NATS.",
            ),
            Error::FinalParent { state, .. } => {
                let advice = "Retry the parent first, or leave `parent_task_id` out.";
                refuse(Cause::FinalParent, advice).with(|problem| problem.task_status = Some(state))
            }
            Error::Illegal { state, .. } => {
                let advice = "Get the task to see its status.";
                refuse(Cause::IllegalTransition, advice)
                    .with(|problem| problem.task_status = Some(state))
            }
            Error::LeaseLost { held, .. } => {
                let advice = "Stop working on it: the result of this attempt was not recorded.";
                refuse(Cause::LeaseLost, advice)
                    .with(|problem| problem.current_attempt = Some(held))
            }
            Error::TaskCancelled(_) => refuse(Cause::TaskCancelled, "Stop working on it.")
                .with(|problem| problem.task_status = Some(State::Cancelled)),
            Error::NotHolder { .. } => {
                refuse(Cause::NotHolder, "Only the agent that holds the task may report on it.")
            }
            Error::EndedByHuman { role, .. } => {
                let advice = format!("A retry requires role {} or higher.", role.as_str());
                refuse(Cause::EndedByHuman, &advice)
            }
            Error::AsksExhausted { .. } => refuse(
                Cause::AsksExhausted,
                "Continue without asking, or let an admin retry the task.",
            ),
            Error::AskedTooSoon { wait_ms, .. } => {
                let advice = "Wait as long as `Retry-After` says, then try again.";
                let retry_after = Some(seconds(wait_ms));
                Self { retry_after, ..refuse(Cause::AskedTooSoon, advice) }
            }
            Error::ResultMismatch { .. } => refuse(
                Cause::ResultMismatch,
                "The first report counts. Get the task to see its status.",
            ),
            Error::AlreadyDecided { status, by, at, .. } => {
                refuse(Cause::AlreadyDecided, "A decision cannot be changed.").with(|problem| {
                    problem.approval_status = Some(status);
                    problem.decided_by = Some(by);
                    problem.decided_at = Some(Time(at));
                })
            }
            Error::NotAsked { .. } => refuse(Cause::NotAsked, "One of them must decide instead."),
            Error::AlreadyVoted(_) => {
                refuse(Cause::AlreadyVoted, "The quorum needs approvals of others.")
            }
            Error::ContentChanged { digest, .. } => {
                let advice = "Read the approval again, and send the `digest` that it shows now.";
                refuse(Cause::ContentChanged, advice).with(|problem| problem.digest = Some(digest))
            }
            Error::Uncleared(_) => {
                refuse(Cause::Uncleared, "Cancel the task, and submit it again.")
            }
            Error::Undecryptable(_) => refuse(
                Cause::Undecryptable,
                "An operator must configure its key again; a list without payloads shows the task. \
                 What this call changed before it read the text stays changed.",
            ),
            Error::OwnSubmission(_) => {
                refuse(Cause::OwnSubmission, "Another approver must decide.")
            }
            Error::OwnContent(_) => {
                refuse(Cause::OwnContent, "Its terms require that another person approves.")
            }
            Error::ForeignSource { .. } => {
                refuse(Cause::ForeignSource, "Leave `source_agent` out, or send your own name.")
            }
            Error::ForeignAgent { .. } => {
                refuse(Cause::ForeignAgent, "Use a key that allows this agent.")
            }
            Error::MissingScope { role, scope } => Self::missing_scope(role, scope),
            Error::RestrictedKey => {
                refuse(Cause::RestrictedKey, "Use the credential of an admin without restrictions.")
            }
            Error::UnknownKey(_) => refuse(
                Cause::UnknownKey,
                "Check the id; a key is forgotten once its audit entries are.",
            ),
            Error::KeyNameTaken(_) => refuse(
                Cause::KeyNameTaken,
                "Rotate that key, or choose another name: a name stays with its key, also after \
                 its end.",
            ),
            Error::KeyEnded { .. } => refuse(Cause::KeyEnded, "Create another key."),
            Error::TooManyKeys { .. } => refuse(
                Cause::TooManyKeys,
                "Share keys among workers; one that ended is forgotten once its audit entries are.",
            ),
            // Only a command on the machine creates a first key.
            Error::HasAdminKey(_) => refuse(Cause::KeyNameTaken, "Create keys with that one."),
            Error::ShareUsed { wait_ms } => {
                let advice = "Wait as long as `Retry-After` says and publish less; the limit is \
                              `events.publish_bytes_per_minute`.";
                let retry_after = Some(seconds(wait_ms).max(1));
                Self { retry_after, ..refuse(Cause::ShareUsed, advice) }
            }
            Error::TooManyOpenTasks { .. } => {
                let advice = "Try again once some of them have ended, or cancel some; the limit is \
                              `limits.open_tasks`.";
                refuse(Cause::TooManyOpenTasks, advice)
            }
            Error::BytesUsed { wait_ms } => {
                let advice = "Wait as long as `Retry-After` says, or submit less; the limit is \
                              `limits.submitted_bytes_per_hour`.";
                let retry_after = Some(seconds(wait_ms).max(1));
                Self { retry_after, ..refuse(Cause::BytesUsed, advice) }
            }
            Error::IdempotencyMismatch { .. } => {
                refuse(Cause::IdempotencyMismatch, "Send the same body again, or use a new key.")
            }
            Error::Full => refuse(Cause::StoreFull, "Nothing was stored. Try again later."),
            Error::NotReplicated { .. } => refuse(
                Cause::NotReplicated,
                "It is done, but a failover could lose it. Repeat the request; repeat a submission \
                 with its `Idempotency-Key`.",
            ),
            Error::Unavailable(_) | Error::Foreign(_) => {
                // The store logs once since when it is unavailable.
                tracing::debug!(error = %Chain(&error), "store unavailable");
                refuse(
                    Cause::StoreUnavailable,
                    "Whether the write happened is unknown. Repeat the request; repeat a \
                     submission with its `Idempotency-Key`.",
                )
            }
            Error::Moving(_) => {
                let advice = "Nothing was written. Repeat the request in some seconds.";
                Self { retry_after: Some(1), ..refuse(Cause::PartitionMoving, advice) }
            }
            Error::Corrupt(_) => {
                tracing::error!(error = %Chain(&error), "store content unreadable");
                Self::internal()
            }
        }
    }
}

impl Refusal {
    /// 403: the call concerns the whole installation, and the caller is bound to a tenant.
    pub fn tenant_bound(tenant: &Name) -> Self {
        let detail = format!(
            "This call concerns the whole installation, and the caller is bound to tenant \
             {tenant}. Use a credential without a tenant."
        );
        Self::new(Cause::TenantBound, detail)
    }

    /// 403: the caller's key may not be used from the address of the request.
    pub fn foreign_network(networks: &[String], origin: &str) -> Self {
        let networks = networks.join(", ");
        let detail =
            format!("The key may be used from {networks} only; this request came from {origin}.");
        Self::new(Cause::ForeignNetwork, detail)
    }
}

/// These milliseconds in whole seconds, rounded up.
fn seconds(ms: Millis) -> u32 {
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
