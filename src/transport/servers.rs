//! What `nats.url` says: the servers, and with which credentials.

use crate::runtime::address::{Fault, Url};

use super::Settings;

/// The servers of one NATS.
pub(super) struct Servers {
    /// Without credentials.
    pub(super) urls: Vec<String>,
    /// Decoded; without a password it is a token.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// Why `nats.url` is none that NATS can be reached by; `None`: it is one, or empty.
pub fn fault_of_url(settings: &Settings) -> Option<Fault> {
    if !settings.is_on() {
        return None;
    }
    Servers::read(settings).err()
}

impl Servers {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        let mut servers = Self { urls: Vec::new(), user: None, password: None };
        for text in settings.url.expose().split(',') {
            let url = Url::read(text.trim())?;
            let [(host, port)] = url.hosts.as_slice() else { return Err("expected a host") };
            if !matches!(url.scheme, "nats" | "tls") {
                return Err("expected URLs that begin with nats:// or tls://, joined by commas");
            }
            if !matches!(url.path, "" | "/") || !url.query.is_empty() || url.fragment.is_some() {
                return Err("expected nothing after the host and its port");
            }
            let credentials = (url.user, url.password);
            let is_first = servers.urls.is_empty();
            if !is_first && credentials != (servers.user.clone(), servers.password.clone()) {
                return Err("expected the same user and password for each server");
            }
            (servers.user, servers.password) = credentials;
            let host = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            servers.urls.push(format!("{}://{host}{port}", url.scheme));
        }
        let others = [&settings.token, &settings.password, &settings.nkey_seed];
        let has_others = others.iter().any(|secret| !secret.expose().is_empty())
            || !settings.user.is_empty()
            || !settings.credentials_file.is_empty();
        match (&servers.user, &servers.password) {
            (None, Some(_)) => Err("expected a user before the password"),
            (Some(_), _) if has_others => Err(
                "expected no user in the URL where another setting of [nats] says how the server knows us",
            ),
            _ => Ok(servers),
        }
    }
}
