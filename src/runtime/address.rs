//! The address of a server as operators write it: a URL that is read strictly, and shown without
//! its secrets.
//!
//! A password with a `?` or a `/` in it makes another URL than intended, and a reader that guesses
//! takes a part of the password for a host. So what RFC 3986 does not allow is refused, in messages
//! that never contain a part of the URL.

use std::fmt;
use std::net::Ipv6Addr;

use serde::Deserialize;

/// A URL, or several joined by commas, as it was configured. Only [`Address::expose`] returns its
/// secrets.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// The configured text, with its secrets.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Address {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The parts of a URL. It has no `Debug`, which would show the password.
pub struct Url<'t> {
    /// The scheme, such as `redis`, in lower case.
    pub scheme: &'t str,
    /// The user, decoded; `None` if there is none.
    pub user: Option<String>,
    /// The password, decoded; `None` if there is none.
    pub password: Option<String>,
    /// Each host with its port, without the brackets of IPv6. Empty if there is none, as in
    /// `unix:///path`.
    pub hosts: Vec<(&'t str, Option<u16>)>,
    /// The path from its `/` on; empty if there is none.
    pub path: &'t str,
    /// The names and values of the query, decoded; no name occurs twice.
    pub query: Vec<(&'t str, String)>,
    /// The text after the `#`; `None` if there is none.
    pub fragment: Option<&'t str>,
}

/// Why a text is not the URL of a server. It is a constant, so it contains no part of the text.
pub type Fault = &'static str;

const CREDENTIALS: Fault = "a user or password has one of / ? # @ [ ] % as it is: percent-encode \
                            them as %2F %3F %23 %40 %5B %5D %25";
const VALUE: Fault = "a value in the query has a + or a ? as it is: percent-encode them as %2B %3F";
const LETTERS: Fault = "a space, a control character or a letter beyond ASCII: percent-encode it";

impl<'t> Url<'t> {
    /// Reads one URL. The error names the part that RFC 3986 does not allow.
    pub fn read(text: &'t str) -> Result<Self, Fault> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LETTERS);
        }
        let (scheme, rest) = text.split_once("://").ok_or("expected <scheme>://<host>")?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !authority.is_empty() && tail.contains('@') {
            return Err(CREDENTIALS);
        }
        let (credentials, places) = authority.rsplit_once('@').unzip();
        let (user, password) = credentials.map(read_credentials).transpose()?.unwrap_or_default();
        let places = places.unwrap_or(authority);
        let hosts = match authority {
            "" => Vec::new(),
            _ => places.split(',').map(read_host).collect::<Result<_, _>>()?,
        };
        let (tail, fragment) = cut(tail, '#');
        let (path, query) = cut(tail, '?');
        let query = query.map(read_query).transpose()?.unwrap_or_default();
        decoded(path).ok_or(LETTERS)?;
        Ok(Self { scheme, user, password, hosts, path, query, fragment })
    }

    /// The number in the path, as in `/3`; 0 for an empty path, `None` for any other text.
    pub fn database(&self) -> Option<u32> {
        let number = self.path.strip_prefix('/').unwrap_or(self.path);
        if number.is_empty() {
            return Some(0);
        }
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|number| is_number && i32::try_from(*number).is_ok())
    }
}

/// The text before the first `mark`, and the text after it.
fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn read_credentials(text: &str) -> Result<(Option<String>, Option<String>), Fault> {
    if text.contains(['@', '[', ']', '\\']) {
        return Err(CREDENTIALS);
    }
    let (user, password) = cut(text, ':');
    if password == Some("") || (user.is_empty() && password.is_none()) {
        return Err("the user or the password before the @ is empty");
    }
    let user = if user.is_empty() { None } else { Some(decoded(user).ok_or(CREDENTIALS)?) };
    let password = password.map(|text| decoded(text).ok_or(CREDENTIALS)).transpose()?;
    Ok((user, password))
}

fn read_host(text: &str) -> Result<(&str, Option<u16>), Fault> {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
        Some(_) => return Err("expected an IPv6 address between [ and ]"),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name && !text.starts_with('[') {
        return Err("expected the name or the address of a host");
    }
    if matches!(host, "0.0.0.0" | "::") {
        return Err("expected an address to connect to; this one is only for listening");
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits =
        port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|port| port.parse().ok()).filter(|port: &u16| *port > 0);
    port.map(|port| (host, Some(port))).ok_or("expected a port from 1 to 65535 after the host")
}

