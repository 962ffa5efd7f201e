//! The role for NATS: publishing events, and answering requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Error, Running};
use crate::domain::principal::Origin;
use crate::http::openapi;
use crate::http::{self, Inside};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;
use crate::settings::Settings;
use crate::transport::{self, Answer, Call, Client, Handler, Publisher, Service, TaskVerb};
use crate::workers::Bridge;

/// Starts the bridge and, if a credential is configured, the answering of requests.
pub(super) async fn start(running: &mut Running, settings: &Settings) -> Result<(), Error> {
    let client = transport::connect(&settings.nats).await?;
    let publisher =
        Publisher::new(client.clone(), settings.nats.clone(), &settings.engine.events.source);
    running.supervisor.start(Bridge::new(running.engine.clone(), publisher));
    running.nats_client = Some(client.clone());
    tracing::info!("the bridge runs");
    if !settings.nats.services {
        return Ok(());
    }
    let stop = running.stop.clone();
    match Inside::new(running.engine.clone(), &settings.http, stop.clone(), Origin::Nats).await {
        Ok(api) => {
            let nats = settings.nats.clone();
            let largest = settings.engine.largest_task_bytes();
            running.nats.spawn(answer(client, nats, largest, api, stop));
        }
        // Publishing events needs no credential.
        Err(http::Error::NoCredential) => {
            tracing::info!("no credential is set, requests over NATS are not answered")
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Answers requests over NATS until `stop` is cancelled.
///
/// * `largest`: the size of the largest task in bytes.
async fn answer(
    client: Client,
    settings: transport::Settings,
    largest: usize,
    api: Inside,
    stop: CancellationToken,
) {
    let handler: Handler = Arc::new(move |call: Result<Call, String>, room: usize| {
        let api = api.clone();
        Box::pin(async move {
            let (status, body, receipt) = match call {
                Ok(Call { method, path, headers, body }) => {
                    api.answer(&method, &path, &headers, body, room).await
                }
                Err(why) => api.refuse(why).await,
            };
            Answer { status, body, receipt }
        })
    });
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match Service::start(&client, &settings, task_verbs()).await {
            Ok(service) => {
                if backoff.failures() > 0 {
                    tracing::info!("answering requests over NATS");
                }
                return tokio::select! {
                    () = service.run(handler, stop) => {}
                    () = compare_sizes(&client, largest) => {}
                };
            }
            Err(error) if backoff.failures() == 0 => {
                let error = Chain(&error);
                tracing::error!(%error, "cannot answer requests over NATS yet, retrying");
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(sleep(backoff.next_wait())).await.is_none() {
            return;
        }
    }
}

/// Logs a warning if tasks can be larger than a NATS message. Never returns.
async fn compare_sizes(client: &Client, largest: usize) {
    // The limit of the server is known once there is a connection.
    let is_connected = client.flush().await.is_ok();
    let room = transport::room_of(client);
    if is_connected && largest > room {
        tracing::warn!(
            nats.room = room,
            task.bytes = largest,
            "max_payload of NATS is smaller than the largest task; \
             larger tasks can be claimed over HTTP only"
        );
    }
    std::future::pending().await
}

/// Returns the calls on a task that the HTTP API offers. Each can be made over NATS too.
pub fn task_verbs() -> Vec<TaskVerb> {
    let verbs = openapi::task_calls().into_iter();
    verbs.map(|(name, method)| TaskVerb { name, method }).collect()
}
