//! Networks of addresses, in CIDR notation.

use std::net::IpAddr;

use ipnet::IpNet;
use poem_openapi::registry::MetaSchema;
use serde::{Serialize, Serializer};

use super::{Word, string};

/// A network, such as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Word for Network {
    fn schema() -> MetaSchema {
        MetaSchema { example: Some("10.0.0.0/8".into()), max_length: Some(43), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| {
            "must be a network such as 10.0.0.0/8 or 2001:db8::/32, or an address".to_owned()
        })?;
        if network != network.trunc() {
            let meant = network.trunc();
            return Err(format!("has bits beyond its prefix; is {meant} meant?"));
        }
        Ok(Self(network))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_an_ambiguous_one_is_refused() {
        for (text, read) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(Network::read(text).unwrap().0.to_string(), read);
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/8 ", "*"] {
            assert!(Network::read(text).is_err(), "{text}");
        }
        let refused = Network::read("10.1.2.3/8").unwrap_err();
        assert!(refused.contains("10.0.0.0/8"), "{refused}");
    }
}
