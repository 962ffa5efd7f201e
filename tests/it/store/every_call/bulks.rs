//! What comes of bulks, and of the cascade, when an answer is lost.

use orchestrator::domain::bulk::{BulkAction, BulkStatus};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::parent::OnParentCancel;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::submission::NewTask;

use super::Story;
use crate::harness::{bulk_of, idempotency};

impl Story {
    /// A child that is to end with its parent.
    pub(super) async fn tell_of_children(&self) {
        let fleet = &self.fleet;
        let parent = fleet.submit("faq").await.id;
        let child = fleet
            .submit_with("faq", |new| {
                (new.spec.parent, new.spec.on_parent_cancel) =
                    (Some(parent), OnParentCancel::Cancel);
            })
            .await;
        fleet.cancel(parent).await.unwrap();
        self.sweep(async || fleet.engine.cascade().await).await;
        assert_eq!(self.stands(&child).await, (State::Cancelled, 2));
    }

    /// Each task of a bulk is changed once, and counted once.
    pub(super) async fn tell_of_bulks(&self) {
        let (fleet, alice) = (&self.fleet, &self.fleet.people.alice);
        let low = |new: &mut NewTask| new.spec.priority = Priority::P3;
        let task = fleet.submit_with("faq", low).await;
        let action =
            if self.script.name == "raise" { BulkAction::Raise } else { BulkAction::Cancel };
        let mut order = bulk_of(action);
        order.priority = (action == BulkAction::Raise).then_some(Priority::P2);
        let start = async || fleet.engine.start_bulk(alice, &order, idempotency("k", "b")).await;
        let abort = async |id| fleet.engine.abort_bulk(alice, id).await;
        let is_watched = |name: &str| self.script.name == name;
        let started = match is_watched("bulk_start") {
            true => self.call(start).await,
            false => start().await,
        };
        let id = started.unwrap().bulk.id;
        if is_watched("bulk_abort") {
            self.call(async || abort(id).await).await.unwrap();
        } else if !is_watched("bulk_start") {
            self.sweep(async || fleet.run_bulks().await).await;
        }
        fleet.run_bulks().await.unwrap();

        let bulk = fleet.engine.bulk(id).await.unwrap();
        let aborted = is_watched("bulk_abort");
        let status = if aborted { BulkStatus::Aborted } else { BulkStatus::Completed };
        let tally = (bulk.tally.matched, bulk.tally.done, bulk.tally.refusals());
        assert_eq!((bulk.status, tally.1 + tally.2), (status, tally.0), "{}", self.script.name);
        let end = match action {
            _ if aborted => (State::Pending, 1),
            BulkAction::Raise => (State::Pending, 2),
            BulkAction::Cancel | BulkAction::Retry => (State::Cancelled, 2),
        };
        assert_eq!(self.stands(&task).await, end, "{}", self.script.name);
    }
}
