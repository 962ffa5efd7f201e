//! Redis behind Sentinel: a local socket that always leads to the primary that the Sentinels name.
//!
//! The clients of this module know one address each, so they get one: a Unix socket that only this
//! process can reach. For each connection to it the relay asks the Sentinels. As soon as they name
//! another primary, it closes every connection. A call that was under way then has a broken
//! connection, and is handled like any other such call.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};
use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::runtime::scratch::Scratch;
use crate::runtime::tls;

/// The scheme of the URL. The form is that of Lettuce:
/// `redis-sentinel://[[user:]password@]host[:port][,host[:port]…][/db][?sentinel_password=…]#name`.
const SCHEME: &str = "redis-sentinel";

/// The same, with TLS to the Sentinels and to the primary.
const SECURE_SCHEME: &str = "rediss-sentinel";

/// The schemes of this module.
pub const SCHEMES: [&str; 2] = [SCHEME, SECURE_SCHEME];

/// The port of a Sentinel, unless the URL has one.
const PORT: u16 = 26_379;

/// How long one Sentinel may take to answer before the relay asks the next.
const LIMIT: Duration = Duration::from_millis(500);

/// How often the relay asks the Sentinels whether the primary has changed.
const EVERY: Duration = Duration::from_secs(1);

/// The parts of a `redis-sentinel://` URL.
struct Target {
    sentinels: Vec<redis::Client>,
    /// How TLS to the primary begins; `None` without TLS.
    tls: Option<TlsConnector>,
    /// User, password and database of the primary. The address in it is a placeholder.
    primary: ConnectionInfo,
    name: String,
}

/// The relay to the primary. When it is dropped, its connections end too.
pub(super) struct Relay {
    socket: PathBuf,
    primary: ConnectionInfo,
    _scratch: Scratch,
    _tasks: JoinSet<()>,
}

struct Shared {
    target: Target,
    /// The Sentinel that answered last. It is asked first: an unavailable one would delay each
    /// connection by [`LIMIT`].
    answers: AtomicUsize,
    connect_limit: Duration,
    /// The primary that was named last, and the token that closes the connections to it.
    current: Mutex<(Option<Address>, CancellationToken)>,
}

type Address = (String, u16);

impl Target {
    fn parse(url: &str, certificates: Option<&TlsCertificates>) -> RedisResult<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| fault("not a URL"))?;
        let is_secure = scheme == SECURE_SCHEME;
        let (rest, name) = rest
            .rsplit_once('#')
            .ok_or_else(|| fault("the primary's name is missing: `#name` at the end"))?;
        let (rest, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
        let (credentials, places) =
            rest.rsplit_once('@').map_or(("", rest), |(user, places)| (user, places));
        let (hosts, db) = places.split_once('/').unwrap_or((places, ""));
        let password = match query.split_once('=') {
            None if query.is_empty() => "",
            Some(("sentinel_password", password)) if !password.contains('&') => password,
            _ => return Err(fault("the query may only be `sentinel_password=…`")),
        };
        let sentinels = hosts.split(',').map(|host| {
            let has_port =
                host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_port { String::new() } else { format!(":{PORT}") };
            let place = format!(":{password}@{host}{port}");
            match certificates.filter(|_| is_secure) {
                Some(own) => {
                    redis::Client::build_with_tls(format!("rediss://{place}"), own.clone())
                }
                None if is_secure => redis::Client::open(format!("rediss://{place}")),
                None => redis::Client::open(format!("redis://{place}")),
            }
        });
        let sentinels = sentinels.collect::<RedisResult<Vec<_>>>()?;
        if name.is_empty() {
            return Err(fault("the primary's name is missing: `#name` at the end"));
        }
        // As in Lettuce, credentials without a colon are a password.
        let credentials = if credentials.contains(':') {
            credentials.to_owned()
        } else {
            format!(":{credentials}")
        };
        let primary = format!("redis://{credentials}@primary/{db}").into_connection_info()?;
        let tls = if is_secure { Some(connector(certificates)?) } else { None };
        Ok(Self { sentinels, tls, primary, name: name.to_owned() })
    }
}

/// How TLS begins: with these authorities and this certificate, or with the authorities of the
/// system.
fn connector(certificates: Option<&TlsCertificates>) -> RedisResult<TlsConnector> {
    let authorities = certificates.and_then(|own| own.root_cert.as_deref());
    let own = certificates.and_then(|own| own.client_tls.as_ref());
    let own = own.map(|own| (&own.client_cert[..], &own.client_key[..]));
    let config = tls::client_config(authorities, own);
    let config = config.map_err(|why| {
        RedisError::from((ErrorKind::InvalidClientConfig, "TLS cannot begin", why))
    })?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Returns whether the client can use this URL.
pub(super) fn is_usable(url: &str) -> bool {
    Target::parse(url, None).is_ok()
}

fn fault(what: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, what).into()
}

