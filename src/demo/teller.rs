//! Collects what happens to the tasks of the story, from their timelines and from the participants,
//! and prints it in the order in which it happened.

use std::io;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use super::print::{Line, Mood, Style, print};
use super::{Error, Page, Task};
use crate::cli::client::Client;
use crate::domain::time;

/// The interval at which the timelines are read: too short for a reader to notice, and long enough
/// for the service.
const POLL: Duration = Duration::from_millis(50);

/// What a participant reports.
#[derive(Debug)]
pub(super) enum Notice {
    Submitted { task: Task, why: String },
    Happened(Line),
}

#[derive(Debug, Deserialize)]
struct Transition {
    at: String,
    verb: String,
    status: String,
    actor: String,
    attempt: u32,
    reason: Option<String>,
}

/// A task of the story, and how many entries of its timeline are known.
struct Followed {
    task: Task,
    why: String,
    known: usize,
    status: String,
}

pub(super) struct Teller {
    client: Client,
    notices: mpsc::UnboundedReceiver<Notice>,
    style: Style,
    tasks: Vec<Followed>,
    /// Lines that are not printed yet, each with the round that found it.
    waiting: Vec<(u32, Line)>,
    round: u32,
    events: usize,
    approvals: usize,
    /// When the first and the newest line happened, in milliseconds since 1970.
    span: Option<(i64, i64)>,
}

impl Teller {
    pub(super) fn new(client: Client, notices: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self {
            client,
            notices,
            style: Style::here(),
            tasks: Vec::new(),
            waiting: Vec::new(),
            round: 0,
            events: 0,
            approvals: 0,
            span: None,
        }
    }

    /// Follows the story until `count` tasks are completed or one ends otherwise. Returns whether
    /// all were completed.
    pub(super) async fn tell(&mut self, count: usize) -> Result<bool, Error> {
        loop {
            self.round += 1;
            self.look().await?;
            while let Ok(notice) = self.notices.try_recv() {
                self.take(notice);
            }
            let completed = self.count_of("completed");
            let has_failed = self.count_of("failed") + self.count_of("cancelled") > 0;
            let is_over = has_failed || completed == count;
            self.print_settled(is_over).map_err(Error::Output)?;
            if is_over {
                let (first, last) = self.span.unwrap_or_default();
                let seconds = (last - first) as f64 / 1000.0;
                let text = format!(
                    "{completed} of {count} tasks completed, {} approved by a human, \
                     {} events published, in {seconds:.1} s.",
                    self.approvals, self.events
                );
                let mood = if completed == count { Mood::Good } else { Mood::Bad };
                let text = self.style.paint(&text, mood);
                print(&format!("\n{text}")).map_err(Error::Output)?;
                return Ok(completed == count);
            }
            sleep(POLL).await;
        }
    }

    fn count_of(&self, status: &str) -> usize {
        self.tasks.iter().filter(|task| task.status == status).count()
    }

    /// Reads the timelines of the tasks that have not ended.
    async fn look(&mut self) -> Result<(), Error> {
        for nth in 0..self.tasks.len() {
            let followed = &self.tasks[nth];
            if matches!(followed.status.as_str(), "completed" | "failed" | "cancelled") {
                continue;
            }
            let answer = self.client.get(&format!("/tasks/{}/events", followed.task.task_id)).await;
            let timeline: Page<Transition> =
                answer.map_err(|source| Error::Call { who: "the teller", source })?;
            for transition in timeline.items.into_iter().skip(followed.known) {
                self.follow(nth, transition);
            }
        }
        Ok(())
    }

    fn follow(&mut self, nth: usize, transition: Transition) {
        let followed = &mut self.tasks[nth];
        followed.known += 1;
        followed.status.clone_from(&transition.status);
        let why = match transition.verb.as_str() {
            "submit" => followed.why.clone(),
            "claim" => format!("attempt {}", transition.attempt),
            _ => transition.reason.unwrap_or_default(),
        };
        let mood = match (transition.verb.as_str(), transition.status.as_str()) {
            (_, "completed") | ("approve", _) => Mood::Good,
            (_, "failed" | "cancelled") | ("violate", _) => Mood::Bad,
            ("warn", _) | (_, "blocked") => Mood::Waiting,
            _ => Mood::Plain,
        };
        self.approvals += usize::from(transition.verb == "approve");
        let done = done(&transition.verb);
        let status = transition.status.replace('_', " ");
        let is_where_it_was = matches!(transition.verb.as_str(), "warn" | "violate");
        let what = if is_where_it_was || done == status {
            done.to_owned()
        } else {
            format!("{done} → {status}")
        };
        let line = Line {
            at: millis(&transition.at),
            kind: followed.task.kind.clone(),
            id: followed.task.task_id.clone(),
            what,
            who: transition.actor,
            why,
            mood,
        };
        self.waiting.push((self.round, line));
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Submitted { task, why } => {
                self.tasks.push(Followed { task, why, known: 0, status: String::new() });
            }
            Notice::Happened(line) => {
                self.events += usize::from(line.mood == Mood::Event);
                self.waiting.push((self.round, line));
            }
        }
    }

    /// Prints the lines whose order is certain: up to the last line of an earlier round, because
    /// everything before it has been found by now. At the end, prints all.
    fn print_settled(&mut self, is_over: bool) -> io::Result<()> {
        self.waiting.sort_by_key(|(_, line)| line.at);
        let settled = self.waiting.iter().rposition(|(round, _)| is_over || *round < self.round);
        for (_, line) in self.waiting.drain(..settled.map_or(0, |last| last + 1)) {
            let first = self.span.map_or(line.at, |(first, _)| first);
            self.span = Some((first, line.at));
            print(&self.style.line(&line, line.at - first))?;
        }
        Ok(())
    }
}

/// Returns what happened to the task, in a word or two.
fn done(verb: &str) -> &str {
    match verb {
        "submit" => "submitted",
        "approve" => "approved",
        "reject" => "rejected",
        "expire" => "expired",
        "promote" => "due",
        "route" => "routed",
        "claim" | "take" => "claimed",
        "complete" => "completed",
        "retry" => "retry scheduled",
        "fail" => "failed",
        "release" => "released",
        "reap" => "lease lost",
        "cancel" => "cancelled",
        "requeue" => "requeued",
        "warn" => "SLA warning",
        "violate" => "SLA violation",
        other => other,
    }
}

/// Returns the milliseconds since 1970 of an RFC 3339 time; 0 for any other text.
pub(super) fn millis(time: &str) -> i64 {
    time::read(time).and_then(|at_ms| i64::try_from(at_ms).ok()).unwrap_or_default()
}

/// Returns when an event was logged, in milliseconds since 1970, from its id (UUIDv7).
pub(super) fn born(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_tells_its_time() {
        let id: Uuid = "019ab3c4-0000-7000-8000-000000000000".parse().unwrap();

        assert_eq!(born(id), 0x019a_b3c4_0000);
    }

    #[test]
    fn a_time_is_read_to_the_millisecond() {
        assert_eq!(millis("1970-01-01T00:00:01.234Z"), 1_234);
        assert_eq!(millis("yesterday"), 0);
    }
}
