//! Checks of the connections to Redis and NATS: URLs, secrets and the files of TLS. No message
//! contains a part of a secret.

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
        self.tls("store", files);
        self.tls("nats", [&nats.tls_ca_file, &nats.tls_cert_file, &nats.tls_key_file]);
    }

    /// Finds files that cannot be used now, not when a connection is made.
    fn tls(&mut self, section: &str, [ca, cert, key]: [&String; 3]) {
        if cert.is_empty() != key.is_empty() {
            let expected = format!("expected together with {section}.tls_cert_file");
            self.fail(&format!("{section}.tls_key_file"), expected);
            return;
        }
        if let Err(why) = tls::check_authorities(ca) {
            self.fail(&format!("{section}.tls_ca_file"), why);
        }
        if let Err((is_of_key, why)) = tls::check_identity(cert, key) {
            let name = if is_of_key { "tls_key_file" } else { "tls_cert_file" };
            self.fail(&format!("{section}.{name}"), why);
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
