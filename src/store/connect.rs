//! How Redis is reached: by address, over TLS, or behind Sentinel.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ClientTlsConfig, TlsCertificates};

use super::{Error, Settings, sentinel};

/// A client for what the settings name, and what the client goes through.
///
/// # Errors
///
/// [`Error::Unusable`] if the URL or a certificate does not do.
pub(super) fn open_client(
    settings: &Settings,
) -> Result<(redis::Client, Option<sentinel::Relay>), Error> {
    let unusable =
        |error: redis::RedisError| Error::Unusable { why: format!("store.url: {error}") };
    if settings.url.starts_with(sentinel::SCHEME) {
        let relay =
            sentinel::Relay::open(&settings.url, connect_limit(settings)).map_err(unusable)?;
        let client = redis::Client::open(relay.connection_info()).map_err(unusable)?;
        return Ok((client, Some(relay)));
    }
    let client = match certificates(settings)? {
        Some(certificates) => redis::Client::build_with_tls(settings.url.as_str(), certificates),
        None => redis::Client::open(settings.url.as_str()),
    };
    Ok((client.map_err(unusable)?, None))
}

/// The authority that the server is checked against and the certificate that is shown to it. `None`: the system's
/// authorities, and none.
fn certificates(settings: &Settings) -> Result<Option<TlsCertificates>, Error> {
    let root_cert = read("store.tls_ca_file", &settings.tls_ca_file)?;
    let certificate = read("store.tls_cert_file", &settings.tls_cert_file)?;
    let key = read("store.tls_key_file", &settings.tls_key_file)?;
    let client_tls = match (certificate, key) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        _ => None,
    };
    let is_any = root_cert.is_some() || client_tls.is_some();
    Ok(is_any.then_some(TlsCertificates { client_tls, root_cert }))
}

fn read(setting: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
    if path.is_empty() {
        return Ok(None);
    }
    let failed = |error| Error::Unusable { why: format!("{setting}: cannot read {path}: {error}") };
    std::fs::read(path).map(Some).map_err(failed)
}

/// How long connecting and answers may take.
pub(super) fn patience(settings: &Settings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_limit(settings)))
        .set_response_timeout(Some(Duration::from_millis(settings.response_timeout_ms)))
}

fn connect_limit(settings: &Settings) -> Duration {
    Duration::from_millis(settings.connect_timeout_ms)
}
