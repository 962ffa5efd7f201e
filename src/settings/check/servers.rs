//! Checks of the connections to Redis and NATS, and of those that clients make: URLs, secrets and
//! the files of TLS. No message contains a part of a secret.

use std::net::SocketAddr;

use super::Check;
use crate::runtime::secret::Secret;
use crate::runtime::tls;
use crate::settings::Settings;
use crate::{store, transport};

impl Check<'_> {
    pub(super) fn urls(&mut self, settings: &Settings) {
        let redis = &settings.store;
        let nats = &settings.nats;
        if let Some(fault) = store::fault_of_url(redis.url.expose()) {
            self.fail("store.url", fault);
        }
        if let Some(fault) = store::fault_of_encryption(&redis.encryption) {
            self.fail(&fault.setting, fault.expected);
        }
        if let Some(fault) = transport::fault_of_url(nats) {
            self.fail("nats.url", fault);
        }
        let files = [&redis.tls_ca_file, &redis.tls_cert_file, &redis.tls_key_file];
        // Files that no connection uses must not pass for protection.
        let secure = ["rediss://", "rediss-sentinel://"];
        let is_used = secure.iter().any(|scheme| redis.url.expose().starts_with(scheme));
        if !is_used && files.iter().any(|file| !file.is_empty()) {
            let why =
                "expected only with a store.url that begins with rediss:// or rediss-sentinel://";
            self.fail("store.tls_ca_file", why);
        }
        self.tls(["store.tls_ca_file", "store.tls_cert_file", "store.tls_key_file"], files);
        let files = [&nats.tls_ca_file, &nats.tls_cert_file, &nats.tls_key_file];
        self.tls(["nats.tls_ca_file", "nats.tls_cert_file", "nats.tls_key_file"], files);
        let http = &settings.http.http;
        let names = ["http.tls_client_ca_file", "http.tls_cert_file", "http.tls_key_file"];
        if http.tls_cert_file.is_empty() && !http.tls_client_ca_file.is_empty() {
            self.fail(names[0], format!("expected only together with {}", names[1]));
        }
        if http.tls_client_ca_file.is_empty() && !settings.http.auth.certificates.is_empty() {
            self.fail("auth.certificates", format!("expected only together with {}", names[0]));
        }
        if !http.metrics_address.is_empty() {
            let address = http.metrics_address.parse::<SocketAddr>();
            if address.is_err() {
                let expected = "expected an address and a port, such as 127.0.0.1:9464";
                self.fail("http.metrics_address", expected);
            } else if !http.metrics {
                self.fail("http.metrics_address", "expected only with http.metrics = true");
            }
        }
        self.tls(names, [&http.tls_client_ca_file, &http.tls_cert_file, &http.tls_key_file]);
    }

    /// Finds files that cannot be used now, not when a connection is made. The settings are those of
    /// the authorities, of the certificate and of its key.
    fn tls(&mut self, [of_ca, of_cert, of_key]: [&str; 3], [ca, cert, key]: [&String; 3]) {
        if cert.is_empty() != key.is_empty() {
            self.fail(of_key, format!("expected together with {of_cert}"));
            return;
        }
        if let Err(why) = tls::check_authorities(ca) {
            self.fail(of_ca, why);
        }
        if let Err((is_of_key, why)) = tls::check_identity(cert, key) {
            self.fail(if is_of_key { of_key } else { of_cert }, why);
        }
    }

    /// A line break at the end of a secret comes from a file or a shell, and is never part of the
    /// secret.
    pub(super) fn secrets(&mut self, settings: &Settings) {
        let auth = &settings.http.auth;
        let nats = &settings.nats;
        let user = Secret::new(nats.user.as_str());
        let fixed = [
            ("nats.user", &user),
            ("nats.token", &nats.token),
            ("nats.password", &nats.password),
            ("nats.nkey_seed", &nats.nkey_seed),
        ];
        let fixed = fixed.into_iter().map(|(path, secret)| (path.to_owned(), secret));
        let token = auth.jwt_secret.iter().map(|secret| ("auth.jwt_secret".to_owned(), secret));
        let keys = auth.api_keys.iter().map(|(name, key)| (format!("auth.api_keys.{name}"), key));
        for (path, secret) in fixed.chain(token).chain(keys) {
            let text = secret.expose();
            if text.trim() != text || text.contains(char::is_control) {
                let why = "begins or ends with white space, or contains a control character: \
                           remove it";
                self.fail(&path, why);
            }
        }
        let seed = nats.nkey_seed.expose();
        let is_seed = seed.len() == 58
            && seed.starts_with("SU")
            && seed.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        if !seed.is_empty() && !is_seed {
            let why = "expected the seed of a user's nkey: SU and 56 more characters";
            self.fail("nats.nkey_seed", why);
        }
    }
}
