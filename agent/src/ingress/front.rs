//! What all threads of the ingress share.

use crate::config::IngressConfig;

use super::limits::ClientLimits;

/// The ingress as it is configured, with what it counts of its clients.
#[derive(Debug)]
pub struct Front {
    pub(super) limits: ClientLimits,
}

impl Front {
    /// An ingress without clients.
    pub fn new(config: &IngressConfig) -> Front {
        let rate = config.max_requests_per_second_per_client;
        Front {
            limits: ClientLimits::new(config.max_connections_per_client, rate),
        }
    }
}
