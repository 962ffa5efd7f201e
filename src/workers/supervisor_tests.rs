//! Tests of the supervisor with a fake duty, in paused time: no test here waits.

use std::collections::VecDeque;

use tokio::sync::{Notify, mpsc};

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("the store is away")]
struct Away;

/// What a step of the fake duty does.
enum Play {
    Go(Step),
    Fail,
    Panic,
    /// Takes this long, then is idle.
    Work(Duration),
}

/// Plays its script, then stays idle; reports when each step began.
struct FakeDuty {
    script: Mutex<VecDeque<Play>>,
    began: mpsc::UnboundedSender<Instant>,
    wake: Arc<Notify>,
}

impl Worker for FakeDuty {
    const NAME: &'static str = "fake";
    const REST: Duration = Duration::from_secs(10);
    type Error = Away;

    async fn step(&self) -> Result<Step, Away> {
        self.began.send(Instant::now()).unwrap();
        let play = self.script.lock().unwrap().pop_front();
        match play.unwrap_or(Play::Go(Step::Idle)) {
            Play::Go(step) => Ok(step),
            Play::Fail => Err(Away),
            Play::Panic => panic!("the fake duty panics"),
            Play::Work(time) => {
                sleep(time).await;
                Ok(Step::Idle)
            }
        }
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.wake))
    }
}

struct Stage {
    supervisor: Supervisor,
    began: mpsc::UnboundedReceiver<Instant>,
    wake: Arc<Notify>,
    opened: Instant,
}

impl Stage {
    fn play(script: impl Into<VecDeque<Play>>) -> Self {
        let (sender, began) = mpsc::unbounded_channel();
        let wake = Arc::new(Notify::new());
        let supervisor = Supervisor::default();
        supervisor.start(FakeDuty {
            script: Mutex::new(script.into()),
            began: sender,
            wake: Arc::clone(&wake),
        });
        Self { supervisor, began, wake, opened: Instant::now() }
    }

    /// When the next step began, counted from the opening.
    async fn next(&mut self) -> Duration {
        self.began.recv().await.unwrap() - self.opened
    }

    fn pulse(&self) -> Pulse {
        self.supervisor.pulses()["fake"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_duty_continues_at_once_and_an_idle_one_rests() {
    let next = Duration::from_millis(30);
    let mut stage =
        Stage::play([Play::Go(Step::Busy), Play::Go(Step::IdleFor(next)), Play::Go(Step::Idle)]);

    assert_eq!(stage.next().await, Duration::ZERO);
    assert_eq!(stage.next().await, Duration::ZERO);
    assert_eq!(stage.next().await.as_millis() / 10, 3);
    assert_eq!(stage.next().await.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_rest_is_within_the_limits_of_the_duty() {
    let far = Play::Go(Step::IdleFor(Duration::from_secs(999)));
    let mut stage = Stage::play([Play::Go(Step::IdleFor(Duration::ZERO)), far]);
    stage.next().await;

    let second = stage.next().await;
    assert!(second >= REST_MIN, "{second:?}");
    assert_eq!((stage.next().await - second).as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_notification_ends_a_rest_at_once() {
    let mut stage = Stage::play([]);
    stage.next().await;

    stage.wake.notify_one();

    assert!(stage.next().await < REST_MIN);
}

#[tokio::test(start_paused = true)]
async fn a_notification_during_a_step_is_not_lost() {
    let mut stage = Stage::play([Play::Work(Duration::from_secs(1))]);
    stage.next().await;

    stage.wake.notify_waiters();

    assert_eq!(stage.next().await.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_duty_backs_off_despite_notifications() {
    let mut stage = Stage::play([Play::Fail, Play::Fail, Play::Fail]);
    stage.next().await;
    stage.wake.notify_one();

    let first = stage.next().await;
    let second = stage.next().await - first;
    assert!((50..=101).contains(&first.as_millis()), "{first:?}");
    assert!((100..=201).contains(&second.as_millis()), "{second:?}");
    assert_eq!(stage.pulse().failing.as_deref(), Some("the store is away"));

    stage.next().await;
    stage.next().await;
    assert_eq!(stage.pulse(), Pulse { steps: 2, faults: 3, ..Pulse::default() });
}

#[tokio::test(start_paused = true)]
async fn a_panicking_duty_continues_and_the_panic_is_counted() {
    let mut stage = Stage::play([Play::Panic]);
    stage.next().await;

    stage.next().await;
    stage.next().await;

    assert_eq!(stage.pulse().panics, 1);
    assert_eq!(stage.pulse().failing, None);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_step_and_starts_no_other() {
    let mut stage = Stage::play([Play::Work(Duration::from_secs(3))]);
    stage.next().await;

    let left = stage.supervisor.finish(Duration::from_secs(20)).await;

    assert!(left.is_empty());
    assert_eq!(stage.opened.elapsed().as_secs(), 3);
    assert!(stage.began.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_exceeds_the_grace_period_is_named() {
    let mut stage = Stage::play([Play::Work(Duration::from_secs(60))]);
    stage.next().await;

    let left = stage.supervisor.finish(Duration::from_secs(20)).await;

    assert_eq!(left, ["fake"]);
    assert_eq!(stage.opened.elapsed().as_secs(), 20);
}
