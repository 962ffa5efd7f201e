//! `orchestrator demo`: three small agents and an approver find, fix and deploy the cause of an
//! alert. They use the public API like any client.

mod agents;
mod approver;
mod print;
mod teller;

use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::client::{self, Client};
use crate::domain::principal::Role;
use print::{Style, print};
use teller::{Notice, Teller};

/// The names and roles of the participants. The approver submits nothing, because a submitter
/// cannot decide on the task.
pub const CAST: [(&str, Role); 5] = [
    ("monitoring", Role::Agent),
    ("ops_agent", Role::Agent),
    ("dev_agent", Role::Agent),
    ("faq_agent", Role::Agent),
    ("alice", Role::Approver),
];

/// The number of tasks of the story: alert, bugfix, deploy, kb_update.
const TASKS: usize = 4;

/// How long the story may take. It needs about two seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// The reason why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the API failed.
    #[error("{who} cannot continue")]
    Call {
        /// The participant whose call failed.
        who: &'static str,
        /// Why the call failed.
        #[source]
        source: client::Error,
    },
    /// The store is in use: the agents of the demo would claim tasks of its users.
    #[error(
        "the store has {0} open task(s), which the agents of the demo would claim; \
         set REDIS_URL to an empty one"
    )]
    InUse(u64),
    /// A participant ended before the story was over.
    #[error("a participant ended unexpectedly")]
    Silent,
    /// The tasks of the story did not end in time.
    #[error("the demo did not finish within {LIMIT:?}")]
    TooLong,
    /// The standard output does not accept the lines.
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
}

/// A participant, which calls the API and reports what it does.
#[derive(Clone)]
struct Caller {
    name: &'static str,
    client: Client,
    teller: mpsc::UnboundedSender<Notice>,
}

/// A task as an answer contains it; other members are ignored.
#[derive(Clone, Debug, Deserialize)]
struct Task {
    task_id: String,
    #[serde(rename = "type")]
    kind: String,
    trace_id: Option<String>,
    payload: Value,
}

/// A list as an answer contains it.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
}

impl Caller {
    fn tell(&self, notice: Notice) {
        // The receiver is gone once the story is over.
        let _ = self.teller.send(notice);
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.client.get(path).await;
        answer.map_err(|source| Error::Call { who: self.name, source })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        let answer = self.client.post(path, body).await;
        answer.map_err(|source| Error::Call { who: self.name, source })
    }

    async fn submit(&self, submission: &Value, why: &str) -> Result<Task, Error> {
        let task: Task = self.post("/tasks", submission).await?;
        self.tell(Notice::Submitted { task: task.clone(), why: why.to_owned() });
        Ok(task)
    }
}

/// Runs the story over the service at `url`. `key_of` gives the API key of each of [`CAST`].
///
/// Returns whether every task was completed.
///
/// # Errors
///
/// Returns an error if the service refuses a call, or if the story takes longer than 15 s.
pub async fn run(url: &str, key_of: impl Fn(&str) -> String) -> Result<bool, Error> {
    let (sender, notices) = mpsc::unbounded_channel();
    let client =
        Client::new(url, None).map_err(|source| Error::Call { who: "the demo", source })?;
    let caller = |name: &'static str| Caller {
        name,
        client: client.with_key(&key_of(name)),
        teller: sender.clone(),
    };
    let monitoring = caller("monitoring");
    refuse_a_busy_store(&monitoring).await?;

    let mut cast = JoinSet::new();
    for agent in ["ops_agent", "dev_agent", "faq_agent"] {
        cast.spawn(agents::serve(caller(agent)));
    }
    cast.spawn(approver::serve(caller("alice")));
    let mut teller = Teller::new(monitoring.client.clone(), notices);
    print(&Style::here().head(url)).map_err(Error::Output)?;
    let tale = async {
        monitoring.submit(&alert(), "checkout-api: 7.2 % of requests fail").await?;
        teller.tell(TASKS).await
    };
    let ended = tokio::select! {
        ended = timeout(LIMIT, tale) => ended.unwrap_or(Err(Error::TooLong)),
        Some(ended) = cast.join_next() => {
            Err(ended.ok().and_then(Result::err).unwrap_or(Error::Silent))
        }
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
        "payload": {
            "service": "checkout-api",
            "signal": "error_rate",
            "value": 0.072,
            "threshold": 0.01,
        },
    })
}

async fn refuse_a_busy_store(caller: &Caller) -> Result<(), Error> {
    let stats: Value = caller.get("/stats").await?;
    let open = stats["by_priority"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    if open == 0 { Ok(()) } else { Err(Error::InUse(open)) }
}
