//! For every script of the store: with any error of Redis at any call, any obstacle to a write, and
//! any permission that the user lacks, all of it happens or nothing.
//!
//! The call of a script is caught on its way to Redis, and tried on the state that it would have met. The errors
//! are Redis's own (a key of another type, a command or key that the user may not touch) and, at each call before
//! the first write, one that is made up. After its first write a script may only run what it has checked, or what
//! it guards by pcall.

use futures_util::future::join_all;
use orchestrator::store::script::{self, Script};

use super::every_call::Story;
use super::variants::{self, VARIANTS};
use crate::harness::{Fate, Trial, within};

async fn try_script(script: &'static Script, variant: &'static str) {
    let story = Story::begin(script, Fate::QuestionHeld).await;
    let proxy = story.fleet.proxy.as_ref().unwrap();
    let told = async {
        match variant {
            "" => story.tell().await,
            _ => variants::tell(&story.fleet, script, variant).await,
        }
        panic!("{} {variant}: was not called", script.name)
    };
    let sent = tokio::select! {
        sent = proxy.caught() => sent,
        () = told => return,
    };
    // What the store does about the answer that does not come must not meet the trial.
    proxy.lead_to("redis+unix:///nonexistent");
    Trial::of(&story.fleet.redis, script, variant, &sent).await.run().await;
    story.fleet.discard();
}

async fn try_all(nth: usize) {
    let all = script::ALL.iter().map(|script| (script, ""));
    let variants = VARIANTS.iter().map(|(name, variant)| {
        let script = script::ALL.iter().find(|script| script.name == *name).unwrap();
        (script, *variant)
    });
    let mine = all.chain(variants).enumerate().filter(|(number, _)| number % PARTS == nth);
    let tries = mine.map(async |(_, (script, variant))| {
        within(script.name, try_script(script, variant)).await;
    });
    join_all(tries).await;
}

/// How many tests share the scripts, so that processors share them too.
const PARTS: usize = 4;

#[tokio::test]
async fn a_script_that_meets_an_error_does_all_or_nothing_first_quarter() {
    try_all(0).await;
}

#[tokio::test]
async fn a_script_that_meets_an_error_does_all_or_nothing_second_quarter() {
    try_all(1).await;
}

#[tokio::test]
async fn a_script_that_meets_an_error_does_all_or_nothing_third_quarter() {
    try_all(2).await;
}

#[tokio::test]
async fn a_script_that_meets_an_error_does_all_or_nothing_fourth_quarter() {
    try_all(3).await;
}
