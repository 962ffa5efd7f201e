//! Tasks, their timelines, and the tasks that agents claim.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::parent::OnParentCancel;
use crate::domain::priority::Priority;
use crate::domain::sla::{Clock, SlaState};
use crate::domain::task::{Claimed, Progress, Task, Transition};
use crate::engine::{Page, Parts, Waiting};

use super::super::json::{Raw, RawObject};
use super::super::part::Part;
use super::{ApprovalView, At, WaitingView, at};

/// A task: what was submitted, and what became of it.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Task")]
pub struct TaskView {
    /// The id of the task, which never changes.
    pub task_id: TaskId,
    /// The type of the task. Predefined: faq, bugfix, deploy, investigate, monitor, alert,
    /// refactor, feature, kb_update; configuration adds more.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: Name,
    /// What the task is about; null if its client did not say.
    pub title: Option<String>,
    /// The status of the task.
    pub status: State,
    /// How urgent the task is; P0 always comes first.
    pub priority: Priority,
    /// The part of the client's system that the task comes from.
    pub source: Name,
    /// The work to do, byte for byte as it was sent. Absent in lists, unless `include` names it.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub payload: Part<RawObject>,
    /// More information from the client, byte for byte. Absent in lists, unless `include` names it.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub metadata: Part<Option<RawObject>>,
    /// The deadlines of the task; null if it has none.
    pub sla: Option<SlaView>,
    /// The tenant that the task belongs to; absent if it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// The agent that the task is or was assigned to.
    pub assigned_to: Option<Name>,
    /// The task that this one is a part of.
    pub parent_task_id: Option<TaskId>,
    /// What happens to the task if its parent is cancelled; null if it has no parent.
    pub on_parent_cancel: Option<OnParentCancel>,
    /// The id that joins the task with the client's traces.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission.
    pub traceparent: Option<String>,
    /// The `tracestate` beside it; null if there is none.
    pub tracestate: Option<String>,
    /// Who submitted the task, such as `key:ops` or `user:alice`.
    pub submitted_by: String,
    /// When the task was accepted.
    pub created_at: At,
    /// When the task may start; null once that time has come.
    pub scheduled_for: Option<At>,
    /// When the task last entered its agent's subject.
    pub assigned_at: Option<At>,
    /// When the newest attempt of the task started.
    pub started_at: Option<At>,
    /// When the task was completed, failed or cancelled.
    pub completed_at: Option<At>,
    /// When the status of the task last changed.
    pub updated_at: At,
    /// How many attempts failed since the submission or the last retry by a client.
    pub retry_count: u32,
    /// How many failed attempts are retried.
    pub max_retries: u32,
    /// How many leases of the task were lost: they ended without a report.
    pub lost_count: u32,
    /// The newest attempt, which reports carry beside their lease; 0 if the task was never claimed.
    pub attempt: u32,
    /// How long one attempt may take as a whole, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Why the last attempt failed, or why the task was cancelled.
    pub error: Option<String>,
    /// The result that the agent reported: any JSON, byte for byte. Absent in lists, unless
    /// `include` names it.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub result: Part<Option<Raw>>,
    /// The progress that the agent last reported.
    pub progress: Option<ProgressView>,
    /// The version of the content: 1, and one more each time an approver changes the payload.
    pub version: u32,
    /// The id of the newest approval of the task.
    pub approval_id: Option<ApprovalId>,
    /// The newest approval: its content, changes and decision. Absent in the answer to a
    /// submission, and where the approval stands beside the task.
    pub approval: Option<ApprovalView>,
    /// What the task waits for; present only if one task is read.
    pub why_waiting: Option<WaitingView>,
    /// How long the task has waited for humans while it could have run, in milliseconds.
    pub waiting_for_human_ms: u64,
}

/// The deadlines of a task, and whether they are met.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Sla")]
pub struct SlaView {
    /// The target in the client's words, such as `4h`.
    pub target: Option<String>,
    /// When the task must be finished.
    pub deadline: Option<At>,
    /// At what part of the time to warn, in percent.
    pub alert_threshold: u8,
    /// Whether a warning or a violation of the deadline to finish was announced.
    pub state: SlaState,
    /// When the first attempt must have started.
    pub start_deadline: Option<At>,
    /// The same for the deadline to start; null if there is none.
    pub start_state: Option<SlaState>,
}

