//! Naive scripts with keys of their own, against which benchmarks compare the scripts of the
//! product.

use uuid::Uuid;

use super::{Error, Store};

const SUBMIT: &str = include_str!("lua/yardstick/submit.lua");
const MOVE: &str = include_str!("lua/yardstick/move.lua");

/// The states of a naive task, in order.
const PATH: [&str; 4] = ["pending", "assigned", "in_progress", "completed"];

impl Store {
    /// Moves `count` tasks through a naive life: submit, route, claim and complete, with one call
    /// each.
    ///
    /// * `spec`: the submitted JSON, the same for each task.
    pub async fn naive_life(&self, count: usize, spec: &str) -> Result<(), Error> {
        let mut connection = self.hot.clone();
        let now = self.now().await?;
        let submit = redis::Script::new(SUBMIT);
        let advance = redis::Script::new(MOVE);
        let mut call = submit.prepare_invoke();
        call.arg(now);
        for _ in 0..count {
            call.arg(Uuid::now_v7().to_string()).arg(spec);
        }
        let answer: redis::RedisResult<usize> = call.invoke_async(&mut connection).await;
        self.result("naive submit", answer)?;
        for states in PATH.windows(2) {
            let mut call = advance.prepare_invoke();
            call.arg(now).arg(states).arg(count);
            let answer: redis::RedisResult<Vec<String>> = call.invoke_async(&mut connection).await;
            self.result("naive move", answer)?;
        }
        Ok(())
    }
}