fn read_query(text: &str) -> Result<Vec<(&str, String)>, Fault> {
    let mut read: Vec<(&str, String)> = Vec::new();
    for part in text.split('&') {
        let (name, value) =
            part.split_once('=').ok_or("a part of the query is not <name>=<value>")?;
        if value.contains(['+', '?']) {
            return Err(VALUE);
        }
        if read.iter().any(|(known, _)| *known == name) {
            return Err("a name in the query is given twice");
        }
        read.push((name, decoded(value).ok_or(CREDENTIALS)?));
    }
    Ok(read)
}

/// Decodes a percent-encoded text; `None` if an escape is incomplete, or means no UTF-8 or a
/// control character.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

/// Shows the URLs with `***` for each password, for a user without one (which may be a password or
/// a token) and for text that cannot be read.
fn shown(text: &str) -> String {
    if let Ok(url) = Url::read(text) {
        return shown_url(text, &url);
    }
    let parts = text.split(',').map(|part| match Url::read(part.trim()) {
        Ok(url) => shown_url(part.trim(), &url),
        Err(_) if part.is_empty() => String::new(),
        Err(_) => "***".to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn shown_url(text: &str, url: &Url<'_>) -> String {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let credentials = match (credentials.split_once(':'), url.user.is_some()) {
        (Some((user, _)), _) => format!("{user}:***@"),
        (None, true) => "***@".to_owned(),
        (None, false) => String::new(),
    };
    let mut shown = format!("{}://{credentials}{hosts}{}", url.scheme, url.path);
    for (number, (name, value)) in url.query.iter().enumerate() {
        let mark = if number == 0 { '?' } else { '&' };
        let value = if *name == "db" { value.as_str() } else { "***" };
        shown += &format!("{mark}{name}={value}");
    }
    if let Some(fragment) = url.fragment {
        shown += &format!("#{fragment}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, safe) in [
            ("", ""),
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://ops:s3:cr%40t@db:6379/2", "rediss://ops:***@db:6379/2"),
            ("redis://:secret@db", "redis://:***@db"),
            ("redis://secret@[::1]:1", "redis://***@[::1]:1"),
            ("redis+unix:///run/r.sock?db=1&pass=secret", "redis+unix:///run/r.sock?db=1&pass=***"),
            (
                "redis-sentinel://secret@one,two:2/0?sentinel_password=s#m",
                "redis-sentinel://***@one,two:2/0?sentinel_password=***#m",
            ),
            ("nats://a:4222, tls://u:secret@b", "nats://a:4222,tls://u:***@b"),
            ("nats://a,nats://u:sec,ret@b", "nats://a,***,***"),
            ("redis://ops:top?secret@db", "***"),
            ("redis://ops:top/secret@db", "***"),
            ("redis://ops:top#secret@db", "***"),
            ("redis://ops:top@secret@db", "***"),
            ("secret", "***"),
        ] {
            assert_eq!(format!("{}", Address::from(url)), safe);
            assert_eq!(format!("{:?}", Address::from(url)), safe);
        }
    }

    #[test]
    fn the_parts_of_a_url_are_decoded() {
        let url = Url::read("x://o%40ps:s%3Fa:fe@one,[::1]:2/3?a=%26#m").ok().unwrap();

        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("o@ps"), Some("s?a:fe")));
        assert_eq!(url.hosts, [("one", None), ("::1", Some(2))]);
        assert_eq!(
            (url.database(), url.query, url.fragment),
            (Some(3), vec![("a", "&".to_owned())], Some("m"))
        );
    }

    #[test]
    fn a_url_that_names_no_server_is_refused() {
        for url in [
            "",
            "h",
            "://h ",
            "x://h:",
            "x://h:0",
            "x://h:99999",
            "x://h:+1",
            "x://h:1:2",
            "x://@h",
            "x://u:@h",
            "x://:@h",
            "x://u@",
            "x://u%@h",
            "x://u%zz@h",
            "x://u%0a@h",
            "x://u%ff@h",
            "x://[h]",
            "x://[::1",
            "x://h,",
            "x://0.0.0.0",
            "x://h?a",
            "x://h?a=1&a=2",
            "x://h?a=b+c",
            "x://h/%",
            "x://ü",
            "x://h\n",
            "x://u[:p@h",
            "x://h|i",
        ] {
            assert!(Url::read(url).is_err(), "{url:?}");
        }
        for path in ["/abc", "/-1", "/3/", "/+3", "/99999999999"] {
            let url = format!("x://h{path}");
            assert_eq!(Url::read(&url).ok().unwrap().database(), None, "{path}");
        }
    }
}
