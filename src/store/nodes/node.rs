//! One Redis: the connections of this process to it, and what is known of its health.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::super::health::Health;
use super::super::link::Link;
use super::super::replicas::Replicas;
use super::super::{Error, Shared, connect};
use super::topology::Address;

/// A server that accepts writes.
pub(in super::super) struct Node {
    /// Its host and port in a cluster. `None` if the URL of the settings leads to it.
    pub address: Option<Address>,
    /// Opens connections of their own.
    pub client: redis::Client,
    /// The connection that all scripts share.
    pub hot: Link,
    /// Connections for long answers, so that these never delay a claim.
    pub cold: deadpool_redis::Pool,
    pub health: Health,
    /// Confirms writes by replicas. `None` if the primary's confirmation is enough.
    pub replicas: Option<Replicas>,
    /// The task that replaces the connections of the pool. It ends with the node.
    _renewal: JoinSet<()>,
}

impl Node {
    /// Makes a node that connects on its first calls.
    pub fn new(
        client: redis::Client,
        address: Option<Address>,
        shared: &Arc<Shared>,
    ) -> Result<Self, Error> {
        let patience = connect::patience(&shared.settings);
        let hot = Link::new(client.clone(), patience.clone());
        let info = client.get_connection_info().clone();
        let manager = deadpool_redis::Manager::new_with_config(info, patience)
            .map_err(|source| Error::redis("connect", source))?;
        let cold = deadpool_redis::Pool::builder(manager).runtime(deadpool_redis::Runtime::Tokio1);
        let cold = cold.build().map_err(|error| Error::corrupt(error.to_string()))?;
        let mut renewal = JoinSet::new();
        let (mut moves, pool) = (hot.moves(), cold.clone());
        renewal.spawn(async move {
            while moves.changed().await.is_ok() {
                drop(pool.retain(|_, _| false));
            }
        });
        let is_awaited = shared.settings.wait_replicas > 0;
        Ok(Self {
            replicas: is_awaited.then(|| Replicas::start(client.clone(), Arc::clone(shared))),
            health: Health::new(address.as_ref().map(|(host, port)| format!("{host}:{port}"))),
            address,
            client,
            hot,
            cold,
            _renewal: renewal,
        })
    }
}
