//! TLS towards clients and operators, where a certificate is configured. They choose what to speak by ALPN (RFC 7301).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
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

/// A certificate at work. A file that changes is read anew while connections come and go; those that are open keep theirs.
pub(crate) struct Certificate {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    at_work: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files anew. Returns whether they hold another certificate, which new connections get from now on.
    ///
    /// # Errors
    /// If what is there now cannot be used: the one at work stays.
    pub(crate) fn renew(&self) -> Result<bool, TlsError> {
        let read = read(&self.files, &self.provider)?;
        let other = read.cert != self.at_work.load().cert;
        if other {
            self.at_work.store(Arc::new(read));
        }
        Ok(other)
    }

    /// The file of the chain.
    pub(crate) fn file(&self) -> &Path {
        &self.files.certificate
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at_work.load_full())
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        f.debug_struct("Certificate")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What takes TLS connections with that certificate and speaks one of `protocols`, the first it likes best; and the
/// certificate, to be renewed.
///
/// # Errors
/// If the certificate or its key cannot be used.
pub(crate) fn acceptor(
    files: &TlsFiles,
    protocols: &[&[u8]],
) -> Result<(TlsAcceptor, Arc<Certificate>), TlsError> {
    let builder = ServerConfig::builder().with_no_client_auth();
    let provider = Arc::clone(builder.crypto_provider());
    let certificate = Arc::new(Certificate {
        at_work: ArcSwap::from_pointee(read(files, &provider)?),
        files: files.clone(),
        provider,
    });
    let resolver: Arc<Certificate> = Arc::clone(&certificate);
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok((TlsAcceptor::from(Arc::new(config)), certificate))
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
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
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}
