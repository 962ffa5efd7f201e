//! Looks at the files of TLS before a connection needs them.

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Whether the PEM file at `path` has certificates of authorities and nothing unreadable among them. An empty path is
/// no file.
///
/// # Errors
///
/// What is wrong with the file.
pub fn check_authorities(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    Ok(())
}

/// Whether the PEM files have a certificate and the key of it. Empty paths are no files.
///
/// # Errors
///
/// What is wrong, and whether with the key.
pub fn check_identity(certificate: &str, key: &str) -> Result<(), (bool, String)> {
    if certificate.is_empty() {
        return Ok(());
    }
    let certificates = certificates(certificate).map_err(|why| (false, why))?;
    let wrong = |why: String| (true, why);
    let bytes = read(key).map_err(wrong)?;
    // The reader's words might tell of the key.
    let unreadable = |_| wrong("has no private key in PEM that can be used".to_owned());
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(unreadable)?;
    let key = any_supported_type(&key)
        .map_err(|_| wrong("has no private key of a known kind".to_owned()))?;
    let pair = CertifiedKey::new(certificates, key).keys_match();
    pair.map_err(|_| wrong("is not the key of the certificate".to_owned()))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|_| "is not in PEM".to_owned())?;
    if certificates.is_empty() {
        return Err("has no certificate in PEM".to_owned());
    }
    Ok(certificates)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}
