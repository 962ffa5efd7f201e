//! The harness keeps its own promises: a test that could not fail would be worse than none.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;

use super::{Fleet, Program, Redis, eventually, key, may_take};

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap()
}

#[tokio::test]
async fn a_test_that_forgets_to_finish_its_fleet_fails() {
    let fleet = Fleet::start().await;

    let panic = catch_unwind(AssertUnwindSafe(|| drop(fleet))).unwrap_err();

    assert!(text_of(&*panic).contains("fleet.finish()"));
}

#[tokio::test]
async fn a_test_that_leaves_the_store_broken_fails_with_what_the_doctor_finds() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    fleet.redis.ask::<i64>(&["DEL", &key("pending")]).await;

    let panic = AssertUnwindSafe(fleet.finish()).catch_unwind().await.unwrap_err();

    assert!(text_of(&*panic).contains(&format!("is missing from {}", key("pending"))));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_fails_says_what_it_last_saw() {
    let mut looks = 0;
    let wait = eventually("pigs fly", async || {
        looks += 1;
        Err::<(), _>(format!("look {}", looks.min(50)))
    });

    let panic = AssertUnwindSafe(wait).catch_unwind().await.unwrap_err();

    let text = text_of(&*panic);
    assert!(text.contains("pigs fly") && text.contains("look 50"), "{text}");
}

/// Tells this binary, started once more, to hang.
const HANGS: &str = "ORCHESTRATOR_TEST_HANGS";

#[tokio::test]
async fn a_test_that_hangs_is_named_and_ends_the_run_with_its_servers() {
    if std::env::var_os(HANGS).is_some() {
        let redis = Redis::start().await;
        println!("redis is {}", redis.pid());
        redis.freeze();
        may_take(Duration::ZERO);
        return std::future::pending().await;
    }
    let name = "harness::itself::a_test_that_hangs_is_named_and_ends_the_run_with_its_servers";
    let program = Program::new().with(HANGS, "yes");
    let binary = std::env::current_exe().unwrap();

    let mut process = program.start_other(&binary, &["--exact", name, "--nocapture"]);

    let code = process.ended().await;
    assert_eq!(code, 101, "{}", process.log());
    assert!(process.log().contains(&format!("{name} hangs")), "{}", process.log());
    let printed = process.printed();
    let pid = printed.split_once("redis is ").unwrap().1.lines().next().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it runs: {stat}");
}
