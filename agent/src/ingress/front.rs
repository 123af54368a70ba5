//! What all threads of the ingress share.

use crate::config::IngressConfig;

use tokio_rustls::TlsAcceptor;

use super::limits::ClientLimits;
use crate::tls::{H2, HTTP_1_1, TlsError, acceptor};

/// The ingress as it is configured, with what it counts of its clients.
pub struct Front {
    pub(super) limits: ClientLimits,
    /// Where a certificate is configured, all clients speak TLS.
    pub(super) tls: Option<TlsAcceptor>,
}

impl Front {
    /// An ingress without clients.
    ///
    /// # Errors
    /// If a certificate is configured that cannot be used.
    pub fn new(config: &IngressConfig) -> Result<Front, TlsError> {
        let rate = config.max_requests_per_second_per_client;
        Ok(Front {
            limits: ClientLimits::new(config.max_connections_per_client, rate),
            tls: config
                .tls
                .as_ref()
                .map(|files| acceptor(files, &[H2, HTTP_1_1]))
                .transpose()?,
        })
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        f.debug_struct("Front")
            .field("limits", &self.limits)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}
