//! Which gateway a command calls, and as whom.

use tokio::process::Command;

use super::super::client::Client;
use super::super::contexts::{Context, Contexts};
use super::Error;
use crate::domain::name::Name;
use crate::runtime::address::Address;
use crate::runtime::secret::Secret;
use crate::runtime::tls;

/// The environment variable that holds the URL of the gateway.
const URL: &str = "ORCHESTRATOR_URL";

/// The environment variable that holds the caller's API key.
const KEY: &str = "ORCHESTRATOR_API_KEY";

/// The environment variable that names the file of the authorities to trust.
const CA_FILE: &str = "ORCHESTRATOR_CA_FILE";

/// The environment variable that names the context.
const CONTEXT: &str = "ORCHESTRATOR_CONTEXT";

/// The gateway if neither an option nor a context names one.
const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// The gateway that a command calls. The API key comes from the environment or the context, never
/// from the command line, which others can see.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The URL of the gateway, with the key in ORCHESTRATOR_API_KEY. Default: that of the context,
    /// else http://127.0.0.1:8000.
    #[arg(long, env = URL, help_heading = HEADING)]
    url: Option<Address>,
    /// Trust only the authorities in this PEM file. Default: those of the context, or the system.
    #[arg(long, env = CA_FILE, value_name = "FILE", help_heading = HEADING)]
    ca_file: Option<String>,
    /// Use the gateway and the key of this context instead of the current one.
    #[arg(long, env = CONTEXT, value_name = "NAME", conflicts_with = "url")]
    #[arg(help_heading = HEADING)]
    context: Option<Name>,
}

const HEADING: &str = "Gateway";

/// A gateway, what it is trusted by, and the key of the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    url: String,
    ca_file: Option<String>,
    key: Option<Secret>,
}

/// Reads the URL of a gateway.
///
/// # Errors
///
/// It is none, or has a user or a password: keys have a place of their own. The message shows no part
/// of it.
pub fn url(given: &Address) -> Result<String, Error> {
    let text = given.expose();
    let wrong = |why: &str| Error::Usage(format!("the URL of the gateway: expected {why}"));
    let url = reqwest::Url::parse(text).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let url = url.ok_or_else(|| wrong("http[s]://<host>[:<port>]"))?;
    let has_secret = !url.username().is_empty() || url.password().is_some();
    if has_secret || url.query().is_some() || url.fragment().is_some() {
        let why = "no user, password or query: the key is in ORCHESTRATOR_API_KEY or in a context";
        return Err(wrong(why));
    }
    Ok(text.to_owned())
}

impl Connection {
    /// Returns a client of the gateway for the caller.
    pub fn client(&self) -> Result<Client, Error> {
        self.target()?.client()
    }

    /// Returns the gateway that the options name, or else the context.
    pub fn target(&self) -> Result<Target, Error> {
        let key = std::env::var(KEY).ok().filter(|key| !key.is_empty()).map(Secret::new);
        if let Some(url) = &self.url {
            return Ok(Target { url: self::url(url)?, ca_file: self.ca_file.clone(), key });
        }
        let context = Contexts::read()?.chosen(self.context.as_ref())?;
        let Some(Context { url, ca_file, .. }) = &context else {
            return Ok(Target { url: DEFAULT_URL.to_owned(), ca_file: self.ca_file.clone(), key });
        };
        let ca_file = self.ca_file.clone().or_else(|| ca_file.clone());
        let key = match (key, &context) {
            (None, Some(context)) => context.key()?,
            (key, _) => key,
        };
        Ok(Target { url: url.clone(), ca_file, key })
    }
}

impl Target {
    /// Returns a client of this gateway.
    pub fn client(&self) -> Result<Client, Error> {
        let unusable = |file: &str, why: &str| Error::Usage(format!("the file {file} {why}"));
        let pem = match &self.ca_file {
            Some(file) => {
                tls::check_authorities(file).map_err(|why| unusable(file, &why))?;
                Some(std::fs::read(file).map_err(|why| unusable(file, &why.to_string()))?)
            }
            None => None,
        };
        let key = self.key.as_ref().map(Secret::expose);
        Ok(Client::trusting(&self.url, key, pem.as_deref())?)
    }

    /// Sets the variables by which another program calls this gateway as the same caller.
    pub fn set_in(&self, command: &mut Command) {
        command.env_remove(CONTEXT).env(URL, &self.url);
        if let Some(file) = &self.ca_file {
            command.env(CA_FILE, file);
        }
        if let Some(key) = &self.key {
            command.env(KEY, key.expose());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_by_a_url() {
        for good in ["http://127.0.0.1:8000", "https://tasks.example.com/path"] {
            assert!(url(&good.into()).is_ok(), "{good}");
        }
        for bad in [
            "localhost:8000",
            "ftp://topsecret",
            "http://",
            "",
            "http://ops:topsecret@host",
            "http://topsecret@host",
            "https://host/?key=topsecret",
            "https://host#topsecret",
            "http://ops:topsecret@host:99999",
        ] {
            let error = url(&bad.into()).unwrap_err().to_string();
            assert!(!error.contains("topsecret"), "{bad}: {error}");
        }
    }
}
