//! The three agents: each claims tasks of its own subject, works on them and reports.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::print::{Line, Mood};
use super::teller::{Notice, born};
use super::{Caller, Error, Task};

/// How long one step of work takes: long enough to follow, short enough not to wait.
const STEP: Duration = Duration::from_millis(120);

#[derive(Debug, Deserialize)]
struct Claimed {
    tasks: Vec<Held>,
}

/// A claimed task with its attempt and lease.
#[derive(Debug, Deserialize)]
struct Held {
    task: Task,
    attempt: u32,
    lease: String,
}

#[derive(Debug, Deserialize)]
struct Published {
    event_id: Uuid,
}

/// Claims and works until it is dropped or a call fails.
pub(super) async fn serve(caller: Caller) -> Result<(), Error> {
    let claim = format!("/agents/{}/claim", caller.name);
    loop {
        let body = json!({ "worker": "demo", "max": 1, "wait_ms": 20_000 });
        let claimed: Claimed = caller.post(&claim, &body).await?;
        for held in claimed.tasks {
            let result = caller.work(&held).await?;
            let lease = &held.lease;
            let body = json!({ "attempt": held.attempt, "lease": lease, "result": result });
            caller.post::<Value>(&format!("/tasks/{}/complete", held.task.task_id), &body).await?;
        }
    }
}

impl Caller {
    async fn work(&self, held: &Held) -> Result<Value, Error> {
        match held.task.kind.as_str() {
            "alert" => self.triage(held).await,
            "bugfix" => self.fix(held).await,
            "deploy" => self.deploy(held).await,
            _ => self.document(held).await,
        }
    }

    async fn triage(&self, held: &Held) -> Result<Value, Error> {
        let payload = json!({ "service": "checkout-api", "value": 0.072 });
        self.publish(held, "alert.triggered", payload, "checkout-api fails 7.2 % of requests")
            .await?;
        self.progress(held, 60, "traced to release 2.14.0").await?;
        let payload =
            json!({ "service": "checkout-api", "suspect": "a null cart total since 2.14.0" });
        let child =
            self.submit_child(held, "bugfix", "P1", payload, "fix the null cart total").await?;
        Ok(json!({ "bugfix": child.task_id }))
    }

    async fn fix(&self, held: &Held) -> Result<Value, Error> {
        self.progress(held, 50, "the failing case is a test now").await?;
        self.publish(held, "pr.opened", json!({ "pr": 1287 }), "#1287 Guard an empty cart").await?;
        sleep(STEP).await;
        self.publish(held, "pr.merged", json!({ "pr": 1287 }), "#1287, all checks green").await?;
        let payload =
            json!({ "service": "checkout-api", "version": "2.14.1", "environment": "production" });
        let child = self
            .submit_child(held, "deploy", "P2", payload, "checkout-api 2.14.1 to production")
            .await?;
        Ok(json!({ "pr": 1287, "deploy": child.task_id }))
    }

    async fn deploy(&self, held: &Held) -> Result<Value, Error> {
        let version = json!({ "version": "2.14.1" });
        self.publish(held, "deploy.started", version.clone(), "checkout-api 2.14.1").await?;
        self.progress(held, 50, "2 of 4 instances replaced").await?;
        self.publish(held, "deploy.succeeded", version, "4 of 4 instances healthy").await?;
        let service = json!({ "service": "checkout-api" });
        self.publish(held, "alert.resolved", service, "0.1 % of requests fail").await?;
        let payload = json!({ "article": "checkout-api runbook", "pr": 1287 });
        let child =
            self.submit_child(held, "kb_update", "P3", payload, "write down what happened").await?;
        Ok(json!({ "version": "2.14.1", "kb_update": child.task_id }))
    }

    async fn document(&self, held: &Held) -> Result<Value, Error> {
        sleep(STEP).await;
        let article = held.task.payload["article"].clone();
        self.publish(held, "kb.updated", json!({ "article": article }), "checkout-api runbook")
            .await?;
        Ok(json!({ "article": article }))
    }

    /// Works for a step, reports the progress, and works for another step.
    async fn progress(&self, held: &Held, percent: u8, message: &str) -> Result<(), Error> {
        sleep(STEP).await;
        let progress = json!({ "percent": percent, "message": message });
        let lease = &held.lease;
        let body = json!({ "attempt": held.attempt, "lease": lease, "progress": progress });
        self.post::<Value>(&format!("/tasks/{}/heartbeat", held.task.task_id), &body).await?;
        let now = born(Uuid::now_v7());
        self.report(&held.task, now, format!("· {percent} %"), message, Mood::Plain);
        sleep(STEP).await;
        Ok(())
    }

    async fn publish(
        &self,
        held: &Held,
        event_type: &str,
        payload: Value,
        why: &str,
    ) -> Result<(), Error> {
        let task = &held.task;
        let body = json!({
            "event_type": event_type,
            "payload": payload,
            "task_id": task.task_id,
            "trace_id": task.trace_id,
        });
        let published: Published = self.post("/events/publish", &body).await?;
        let at = born(published.event_id);
        self.report(task, at, format!("» {event_type}"), why, Mood::Event);
        Ok(())
    }

    /// Reports to the teller what this agent did with the task.
    fn report(&self, task: &Task, at: i64, what: String, why: &str, mood: Mood) {
        self.tell(Notice::Happened(Line {
            at,
            kind: task.kind.clone(),
            id: task.task_id.clone(),
            what,
            who: format!("key:{}", self.name),
            why: why.to_owned(),
            mood,
        }));
    }

    /// Submits a child of the current task.
    async fn submit_child(
        &self,
        held: &Held,
        kind: &str,
        priority: &str,
        payload: Value,
        why: &str,
    ) -> Result<Task, Error> {
        // A deployment has a short target, whose warning passes while its approver still reads.
        let (target, threshold) = if kind == "deploy" { ("4s", 3) } else { ("1h", 80) };
        let submission = json!({
            "sla_target": target,
            "alert_threshold": threshold,
            "type": kind,
            "priority": priority,
            "parent_task_id": held.task.task_id,
            "trace_id": held.task.trace_id,
            "payload": payload,
        });
        self.submit(&submission, why).await
    }
}
