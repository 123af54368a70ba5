//! TLS towards clients and operators, where a certificate is configured. They choose what to speak by ALPN (RFC 7301).

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::secret::{Secret, SecretError};

/// HTTP/2 in ALPN.
pub(crate) const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// Why the configured certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate's file cannot be read, or holds no PEM of its kind.
    #[error("tls_certificate_file = {} cannot be used ({source}); give a PEM file that this user may read", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key's file cannot be read, or others may read it.
    #[error("tls_key_file: {0}")]
    Key(#[from] SecretError),
    /// The key's file holds no key.
    #[error("tls_key_file = {} cannot be used ({source}); give a PEM file with a private key", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The two do not go together.
    #[error(
        "tls_certificate_file and tls_key_file do not go together ({0}); give a chain that begins with the certificate \
         of that key"
    )]
    Pair(#[from] rustls::Error),
}

/// What takes TLS connections with that certificate and speaks one of `protocols`, the first it likes best.
///
/// # Errors
/// If the certificate or its key cannot be used.
pub(crate) fn acceptor(files: &TlsFiles, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificate {
            file: files.certificate.clone(),
            source,
        })?;
    let pem = Secret::read(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|source| {
        TlsError::NoKey {
            file: files.key.clone(),
            source,
        }
    })?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
