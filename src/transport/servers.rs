//! The servers that `nats.url` names, and the credentials in it.

use crate::runtime::address::{Fault, Url};

use super::Settings;

/// The servers of one NATS.
pub(super) struct Servers {
    /// The URLs without their credentials.
    pub(super) urls: Vec<String>,
    /// The user, decoded; without a password it is a token. `None` if there is neither.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// Why `nats.url` cannot be used; `None` if it can, or if it is empty.
pub fn fault_of_url(settings: &Settings) -> Option<Fault> {
    settings.is_on().then(|| Servers::read(settings).err())?
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
                "expected no user in the URL, because another setting of [nats] has credentials",
            ),
            _ => Ok(servers),
        }
    }
}
