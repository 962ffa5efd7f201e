//! Where the layers that are built elsewhere are plugged in. Each item has the shape of what replaces it.

use std::io;
use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::engine::{self, Engine};
use crate::settings::{HttpSettings, Settings};
use crate::store::{self, Store};

/// Connects to the store and builds the use cases over it.
///
pub(super) async fn open_engine(settings: &Settings) -> Result<Engine, engine::Error> {
    let store = store::Settings { events_kept: settings.engine.retention.events, ..settings.store.clone() };
    let store = Store::open(store).await?;
    Ok(Engine::new(store, settings.engine.clone(), CancellationToken::new()))
}

/// The API document as JSON, or as YAML.
///
/// To be: the finished document of `http`.
pub(super) fn api_document(_yaml: bool) -> String {
    "{}\n".to_owned()
}

/// A gateway that listens. To be: `http::Gateway`.
#[derive(Debug)]
pub(super) struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    pub(super) async fn bind(_: Engine, _: &HttpSettings, _: CancellationToken) -> Result<Self, io::Error> {
        Err(io::Error::other("this build has no gateway"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn serve(self) -> io::Result<()> {
        Ok(())
    }
}
