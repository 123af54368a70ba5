//! TLS towards clients, where a certificate is configured: HTTP/2 and HTTP/1.1, as the client chooses by ALPN (RFC 7301).

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why the configured certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of its kind.
    #[error("ingress.{key} = {} cannot be used ({source}); give a PEM file that this user may read", file.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The two do not go together.
    #[error(
        "ingress.tls_certificate_file and ingress.tls_key_file do not go together ({0}); give a chain that begins with \
         the certificate of that key"
    )]
    Pair(#[from] rustls::Error),
}

/// What takes TLS connections with that certificate.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let wrong = |key, file: &PathBuf| {
        let file = file.clone();
        move |source| TlsError::File { key, file, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong("tls_certificate_file", &files.certificate))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(wrong("tls_key_file", &files.key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