/// The progress of an attempt.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Progress")]
pub struct ProgressView {
    /// How much is done, in percent, 0 to 100.
    pub percent: f64,
    /// What the agent is doing.
    pub message: Option<String>,
}

/// A page of tasks, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct TaskPage {
    /// The tasks of the page.
    pub items: Vec<TaskView>,
    /// The `cursor` of the next page; null if this is the last page.
    pub next_cursor: Option<String>,
}

/// A task after a change of its status.
#[derive(Clone, Debug, Serialize, Object)]
pub struct StatusChanged {
    /// Always true: a refused change is answered with a problem.
    pub success: bool,
    /// The task after it.
    #[serde(flatten)]
    #[oai(flatten)]
    pub task: TaskView,
}

/// A task that an agent now holds.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ClaimedTask")]
pub struct ClaimedView {
    /// The task, in progress.
    pub task: TaskView,
    /// The attempt, which every report on it carries.
    pub attempt: u32,
    /// The lease, which every report on the attempt carries too. It is secret: only the claim
    /// returns it, and it is valid only with the credential that claimed.
    pub lease: String,
    /// When the lease ends, unless the agent sends a heartbeat before.
    pub lease_expires_at: At,
}

/// The tasks that a claim returned.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ClaimedTasks")]
pub struct TasksClaimed {
    /// The tasks, highest priority first; empty if none came in time.
    pub tasks: Vec<ClaimedView>,
}

/// One transition of a task.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Transition")]
pub struct TransitionView {
    /// When the transition was made.
    pub at: At,
    /// What was done.
    pub verb: Verb,
    /// The status of the task after the transition.
    pub status: State,
    /// Who made the transition; `orchestrator` for its own.
    pub actor: String,
    /// The attempt that was current at that time.
    pub attempt: u32,
    /// Why the transition was made, if a reason was given.
    pub reason: Option<String>,
}

/// A task's timeline, oldest first; it holds the newest transitions.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Timeline")]
pub struct TimelinePage {
    /// The transitions, oldest first.
    pub items: Vec<TransitionView>,
    /// Always null: a timeline is one page.
    pub next_cursor: Option<String>,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        let [assigned_at, started_at, completed_at] =
            [task.assigned_at(), task.started_at(), task.completed_at()].map(|time| time.map(at));
        let sla = task.sla.as_ref().map(|sla| SlaView {
            target: sla.target.clone(),
            deadline: sla.deadline.map(at),
            alert_threshold: sla.alert_threshold,
            state: task.sla_state(Clock::Finish),
            start_deadline: sla.start_deadline.map(at),
            start_state: sla.start_deadline.map(|_| task.sla_state(Clock::Start)),
        });
        Self {
            task_id: task.id,
            waiting_for_human_ms: task.waiting_for_human_ms(),
            assigned_to: task.assigned_to().map(Name::agent),
            tenant: task.tenant(),
            updated_at: at(task.since),
            kind: task.spec.kind,
            title: task.spec.title,
            status: task.state,
            priority: task.spec.priority,
            source: task.spec.source,
            payload: Part::Shown(RawObject(task.spec.payload)),
            metadata: Part::Shown(task.spec.metadata.map(RawObject)),
            sla,
            parent_task_id: task.spec.parent,
            on_parent_cancel: task.spec.parent.map(|_| task.spec.on_parent_cancel),
            trace_id: task.spec.trace_id,
            traceparent: task.spec.traceparent,
            tracestate: task.spec.tracestate,
            submitted_by: task.submitted_by,
            created_at: at(task.created_at),
            scheduled_for: task.scheduled_for.map(at),
            assigned_at,
            started_at,
            completed_at,
            retry_count: task.retry_count,
            max_retries: task.spec.max_retries,
            lost_count: task.lost_count,
            attempt: task.attempt,
            timeout_ms: task.spec.timeout_ms,
            error: task.error,
            result: Part::Shown(task.result.map(Raw)),
            progress: task.progress.map(ProgressView::from),
            version: task.version,
            approval_id: task.approval,
            approval: task.asked.map(|asked| (*asked).into()),
            why_waiting: None,
        }
    }
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self { percent: progress.percent, message: progress.message }
    }
}

