//! What all threads of the ingress share.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use crate::config::IngressConfig;

use super::limits::ClientLimits;
use crate::tls::{Certificate, H2, HTTP_1_1, TlsError, acceptor};

/// The ingress as it is configured, with what it counts of its clients.
pub struct Front {
    pub(super) limits: ClientLimits,
    /// Where a certificate is configured, all clients speak TLS.
    pub(super) tls: Option<TlsAcceptor>,
    certificate: Option<Arc<Certificate>>,
}

impl Front {
    /// An ingress without clients.
    ///
    /// # Errors
    /// If a certificate is configured that cannot be used.
    pub fn new(config: &IngressConfig) -> Result<Front, TlsError> {
        let rate = config.max_requests_per_second_per_client;
        let tls = config.tls.as_ref();
        let tls = tls.map(|files| acceptor(files, &[H2, HTTP_1_1]));
        let (tls, certificate) = tls.transpose()?.unzip();
        Ok(Front {
            limits: ClientLimits::new(config.max_connections_per_client, rate),
            tls,
            certificate,
        })
    }

    /// The certificate that clients see, where they speak TLS.
    pub(crate) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front")
            .field("limits", &self.limits)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
