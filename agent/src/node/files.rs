//! Files that others change while the node runs: the access log that is moved away, and certificates that are renewed.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;

use crate::telemetry::access::AccessLog;
use crate::tls::Certificate;

/// How often certificates are looked at without being told.
const LOOK: Duration = Duration::from_secs(60);

/// Opens the access log's file anew on each SIGHUP, and reads certificates anew then and once a minute.
pub(super) async fn follow(
    log: Option<Arc<AccessLog>>,
    certificates: Vec<Arc<Certificate>>,
    mut hangup: Signal,
) {
    loop {
        tokio::select! {
            told = hangup.recv() => {
                if told.is_none() {
                    return;
                }
                if let Some(log) = &log {
                    log.reopen();
                    tracing::info!("the access log is opened anew");
                }
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        for certificate in &certificates {
            let file = certificate.file().display();
            match certificate.renew() {
                Ok(true) => tracing::info!(%file, "a new certificate is at work"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the certificate from before stays at work"),
            }
        }
    }
}
