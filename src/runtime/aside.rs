//! Work that takes so much CPU time that other tasks must not wait for it.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Runs `work`; while `is_heavy` says so, the other tasks of its thread move to another thread. On a
/// runtime with a single thread it runs like any other future.
pub async fn aside<F: Future>(is_heavy: impl Fn() -> bool, work: F) -> F::Output {
    let mut work = pin!(work);
    let can_move = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    poll_fn(|context| {
        if can_move && is_heavy() {
            return block_in_place(|| work.as_mut().poll(context));
        }
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_run_while_work_aside_holds_its_thread() {
        let (done, is_done) = mpsc::channel();
        let tasks = TaskTracker::new();
        let waits = tasks.spawn(aside(|| true, async move { is_done.recv() }));
        let other = tasks.spawn(async move { done.send(()) });

        other.await.unwrap().unwrap();
        waits.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_single_thread_runs_work_aside_too() {
        assert_eq!(aside(|| true, async { 7 }).await, 7);
    }
}
