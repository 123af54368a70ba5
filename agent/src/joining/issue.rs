//! Issuing certificates to those who ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dfaas_protocol::NodeId;
use dfaas_protocol::membership::{
    Certificate, JoinAnswer, JoinRequest, MembershipError, NotAdmitted,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::{receive, send};
use crate::membership::{Federation, now};

/// Who may ask at one time.
const AT_ONCE: usize = 4;
/// How often somebody may begin to ask, in the long run.
const EVERY: Duration = Duration::from_millis(100);
/// How many may begin at once.
const BURST: u32 = 20;

/// An agent's office for members: it has the authority's key.
#[derive(Debug)]
pub struct Issuing {
    federation: Arc<Federation>,
    overlay_port: Option<u16>,
    room: Arc<Semaphore>,
    /// When nobody will have begun lately.
    quiet: Mutex<Instant>,
}

/// The permission to ask.
#[derive(Debug)]
pub struct Turn(
    #[allow(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
);

impl Issuing {
    /// An office; none if this node has no authority's key.
    pub fn new(federation: &Arc<Federation>, overlay_port: Option<u16>) -> Option<Issuing> {
        federation.authority()?;
        Some(Issuing {
            federation: Arc::clone(federation),
            overlay_port,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            quiet: Mutex::new(Instant::now()),
        })
    }

    /// A turn for one more, before anything costly is done for it; none if there are too many.
    pub fn turn(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let now = Instant::now();
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*quiet).max(now);
        if from > now + EVERY * (BURST - 1) {
            return None;
        }
        *quiet = from + EVERY;
        Some(Turn(permit))
    }

    /// Serves one who asks: the node that the handshake proved, with the certificate that it showed if it has one.
    ///
    /// # Errors
    /// If the connection breaks or says something else.
    pub async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        node: NodeId,
        shown: Option<Vec<u8>>,
    ) -> std::io::Result<()> {
        let bytes = Zeroizing::new(receive(&mut stream).await?);
        let request = JoinRequest::from_bytes(&bytes).map_err(std::io::Error::other)?;
        let answer = match self.answer(node, &request, shown.as_deref()) {
            Ok(certificate) => {
                tracing::info!(%node, until = %certificate.expires(), "a certificate was issued");
                JoinAnswer::Admitted {
                    certificate,
                    overlay_port: self.overlay_port,
                }
            }
            Err(why) => {
                tracing::warn!(%node, %why, "no certificate was issued");
                JoinAnswer::Refused(why)
            }
        };
        send(&mut stream, &answer.to_bytes()).await?;
        stream.shutdown().await
    }

    fn answer(
        &self,
        node: NodeId,
        request: &JoinRequest,
        shown: Option<&[u8]>,
    ) -> Result<Certificate, NotAdmitted> {
        let Some(authority) = self.federation.authority() else {
            return Err(NotAdmitted::Failed);
        };
        match request {
            JoinRequest::Invited { invitation, secret } => {
                authority.redeem((*invitation, secret), node, now())
            }
            JoinRequest::Renew => {
                let shown = shown.and_then(|bytes| Certificate::from_bytes(bytes).ok());
                let shown = shown.ok_or(NotAdmitted::NoMember)?;
                match self.federation.check(node, &shown) {
                    Ok(()) => authority.renew(&shown, now()),
                    Err(MembershipError::Revoked(_)) => Err(NotAdmitted::Revoked),
                    Err(_) => Err(NotAdmitted::NoMember),
                }
            }
        }
    }
}
