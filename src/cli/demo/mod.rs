//! `orchestrator demo`: an alert is found, fixed, approved and deployed by three small agents and a human, who use
//! the public API like anybody.

mod agents;
mod approver;
mod print;
mod teller;

use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{self, Client};
use crate::domain::principal::Role;
use teller::{Teller, Told};

/// Who takes part, and in which role. The approver submits nothing: nobody approves his own task.
pub const CAST: [(&str, Role); 5] = [
    ("monitoring", Role::Agent),
    ("ops_agent", Role::Agent),
    ("dev_agent", Role::Agent),
    ("faq_agent", Role::Agent),
    ("alice", Role::Approver),
];

/// How many tasks the story has: alert, bugfix, deploy, kb_update.
const TASKS: usize = 4;

/// How long the story may take; it needs about two seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// Why the story could not be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the API failed.
    #[error("{who} could not go on")]
    Call {
        /// Who called.
        who: &'static str,
        /// What came of it.
        #[source]
        source: client::Error,
    },
    /// The store is somebody's: the demo's agents would take tasks that are not theirs.
    #[error(
        "the store has {0} open task(s), which the demo's agents would take; let REDIS_URL name an empty one"
    )]
    InUse(u64),
    /// Somebody of the cast ended before the story did.
    #[error("somebody of the cast fell silent")]
    Silent,
    /// It did not come to its end in time.
    #[error("the story did not come to its end within {LIMIT:?}")]
    TooLong,
    /// The lines could not be written.
    #[error("cannot write the story")]
    Output(#[source] io::Error),
}

/// Somebody who calls the API and says what he does.
#[derive(Clone)]
struct Caller {
    name: &'static str,
    client: Client,
    teller: mpsc::UnboundedSender<Told>,
}

/// A task as an answer has it; what else there is does not matter here.
#[derive(Clone, Debug, Deserialize)]
struct Task {
    task_id: String,
    #[serde(rename = "type")]
    kind: String,
    trace_id: Option<String>,
    payload: Value,
}

impl Caller {
    fn tell(&self, told: Told) {
        // Nobody listens any more once the story is over.
        let _ = self.teller.send(told);
    }

    fn failed(&self) -> impl Fn(client::Error) -> Error + use<> {
        let who = self.name;
        move |source| Error::Call { who, source }
    }

    async fn submit(&self, submission: &Value, why: &str) -> Result<Task, Error> {
        let task: Task = self.client.post("/tasks", submission).await.map_err(self.failed())?;
        self.tell(Told::Submitted {
            id: task.task_id.clone(),
            kind: task.kind.clone(),
            why: why.to_owned(),
        });
        Ok(task)
    }
}

/// Tells the story over the service at `url`; `key_of` gives the API key of each of [`CAST`].
///
/// True: every task was completed.
///
/// # Errors
///
/// If the service refuses somebody, or the story takes longer than 15 s.
pub async fn run(url: &str, key_of: impl Fn(&str) -> String) -> Result<bool, Error> {
    let (sender, told) = mpsc::unbounded_channel();
    let anybody =
        Client::new(url, None).map_err(|source| Error::Call { who: "the demo", source })?;
    let caller = |name: &'static str| Caller {
        name,
        client: anybody.with_key(&key_of(name)),
        teller: sender.clone(),
    };
    let monitoring = caller("monitoring");
    refuse_a_busy_store(&monitoring).await?;

    let mut cast = JoinSet::new();
    for agent in ["ops_agent", "dev_agent", "faq_agent"] {
        cast.spawn(agents::serve(caller(agent)));
    }
    cast.spawn(approver::serve(caller("alice")));
    let mut teller = Teller::new(monitoring.client.clone(), told, print::Printer::here());
    teller.open(url).map_err(Error::Output)?;
    let tale = async {
        monitoring.submit(&alert(), "checkout-api: 7.2 % of requests fail").await?;
        teller.tell(TASKS).await
    };
    let ended = tokio::select! {
        ended = timeout(LIMIT, tale) => ended.unwrap_or(Err(Error::TooLong)),
        Some(fault) = cast.join_next() => Err(fault.ok().and_then(Result::err).unwrap_or(Error::Silent)),
    };
    cast.shutdown().await;
    ended
}

fn alert() -> Value {
    json!({
        "type": "alert",
        "priority": "P2",
        "source": "monitoring",
        "trace_id": format!("demo-{:08x}", fastrand::u32(..)),
        "payload": { "service": "checkout-api", "signal": "error_rate", "value": 0.072, "threshold": 0.01 },
    })
}

async fn refuse_a_busy_store(caller: &Caller) -> Result<(), Error> {
    let stats: Value = caller.client.get("/stats").await.map_err(caller.failed())?;
    let open = stats["by_priority"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    if open == 0 { Ok(()) } else { Err(Error::InUse(open)) }
}
