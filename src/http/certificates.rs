//! The certificate of the gateway: read at the start, and again whenever its files change.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::runtime::tls::{ServerFiles, ServerPem, Unusable};

use super::settings::{Error, Http};

/// How often the files are read again: soon enough for an operator who waits, and next to nothing
/// for three small files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The certificate of the gateway, with its key and the authorities of clients.
pub struct Certificates {
    files: ServerFiles,
    current: RwLock<Arc<ServerConfig>>,
}

/// What was seen in the files when they were read last.
struct Seen {
    pem: Result<ServerPem, Unusable>,
    /// Whether the log has what became of them.
    is_settled: bool,
}

impl Certificates {
    /// Reads the files that `http` names, and what is in them. `None` if it names none: the gateway
    /// speaks plain HTTP.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the files do not belong together.
    pub fn load(http: &Http) -> Result<Option<Watched>, Error> {
        let Some(files) = files(http) else { return Ok(None) };
        let loaded = files.read().and_then(|pem| Ok((files.config(&pem)?, pem)));
        let (config, pem) = loaded.map_err(|unusable| {
            let key = if unusable.file == files.key {
                "http.tls_key_file"
            } else if unusable.file == files.client_authorities {
                "http.tls_client_ca_file"
            } else {
                "http.tls_cert_file"
            };
            Error::refused(key, unusable.why)
        })?;
        let current = RwLock::new(Arc::new(config));
        let certificates = Arc::new(Self { files, current });
        Ok(Some(Watched { certificates, seen: Seen { pem: Ok(pem), is_settled: true } }))
    }

    /// What the next connection uses.
    pub fn current(&self) -> Arc<ServerConfig> {
        // The lock holds one pointer, which is never half written.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is in the files, if it can be used.
    fn take(&self, pem: &ServerPem) -> Result<(), Unusable> {
        let config = Arc::new(self.files.config(pem)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

/// The files that `http` names; `None` if it names none.
fn files(http: &Http) -> Option<ServerFiles> {
    (!http.tls_cert_file.is_empty()).then(|| ServerFiles {
        certificate: http.tls_cert_file.clone(),
        key: http.tls_key_file.clone(),
        client_authorities: http.tls_client_ca_file.clone(),
    })
}

/// The certificate, and what was seen in its files.
pub struct Watched {
    /// The certificate, for connections.
    pub certificates: Arc<Certificates>,
    seen: Seen,
}

impl Watched {
    /// Reads the files again and again, and takes what they hold if that can be used; connections
    /// that are open keep what they began with. Never returns.
    pub async fn watch(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let files = self.certificates.files.clone();
            let Ok(pem) = spawn_blocking(move || files.read()).await else { continue };
            self.see(pem);
        }
    }

    /// A certificate and its key are often written one after the other, so what does not belong
    /// together is a fault only when it is still there the next time.
    fn see(&mut self, pem: Result<ServerPem, Unusable>) {
        let is_new = pem != self.seen.pem;
        if !is_new && self.seen.is_settled {
            return;
        }
        let taken = match &pem {
            Ok(pem) => self.certificates.take(pem),
            Err(unusable) => Err(Unusable::clone(unusable)),
        };
        let is_settled = taken.is_ok() || !is_new;
        match taken {
            Ok(()) => tracing::info!("TLS certificate changed, used by new connections"),
            Err(Unusable { file, why }) if is_settled => {
                tracing::error!(file, error = why, "changed TLS files not usable, old ones kept");
            }
            Err(_) => {}
        }
        self.seen = Seen { pem, is_settled };
    }
}
