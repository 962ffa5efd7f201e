//! Where a request comes from: the peer of its connection, or the client that trusted proxies name.
//!
//! A client can write anything into `X-Forwarded-For` and `Forwarded`. So the header is read only
//! from a proxy that the settings trust, and only the one that the settings name; from right to
//! left, because each proxy appends the address from which a request came to it; and no further
//! than the first address that is not a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use poem::Request;
use poem::http::HeaderMap;

use crate::domain::network::Network;
use crate::domain::principal::Origin;

use super::settings::{ForwardedHeader, Http};

/// The proxies in front of this gateway.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Vec<Network>,
    header: ForwardedHeader,
}

impl Proxies {
    /// The proxies that `http` names.
    pub fn new(http: &Http) -> Self {
        Self { trusted: http.trusted_proxies.clone(), header: http.forwarded_header }
    }

    /// Where the request comes from. `None` if it came over no connection.
    pub fn origin(&self, request: &Request) -> Option<Origin> {
        let remote = *request.remote_addr().as_socket_addr()?;
        let client = self.is_trusted(remote.ip()).then(|| self.client(request.headers())).flatten();
        Some(client.map_or(Origin::Peer(remote), Origin::Forwarded))
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The client that the proxies name, or the farthest proxy if what stands before it cannot be
    /// read. `None` if they name none.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut farthest = None;
        for line in headers.get_all(self.header.name()).iter().rev() {
            let hops = line.to_str().ok().and_then(|line| match self.header {
                ForwardedHeader::XForwardedFor => Some(line.split(',').collect()),
                ForwardedHeader::Forwarded => elements(line),
            });
            let Some(hops) = hops else { return farthest };
            for hop in hops.into_iter().rev() {
                let address = match self.header {
                    ForwardedHeader::XForwardedFor => node(hop),
                    ForwardedHeader::Forwarded => forwarded_for(hop),
                };
                let Some(address) = address else { return farthest };
                farthest = Some(address);
                if !self.is_trusted(address) {
                    return farthest;
                }
            }
        }
        farthest
    }
}

/// The elements of a line of `Forwarded`, which commas outside of quotes separate. `None` if a quote
/// has no end.
fn elements(line: &str) -> Option<Vec<&str>> {
    let (mut found, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                found.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&line[start..]);
    (!is_quoted).then_some(found)
}

/// The address after `for=` in an element of `Forwarded`. `None` if there is not exactly one.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    // A quoted text with a semicolon falls into parts that are no pairs, or name no address.
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    if named.next().is_some() {
        return None;
    }
    let value = value.trim();
    node(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

/// The address of a node, with or without its port. `None` for what is no address, such as
/// `unknown` or a name that a proxy made up.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn client(header: ForwardedHeader, lines: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        let proxies = Proxies { trusted: trusted.to_vec(), header };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        proxies.client(&headers).map(|address| address.to_string())
    }

    #[test]
    fn the_first_address_from_the_right_that_no_proxy_has_is_the_client() {
        for (lines, expected) in [
            (&["203.0.113.9"][..], Some("203.0.113.9")),
            (&["6.6.6.6, 203.0.113.9"], Some("203.0.113.9")),
            (&["6.6.6.6, 203.0.113.9, 10.1.1.1"], Some("203.0.113.9")),
            (&["6.6.6.6", "203.0.113.9:4711", "10.1.1.1"], Some("203.0.113.9")),
            (&["::ffff:203.0.113.9"], Some("203.0.113.9")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["[2001:db8::7]:443, 2001:db8:1::1"], Some("2001:db8::7")),
            (&["10.2.2.2, 10.1.1.1"], Some("10.2.2.2")),
            (&["203.0.113.9, unknown"], None),
            (&["203.0.113.9, unknown, 10.1.1.1"], Some("10.1.1.1")),
            (&["203.0.113.9, \u{e9}"], None),
            (&[""], None),
            (&[], None),
        ] {
            let found = client(ForwardedHeader::XForwardedFor, lines);
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn quotes_of_a_client_hide_no_element_of_a_proxy() {
        for (lines, expected) in [
            (&["for=203.0.113.9;proto=https"][..], Some("203.0.113.9")),
            (&["For=\"[2001:db8::7]:4711\", for=10.1.1.1"], Some("2001:db8::7")),
            (&["for=6.6.6.6, proto=http;for=203.0.113.9"], Some("203.0.113.9")),
            (&["for=203.0.113.9;host=\"a,for=6.6.6.6;x=\""], Some("203.0.113.9")),
            (&["for=203.0.113.9;host=\"a;for=6.6.6.6\""], None),
            (&["for=203.0.113.9;host=\"a, for=6.6.6.6\""], Some("203.0.113.9")),
            (&["for=\"x, for=203.0.113.9"], None),
            (&["for=6.6.6.6;for=203.0.113.9"], None),
            (&["for=_hidden"], None),
            (&["proto=https"], None),
        ] {
            let found = client(ForwardedHeader::Forwarded, lines);
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
    }
}