impl Relay {
    /// Opens the socket. The first connection shows whether a primary can be reached.
    pub(super) fn open(
        url: &str,
        certificates: Option<&TlsCertificates>,
        connect_limit: Duration,
    ) -> RedisResult<Self> {
        let target = Target::parse(url, certificates)?;
        let scratch = Scratch::new()?;
        let socket = scratch.path().join("redis.sock");
        let listener = UnixListener::bind(&socket)?;
        let primary = target.primary.clone();
        let shared = Arc::new(Shared {
            target,
            answers: AtomicUsize::new(0),
            connect_limit,
            current: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        tasks.spawn(watch(shared));
        Ok(Self { socket, primary, _scratch: scratch, _tasks: tasks })
    }

    /// Returns the connection settings of the client of this relay.
    pub(super) fn connection_info(&self) -> ConnectionInfo {
        self.primary.clone().set_addr(ConnectionAddr::Unix(self.socket.clone()))
    }
}

impl Shared {
    /// Returns the primary that the first answering Sentinel names, and the token that closes
    /// connections to it.
    async fn primary(&self) -> io::Result<(Address, CancellationToken)> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let sentinels = &self.target.sentinels;
        let first = self.answers.load(Ordering::Relaxed);
        for nth in (0..sentinels.len()).map(|nth| (first + nth) % sentinels.len()) {
            match timeout(LIMIT, self.ask(&sentinels[nth])).await {
                Ok(Ok(Some(address))) => {
                    self.answers.store(nth, Ordering::Relaxed);
                    let cut = self.note(&address);
                    return Ok((address, cut));
                }
                Ok(Ok(None)) => {
                    last = io::Error::other(format!(
                        "a Sentinel knows no primary {:?}",
                        self.target.name
                    ))
                }
                Ok(Err(error)) => last = io::Error::other(error),
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    async fn ask(&self, sentinel: &redis::Client) -> RedisResult<Option<Address>> {
        let mut connection = sentinel.get_multiplexed_async_connection().await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.target.name);
        question.query_async(&mut connection).await
    }

    /// Closes the connections to any other primary. Returns the token that closes the connections
    /// to this one.
    fn note(&self, address: &Address) -> CancellationToken {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0.as_ref() != Some(address) {
            if current.0.is_some() {
                tracing::warn!(
                    host = address.0,
                    port = address.1,
                    "the Sentinels name another primary"
                );
            }
            std::mem::replace(&mut *current, (Some(address.clone()), CancellationToken::new()))
                .1
                .cancel();
        }
        current.1.clone()
    }

    /// Copies the bytes of one connection in both directions until it ends.
    async fn carry(&self, mut near: UnixStream) -> io::Result<()> {
        let (address, cut) = self.primary().await?;
        let connect =
            timeout(self.connect_limit, TcpStream::connect((address.0.as_str(), address.1)));
        let mut far = connect.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // Messages are small, and the client batches them already.
        far.set_nodelay(true)?;
        let carried = async {
            let Some(tls) = &self.target.tls else {
                return copy_bidirectional(&mut near, &mut far).await;
            };
            let name = ServerName::try_from(address.0.as_str()).map_err(io::Error::other)?;
            let begun = timeout(self.connect_limit, tls.connect(name.to_owned(), far));
            let mut far = begun.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            copy_bidirectional(&mut near, &mut far).await
        };
        tokio::select! {
            // Either side may close the connection, and the other side needs no reason.
            carried = carried => carried.map(|_| ()),
            () = cut.cancelled() => Ok(()),
        }
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut wires = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => {
                    let shared = Arc::clone(&shared);
                    wires.spawn(async move {
                        // The client sees that its connection ended, and reports it.
                        if let Err(error) = shared.carry(near).await {
                            tracing::debug!(%error, "no way to the primary");
                        }
                    });
                }
                // The process may be out of file descriptors. Wait for free ones.
                Err(_) => tokio::time::sleep(EVERY).await,
            },
            Some(_) = wires.join_next() => {}
        }
    }
}

/// Asks the Sentinels regularly: the connections to a primary that hangs do not end by themselves.
async fn watch(shared: Arc<Shared>) {
    loop {
        // A call that needs the primary reports that no Sentinel names one.
        let _ = shared.primary().await;
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels(target: &Target) -> Vec<String> {
        target
            .sentinels
            .iter()
            .map(|client| client.get_connection_info().addr().to_string())
            .collect()
    }

    #[test]
    fn a_url_gives_sentinels_primary_and_credentials() {
        let target = Target::parse(
            "redis-sentinel://ops:s%40fe@one,two:1,[::1],[::1]:2/3\
                 ?sentinel_password=x%26y#mymaster",
            None,
        )
        .unwrap();

        assert_eq!(sentinels(&target), ["one:26379", "two:1", "::1:26379", "::1:2"]);
        let redis = target.primary.redis_settings();
        assert_eq!(
            (redis.username(), redis.password(), redis.db()),
            (Some("ops"), Some("s@fe"), 3)
        );
        assert_eq!(
            target.sentinels[0].get_connection_info().redis_settings().password(),
            Some("x&y")
        );
        assert_eq!(target.name, "mymaster");

        let bare = Target::parse("redis-sentinel://secret@one#m", None).unwrap();
        assert_eq!(
            (bare.primary.redis_settings().username(), bare.primary.redis_settings().password()),
            (None, Some("secret"))
        );
        let open = Target::parse("redis-sentinel://one#m", None).unwrap();
        assert_eq!(
            (open.primary.redis_settings().password(), open.primary.redis_settings().db()),
            (None, 0)
        );
    }

    #[test]
    fn a_url_with_missing_or_unknown_parts_is_refused() {
        for url in [
            "redis-sentinel://one",
            "redis-sentinel://one#",
            "redis-sentinel://#m",
            "redis-sentinel://one/x#m",
            "redis-sentinel://one?tls=1#m",
            "redis-sentinel://one?sentinel_password=a&b=c#m",
        ] {
            assert!(!is_usable(url), "{url}");
        }
    }
}
