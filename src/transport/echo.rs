//! Finds out whether a message had a subscriber, and whether a requester is still connected.
//!
//! A server answers a message that has a reply subject, but whose subject has no subscriber, with
//! the status "no responders". The messages of one connection are processed in order: so a message
//! to ourselves behind it comes back after that answer would have, and there is nothing else to
//! wait for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, HeaderMap, PublishError, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Error;

/// How long a server may take to report that there is no subscriber. Without a report the message
/// counts as delivered.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a request may be in work before its requester is checked for the first time.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How often the requester of each waiting request is checked.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// The last token of the reply subject of a probe. Clients ignore messages for tokens of theirs
/// that they do not know.
const PROBE: &str = "orchestrator-probe";

/// Sends messages and probes over one connection. It is cheap to clone.
#[derive(Clone)]
pub struct Echo(Arc<Inner>);

struct Inner {
    client: Client,
    inbox: String,
    next: AtomicU64,
    /// By the number of each message, the sender of its result.
    waiting: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
}

/// Removes the entry of a message once its result arrived or its sender gave up.
struct Pending<'a>(&'a Inner, u64);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<bool>>> {
        // Each holder makes one call on the map, so nothing is left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Echo {
    /// Subscribes to the reports, which [`Self::listen`] must receive.
    pub async fn start(client: &Client) -> Result<(Self, Subscriber), Error> {
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(format!("{inbox}.*")).await;
        let answers = subscribed.map_err(|error| Error::Service(Box::new(error)))?;
        let inner = Inner {
            client: client.clone(),
            inbox,
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
        };
        Ok((Self(Arc::new(inner)), answers))
    }

    /// Processes the reports. Never returns.
    pub async fn listen(&self, mut answers: Subscriber) {
        while let Some(answer) = answers.next().await {
            let number = answer.subject.rsplit('.').next().and_then(|token| token.parse().ok());
            let waiting = number.and_then(|number: u64| self.0.lock().remove(&number));
            if let Some(waiting) = waiting {
                // A sender that gave up needs no result.
                let _ = waiting.send(answer.status != Some(StatusCode::NO_RESPONDERS));
            }
        }
        std::future::pending().await
    }

    /// Publishes a message. Returns whether a subscriber got it, as far as the server knows.
    ///
    /// # Errors
    ///
    /// It could not be published: the connection is lost, or it is too large for the server.
    pub async fn is_delivered(
        &self,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<bool, PublishError> {
        let (sender, receiver) = oneshot::channel();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.lock().insert(number, sender);
        let _pending = Pending(&self.0, number);
        let own = format!("{}.{number}", self.0.inbox);
        let client = &self.0.client;
        client.publish_with_reply_and_headers(subject, own.clone(), headers, payload).await?;
        client.publish(own, Bytes::new()).await?;
        Ok(timeout(PATIENCE, receiver).await.map_or(true, |delivered| delivered.unwrap_or(true)))
    }

    /// Returns once the requester that waits for an answer at `reply` has disconnected.
    ///
    /// That can be detected if a client has one subscription for all its answers, as clients have
    /// by default: a message for another token reaches it as long as the client is connected. With
    /// a subscription for this answer alone nothing can be known before the answer, and this never
    /// returns.
    pub async fn is_gone(&self, reply: Option<&Subject>) {
        let Some(probe) = reply.and_then(|reply| probe_of(reply)) else {
            return std::future::pending().await;
        };
        sleep(FIRST_LOOK).await;
        if !self.is_there(&probe).await {
            return std::future::pending().await;
        }
        loop {
            sleep(LOOK_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            if !self.is_there(&probe).await {
                return;
            }
        }
    }

    /// Whether a message to this subject has a subscriber; true in case of doubt.
    async fn is_there(&self, subject: &Subject) -> bool {
        self.is_delivered(subject.clone(), HeaderMap::new(), Bytes::new()).await.unwrap_or(true)
    }
}

/// Another token of the inbox that `reply` belongs to; `None` if it is no token of a larger inbox.
fn probe_of(reply: &str) -> Option<Subject> {
    let (inbox, _) = reply.rsplit_once('.').filter(|(inbox, _)| inbox.contains('.'))?;
    Some(format!("{inbox}.{PROBE}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_inbox_with_many_tokens_can_be_probed() {
        let probe = |reply| probe_of(reply).map(|subject| subject.to_string());

        assert_eq!(probe("_INBOX.abc.1"), Some(format!("_INBOX.abc.{PROBE}")));
        assert_eq!(probe("_INBOX.abc"), None);
        assert_eq!(probe("reply"), None);
    }
}
