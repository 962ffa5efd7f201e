//! What the scripts cost Redis, heard command by command.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use orchestrator::store::script;
use tokio::task::JoinSet;

use super::{Redis, within};

/// How many commands each script ran in its dearest call.
pub type Costs = BTreeMap<&'static str, usize>;

/// Hears every command of a Redis.
pub struct Meter(JoinSet<Costs>);

/// What is said last, so that the meter knows that it has heard everything.
const END: &str = "the meter is read";

impl Meter {
    pub async fn start(redis: &Redis) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut monitor = client.get_async_monitor().await.unwrap();
        let mut lines = Box::pin(async move {
            let (mut costs, mut running, mut count) = (Costs::new(), None, 0);
            let mut lines = monitor.on_message::<String>();
            while let Some(line) = lines.next().await {
                if line.contains(END) {
                    break;
                }
                let words: Vec<&str> = line.splitn(6, ' ').collect();
                match words.as_slice() {
                    [_, _, "lua]", ..] => count += 1,
                    [_, _, _, command, digest, ..]
                        if ["\"eval", "\"fcall"]
                            .iter()
                            .any(|call| command.to_ascii_lowercase().starts_with(call)) =>
                    {
                        let mut scripts = script::ALL.iter();
                        running =
                            scripts.find(|one| digest.contains(&one.digest)).map(|one| one.name);
                        count = 0;
                    }
                    _ => running = None,
                }
                if let Some(script) = running {
                    let dearest = costs.entry(script).or_default();
                    *dearest = count.max(*dearest);
                }
            }
            costs
        });
        let mut hearing = JoinSet::new();
        hearing.spawn(async move { lines.as_mut().await });
        Self(hearing)
    }

    pub async fn read(mut self, redis: &Redis) -> Costs {
        redis.ask::<String>(&["ECHO", END]).await;
        within("the meter", self.0.join_next()).await.unwrap().unwrap()
    }
}
