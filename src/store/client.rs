//! Clients of single servers.

use redis::{RedisResult, TlsCertificates};

/// Returns a client for the URL of one server.
pub(super) fn client(
    url: &str,
    certificates: Option<&TlsCertificates>,
) -> RedisResult<redis::Client> {
    match certificates {
        Some(certificates) => redis::Client::build_with_tls(url, certificates.clone()),
        None => redis::Client::open(url),
    }
}
