//! TLS of a gateway: its certificate, and clients that trust it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator::http::Http;
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Call, key_of};
use crate::transport::credentials::{certificate, certificate_for};

/// The files of a gateway that speaks TLS, signed by an authority of their own.
pub struct Tls {
    home: tempfile::TempDir,
}

impl Tls {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        certificate(home.path(), "authority", None);
        let tls = Self { home };
        tls.sign("server");
        tls
    }

    /// Makes a certificate of this name, signed by the authority; again, if there is one.
    pub fn sign(&self, name: &str) {
        certificate(self.home.path(), name, Some("authority"));
    }

    /// The same with these names under "subject alternative name", as openssl writes them.
    pub fn sign_for(&self, name: &str, sans: &str) {
        certificate_for(self.home.path(), name, Some("authority"), sans);
    }

    /// The PEM file of a certificate, or of its key (`server.key`).
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Has the gateway of these settings speak TLS.
    pub fn tell(&self, http: &mut Http) {
        http.tls_cert_file = self.text("server.pem");
        http.tls_key_file = self.text("server.key");
    }

    /// The variables by which a process is told the same.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("ORCHESTRATOR__HTTP__TLS_CERT_FILE", self.text("server.pem")),
            ("ORCHESTRATOR__HTTP__TLS_KEY_FILE", self.text("server.key")),
        ]
    }

    /// A client that trusts the authority.
    pub fn client(&self) -> reqwest::Client {
        let pem = std::fs::read(self.file("authority.pem")).unwrap();
        let authority = reqwest::Certificate::from_pem(&pem).unwrap();
        reqwest::Client::builder().tls_certs_only([authority]).build().unwrap()
    }

    /// A call by [`Tls::client`], with the API key of this name.
    pub fn call(&self, name: &str, address: SocketAddr, method: Method, path: &str) -> Call {
        let call = Call(self.client().request(method, format!("https://{address}{path}")));
        call.header("x-api-key", key_of(name))
    }

    /// A connection of a client that trusts the authority, over one of these versions, with the certificate of this name.
    pub async fn connect(
        &self,
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&str>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(pem(&self.file("authority.pem"))).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
                let chain = vec![pem(&self.file(&format!("{name}.pem")))];
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await?;
        let host = ServerName::IpAddress(address.ip().into());
        TlsConnector::from(Arc::new(config)).connect(host, stream).await
    }
}

fn pem(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}
