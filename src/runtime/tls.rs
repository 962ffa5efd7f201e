//! Checks the files of TLS before a connection needs them.

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Checks that the PEM file at `path` has certificates of authorities, all of them readable. An
/// empty path means no file. The error says what is wrong with the file.
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

/// Checks that the PEM files hold a certificate and its key. Empty paths mean no files. The error
/// says what is wrong, and whether it is wrong with the key.
pub fn check_identity(certificate: &str, key: &str) -> Result<(), (bool, String)> {
    if certificate.is_empty() {
        return Ok(());
    }
    let certificates = certificates(certificate).map_err(|why| (false, why))?;
    let bytes = read(key).map_err(|why| (true, why))?;
    check_key(certificates, &bytes).map_err(|why| (true, why.to_owned()))
}

/// The error does not repeat the reader's message, which might contain a part of the key.
fn check_key(certificates: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<(), &'static str> {
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "has no private key in PEM that can be used")?;
    let key = any_supported_type(&key).map_err(|_| "has no private key of a known kind")?;
    let pair = CertifiedKey::new(certificates, key);
    pair.keys_match().map_err(|_| "is not the key of the certificate")
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
