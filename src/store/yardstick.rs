//! Naive scripts over keys of their own: what the bench measures the product's scripts against.

use uuid::Uuid;

use super::{Error, Store};

const SUBMIT: &str = include_str!("lua/yardstick/submit.lua");
const MOVE: &str = include_str!("lua/yardstick/move.lua");

/// The states that a naive task goes through.
const PATH: [&str; 4] = ["pending", "assigned", "in_progress", "completed"];

impl Store {
    /// Takes `count` tasks through a whole naive life: submit, route, claim, complete, one call each.
    ///
    /// * `spec`: what was submitted, the same for each.
    pub async fn naive_life(&self, count: usize, spec: &str) -> Result<(), Error> {
        let mut connection = self.hot.clone();
        let now = self.now().await?;
        let (submit, advance) = (redis::Script::new(SUBMIT), redis::Script::new(MOVE));
        let mut call = submit.prepare_invoke();
        call.arg(now);
        for _ in 0..count {
            call.arg(Uuid::now_v7().to_string()).arg(spec);
        }
        let answer: redis::RedisResult<usize> = call.invoke_async(&mut connection).await;
        self.heard("naive submit", answer)?;
        for states in PATH.windows(2) {
            let mut call = advance.prepare_invoke();
            call.arg(now).arg(states).arg(count);
            let answer: redis::RedisResult<Vec<String>> = call.invoke_async(&mut connection).await;
            self.heard("naive move", answer)?;
        }
        Ok(())
    }
}
