//! Connects to Redis by address, over TLS, behind Sentinel or as a cluster.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ClientTlsConfig, TlsCertificates};

use crate::runtime::address::{Fault, Url};

use super::client::client;
use super::nodes::{Cluster, SCHEMES};
use super::{Error, Settings, sentinel};

/// Returns a client for the URL of the settings, and the relay that it goes through if the URL
/// names Sentinels.
///
/// # Errors
///
/// [`Error::Unusable`] if the URL is invalid or a certificate is not readable.
pub(super) fn open_client(
    settings: &Settings,
) -> Result<(redis::Client, Option<sentinel::Relay>), Error> {
    let url = settings.url.expose();
    let certificates = certificates(settings)?;
    if url.split_once("://").is_some_and(|(scheme, _)| sentinel::SCHEMES.contains(&scheme)) {
        let limit = connect_limit(settings);
        let relay = sentinel::Relay::open(url, certificates.as_ref(), limit).map_err(unusable)?;
        let client = redis::Client::open(relay.connection_info()).map_err(unusable)?;
        return Ok((client, Some(relay)));
    }
    Ok((client(url, certificates.as_ref()).map_err(unusable)?, None))
}

/// Returns the cluster that the URL of the settings names. `None` if it names none.
///
/// # Errors
///
/// [`Error::Unusable`] if the URL is invalid or a certificate is not readable.
pub(super) fn cluster(settings: &Settings) -> Result<Option<Cluster>, Error> {
    let url = settings.url.expose();
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    if !SCHEMES.contains(&scheme) {
        return Ok(None);
    }
    let cluster = Cluster::read(url, certificates(settings)?).map_err(unusable)?;
    Ok(Some(cluster))
}

pub(super) fn unusable(error: redis::RedisError) -> Error {
    Error::Unusable { why: format!("store.url: {error}") }
}

/// Returns the authority that the server is checked against and the certificate that is shown to
/// it. `None` if the system's authorities are used and no certificate is shown.
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
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => {
            Err(Error::Unusable { why: format!("{setting}: cannot read {path}: {error}") })
        }
    }
}

/// Returns why `url` cannot be the URL of a Redis. `None` if it can.
pub fn fault_of_url(url: &str) -> Option<Fault> {
    let read = match Url::read(url) {
        Ok(read) => read,
        Err(fault) => return Some(fault),
    };
    let fault = match read.scheme {
        "redis" | "rediss" => fault_of_tcp(&read),
        "unix" | "redis+unix" => fault_of_socket(&read),
        scheme if sentinel::SCHEMES.contains(&scheme) => fault_of_sentinels(&read),
        scheme if SCHEMES.contains(&scheme) => fault_of_cluster(&read),
        _ => Some(
            "expected a URL that begins with redis://, rediss://, unix://, redis+unix://, \
             redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://",
        ),
    };
    if fault.is_some() {
        return fault;
    }
    let is_usable = match read.scheme {
        scheme if sentinel::SCHEMES.contains(&scheme) => sentinel::is_usable(url),
        scheme if SCHEMES.contains(&scheme) => Cluster::is_usable(url),
        _ => redis::Client::open(url).is_ok(),
    };
    (!is_usable).then_some("the Redis client cannot use this URL")
}

const DATABASE: Fault =
    "expected nothing after the host but the number of the database, as in redis://host:6379/3";

fn fault_of_tcp(url: &Url<'_>) -> Option<Fault> {
    if url.hosts.len() != 1 {
        return Some("expected one host");
    }
    let is_plain = url.query.is_empty() && url.fragment.is_none() && url.database().is_some();
    (!is_plain).then_some(DATABASE)
}

fn fault_of_socket(url: &Url<'_>) -> Option<Fault> {
    if !url.hosts.is_empty() || url.path.len() < 2 {
        return Some("expected the path of a socket after unix://, as in unix:///run/redis.sock");
    }
    let is_known = url.query.iter().all(|(name, value)| match *name {
        "db" => value.parse::<u32>().is_ok_and(|number| i32::try_from(number).is_ok()),
        name => matches!(name, "user" | "pass") && !value.is_empty(),
    });
    if is_known && url.fragment.is_none() {
        return None;
    }
    Some(
        "expected nothing after the path but ?db=<number>&user=<name>&pass=<password>, or some of \
         them",
    )
}

fn fault_of_sentinels(url: &Url<'_>) -> Option<Fault> {
    if !url.fragment.is_some_and(is_name) {
        return Some("expected the primary's name at the end, as in redis-sentinel://host#name");
    }
    if url.hosts.is_empty() {
        return Some("expected the hosts of the Sentinels");
    }
    if url.query.iter().any(|(name, value)| *name != "sentinel_password" || value.is_empty()) {
        return Some("expected nothing in the query but sentinel_password=<password>");
    }
    url.database().is_none().then_some(DATABASE)
}

fn fault_of_cluster(url: &Url<'_>) -> Option<Fault> {
    if url.hosts.is_empty() {
        return Some("expected the hosts of nodes of the cluster");
    }
    if url.database() != Some(0) {
        return Some("expected no database: a Redis Cluster has only number 0");
    }
    let is_plain = url.query.is_empty() && url.fragment.is_none();
    (!is_plain).then_some("expected nothing after the hosts, as in redis-cluster://one,two:6380")
}

/// Returns whether Sentinel accepts `text` as the name of a primary.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Returns the time limits of connecting and of answers.
pub(super) fn patience(settings: &Settings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_limit(settings)))
        .set_response_timeout(Some(Duration::from_millis(settings.response_timeout_ms)))
}

fn connect_limit(settings: &Settings) -> Duration {
    Duration::from_millis(settings.connect_timeout_ms)
}