impl From<(Task, Option<Waiting>)> for TaskView {
    fn from((task, waiting): (Task, Option<Waiting>)) -> Self {
        Self { why_waiting: waiting.map(WaitingView::from), ..task.into() }
    }
}

impl TaskView {
    /// The view without the large members that the client did not request.
    pub fn with(mut self, parts: Parts) -> Self {
        self.payload.keep_if(parts.payload);
        self.metadata.keep_if(parts.metadata);
        self.result.keep_if(parts.result);
        self.approval = self.approval.map(|approval| approval.with(parts.payload));
        self
    }
}

impl TaskPage {
    /// Builds the page; `parts` says with which large members the tasks were read.
    pub fn new(page: Page<Task>, parts: Parts) -> Self {
        let items = page.items.into_iter().map(|task| TaskView::from(task).with(parts));
        Self { items: items.collect(), next_cursor: page.next_cursor }
    }
}

impl From<Task> for StatusChanged {
    fn from(task: Task) -> Self {
        Self { success: true, task: task.into() }
    }
}

impl From<Claimed> for ClaimedView {
    fn from(claimed: Claimed) -> Self {
        Self {
            attempt: claimed.task.attempt,
            lease: claimed.lease.expose().to_owned(),
            lease_expires_at: at(claimed.lease_until),
            task: claimed.task.into(),
        }
    }
}

impl From<Vec<Claimed>> for TasksClaimed {
    fn from(claimed: Vec<Claimed>) -> Self {
        Self { tasks: claimed.into_iter().map(ClaimedView::from).collect() }
    }
}

impl From<Transition> for TransitionView {
    fn from(transition: Transition) -> Self {
        Self {
            at: at(transition.at),
            verb: transition.verb,
            status: transition.to,
            actor: transition.actor,
            attempt: transition.attempt,
            reason: transition.reason,
        }
    }
}

impl From<Task> for TimelinePage {
    fn from(task: Task) -> Self {
        let items = task.timeline.into_iter().map(TransitionView::from).collect();
        Self { items, next_cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::ids::Partition;
    use crate::domain::sla::Reached;
    use crate::domain::submission::Spec;

    fn task(payload: &str) -> Task {
        let name = |text| Name::from_str(text).unwrap();
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        Task {
            id: TaskId::new(Partition(0)),
            spec: Spec::new(name("faq"), name("user"), payload),
            state: State::Pending,
            sla: None,
            agent: name("faq_agent"),
            submitted_by: "key:ops".to_owned(),
            created_at: 1_769_851_800_000,
            scheduled_for: None,
            attempt: 0,
            retry_count: 0,
            lost_count: 0,
            holder: None,
            lease_until: None,
            error: None,
            result: Some(RawValue::from_string("1.0".to_owned()).unwrap()),
            progress: None,
            approval: None,
            asked: None,
            timeline: Vec::new(),
            version: 1,
            since: 1_769_851_800_000,
            human_ms: 0,
            clocks_since: 1_769_851_800_000,
            reached: Reached::default(),
            observed_at: 1_769_851_800_000,
        }
    }

    #[test]
    fn a_task_is_shown_byte_for_byte() {
        let payload = r#"{ "z":[ ],"a":123456789012345678901 }"#;

        let alone = serde_json::to_string(&TaskView::from(task(payload))).unwrap();
        let beside = serde_json::to_string(&StatusChanged::from(task(payload))).unwrap();

        for text in [&alone, &beside] {
            assert!(text.contains(&format!(r#""payload":{payload},"#)), "{text}");
            assert!(text.contains(r#""result":1.0"#), "{text}");
        }
        assert!(beside.starts_with(r#"{"success":true,"task_id":"#), "{beside}");
        let times = r#""created_at":"2026-01-31T09:30:00.000Z","scheduled_for":null"#;
        assert!(alone.contains(times), "{alone}");
    }
}
