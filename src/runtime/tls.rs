//! The files of TLS: checks them before a connection needs them, and makes of them what a server
//! needs.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_native_certs::load_native_certs;

/// Checks that the PEM file at `path` has certificates of authorities, all of them readable. An
/// empty path means no file. The error says what is wrong with the file.
pub fn check_authorities(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    authorities(&read(path)?).map(drop)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    Ok(store)
}

/// Checks that the PEM files hold a certificate and its key. Empty paths mean no files. The error
/// says what is wrong, and whether it is wrong with the key.
pub fn check_identity(certificate: &str, key: &str) -> Result<(), (bool, String)> {
    if certificate.is_empty() {
        return Ok(());
    }
    let certificate = read(certificate).map_err(|why| (false, why))?;
    let key = read(key).map_err(|why| (true, why))?;
    certified(&certificate, &key).map(drop)
}

/// The certificate with its key. The error says what is wrong, and whether it is wrong with the
/// key; it does not repeat the reader's message, which might contain a part of the key.
fn certified(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, (bool, String)> {
    let certificates = certificates(certificate).map_err(|why| (false, why))?;
    let of_key = |why: &str| (true, why.to_owned());
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| of_key("has no private key in PEM that can be used"))?;
    let key = any_supported_type(&key).map_err(|_| of_key("has no private key of a known kind"))?;
    let pair = CertifiedKey::new(certificates, key);
    pair.keys_match().map_err(|_| of_key("is not the key of the certificate"))?;
    Ok(pair)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| "is not in PEM".to_owned())?;
    if certificates.is_empty() {
        return Err("has no certificate in PEM".to_owned());
    }
    Ok(certificates)
}

/// What a client needs for TLS 1.2 or 1.3.
///
/// * `authorities`: in PEM; `None` for those of the system.
/// * `own`: the certificate and its key in PEM, for a server that asks for one.
///
/// # Errors
///
/// What cannot be used, in words.
pub fn client_config(
    authorities: Option<&[u8]>,
    own: Option<(&[u8], &[u8])>,
) -> Result<ClientConfig, String> {
    let roots = match authorities {
        Some(pem) => self::authorities(pem)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(load_native_certs().certs);
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((certificate, key)) = own else { return Ok(builder.with_no_client_auth()) };
    let certified = certified(certificate, key).map_err(|(_, why)| why)?;
    Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
}

/// The PEM files of a server that speaks TLS, by their paths.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// The certificate, followed by those between it and its authority.
    pub certificate: String,
    /// The key of the certificate.
    pub key: String,
    /// The authorities of the certificates that clients must show; empty if they need none.
    pub client_authorities: String,
}

/// What is in the PEM files of a server. It has no `Debug`, which would show the key.
#[derive(PartialEq, Eq)]
pub struct ServerPem {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// What is wrong with the files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The path of the file.
    pub file: String,
    /// What is wrong with it; continues a sentence that begins with the file.
    pub why: String,
}

impl ServerFiles {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn read(&self) -> Result<ServerPem, Unusable> {
        let read = |file: &String| read(file).map_err(|why| Unusable { file: file.clone(), why });
        let authorities = Some(&self.client_authorities).filter(|file| !file.is_empty());
        Ok(ServerPem {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_authorities: authorities.map(read).transpose()?,
        })
    }

    /// Makes of `pem` what connections need: TLS 1.2 or 1.3, and HTTP/1.1 above it.
    ///
    /// # Errors
    ///
    /// A file is not in PEM, or the files do not belong together.
    pub fn config(&self, pem: &ServerPem) -> Result<ServerConfig, Unusable> {
        let unusable = |file: &String, why| Unusable { file: file.clone(), why };
        let certified = certified(&pem.certificate, &pem.key).map_err(|(is_of_key, why)| {
            unusable(if is_of_key { &self.key } else { &self.certificate }, why)
        })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.certificate, error.to_string()))?;
        let builder = match &pem.client_authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let of_clients = |why| unusable(&self.client_authorities, why);
                let roots = Arc::new(authorities(pem).map_err(of_clients)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build().map_err(|error| of_clients(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Returns the names under "subject alternative name" of a certificate: `dns:<name>` and
/// `uri:<URI>`. Empty if it has none, or cannot be read.
pub fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let dns = certificate.valid_dns_names().map(|name| format!("dns:{name}"));
    dns.chain(certificate.valid_uri_names().map(|uri| format!("uri:{uri}"))).collect()
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}
