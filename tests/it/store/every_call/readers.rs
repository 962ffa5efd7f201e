//! What comes of calls that only read, check or correct, or that may leave something unused.

use orchestrator::domain::ids::{EventId, Partition};
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::BackgroundCheck;

use super::Story;
use crate::harness::{key, name};

impl Story {
    /// A part of what a caller may use in a window.
    pub(super) async fn tell_of_a_part(&self) {
        let fleet = &self.fleet;
        // A lost part stays unused: a repetition takes another one.
        let window = (1_000, 3_600_000);
        let allot = async || {
            let (quota, window_ms) = window;
            let store = &fleet.store;
            Ok(store.allot("key:crew", "read", quota, window_ms, 1).await?)
        };
        let part = self.call(allot).await.unwrap();
        assert!(part.amount > 0 && part.amount + part.left < window.0, "{part:?}");
    }

    async fn tell_of_reseal(&self) {
        let fleet = &self.fleet;
        // What is encrypted is put back, so that the fleet, which has no key, can read it.
        for current in ["a", ""] {
            let engine = fleet.engine_with_keys(current, &["a"]).await;
            let found = self.call(async || engine.repair().await).await.unwrap();
            assert!(found.is_empty(), "{found:?}");
            let texts = engine.diagnosis(false).await.unwrap().texts;
            assert_eq!(texts, [(current.to_owned(), 1)].into());
        }
    }

    pub(super) async fn tell_of_readers(&self) {
        let fleet = &self.fleet;
        let task = fleet.submit("faq").await;
        match self.script.name {
            "read" => {
                let read = self.call(async || fleet.engine.task(task.id).await).await.unwrap();
                assert_eq!((read.id, read.state), (task.id, State::Pending));
            }
            "read_approvals" => {
                let asked = fleet.submit("deploy").await.approval;
                let list = async || fleet.engine.approvals(&[], 10, None, false).await;
                assert_eq!(self.call(list).await.unwrap().items[0].id, asked.unwrap());
            }
            "stats" => {
                let stats = self.call(async || fleet.engine.stats().await).await.unwrap();
                assert!(stats.by_status.contains(&(State::Pending, 1)), "{stats:?}");
            }
            "doctor_tasks" | "doctor_index" | "doctor_approvals" | "doctor_children"
            | "doctor_agents" | "count" | "open_at" => {
                fleet.claim_one().await;
                fleet.submit("deploy").await;
                fleet.submit_with("faq", |new| new.spec.parent = Some(task.id)).await;
                let findings = self.call(async || fleet.engine.doctor().await).await.unwrap();
                assert!(findings.is_empty(), "{findings:?}");
            }
            "correct" => {
                fleet.redis.ask::<i64>(&["HINCRBY", &key("open"), "P2", "7"]).await;
                self.call(async || fleet.engine.repair().await).await.unwrap();
                assert_eq!(fleet.redis.ask::<i64>(&["HGET", &key("open"), "P2"]).await, 1);
            }
            "present" => {
                let (agent, workers) = (name("faq_agent"), ["one".parse().unwrap()]);
                self.sweep(async || fleet.engine.note_sessions(&agent, &workers).await).await;
                assert_eq!(fleet.engine.agent(&agent).await.unwrap().session_count, 1);
            }
            "probe" => self.tell_of_readiness().await,
            "doctor_turn" => {
                let background = tokio::sync::Mutex::new(BackgroundCheck::default());
                let check =
                    async || fleet.engine.check_on("one", &mut *background.lock().await).await;
                self.call(check).await.unwrap();
                while fleet.store.doctor_stats().await.unwrap().checks == 0 {
                    check().await.unwrap();
                }
            }
            "reseal" => self.tell_of_reseal().await,
            "bridge" => {
                let first = Partition(0);
                let taken = self
                    .call(async || fleet.engine.unpublished(first, "one").await)
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(taken.cursor, EventId::first(first));
                let other = fleet.engine.unpublished(first, "another").await.unwrap();
                assert!(other.is_none(), "two bridges hold one partition");
            }
            unknown => panic!("what comes of {unknown} when its answer is lost?"),
        }
    }
}
