//! Getting another certificate before the one at hand ends.

use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::membership::{Certificate, JoinRequest, UnixTime};
use rand::RngExt;

use super::JoinError;
use super::ask::ask;
use crate::membership::{Federation, FileError, now};
use crate::peer_tls::PeerTls;

/// The longest sleep: certificates may be put there by hand, and clocks set.
const LONGEST: Duration = Duration::from_secs(60);
/// The first pause after an attempt that failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Keeps a certificate at hand, for ever: shows the last one, and asks for another when a third of its time is left.
pub async fn keep_certificate(federation: Arc<Federation>, tls: PeerTls) {
    tokio::join!(show(&federation, &tls), renew(&federation, &tls));
}

/// Shows each certificate that this node gets to those with whom it connects from then on.
async fn show(federation: &Federation, tls: &PeerTls) {
    let mut renewals = federation.renewals();
    while renewals.changed().await.is_ok() {
        if let Err(error) = tls.show_certificate() {
            tracing::error!(%error, "a renewed certificate cannot be shown");
        }
    }
}

async fn renew(federation: &Federation, tls: &PeerTls) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = match federation.own() {
            Some(own) if own.expires() > now() => until_due(&own, now()),
            // Without one there is nothing that could be renewed.
            _ => Some(LONGEST),
        };
        if let Some(wait) = wait {
            pause = FIRST_PAUSE;
            tokio::time::sleep(wait.min(LONGEST)).await;
            continue;
        }
        match another(federation, tls).await {
            Ok(()) => {}
            Err(Failed::NobodyToAsk) => {
                tracing::warn!(
                    "this node's certificate ends soon, and it is not known who issues another: have it signed with \
                     `dfaas federation sign` and join with the file"
                );
                pause = LONGEST_PAUSE;
            }
            Err(Failed::Join(error)) => {
                tracing::warn!(%error, "this node's certificate was not renewed; it is tried again");
            }
            Err(Failed::Files(error)) => {
                tracing::error!(%error, "this node's certificate was not renewed; it is tried again");
            }
        }
        let jitter = rand::rng().random_range(0.75..1.25);
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if let Some(own) = federation.own() {
            // A certificate of a minute is not waited for ten.
            pause = pause.min((own.validity() / 20).max(FIRST_PAUSE));
        }
    }
}

enum Failed {
    NobodyToAsk,
    Join(JoinError),
    Files(FileError),
}

/// How long until a third of its time is left, or up to a tenth of that before, so that nodes that joined together do not ask
/// together; nothing if it is due.
fn until_due(own: &Certificate, now: UnixTime) -> Option<Duration> {
    let third = own.validity() / 3;
    let early = third.mul_f64(f64::from(own.serial() as u32) / f64::from(u32::MAX) / 10.0);
    let left = own.expires().since(now);
    left.checked_sub(third + early)
        .filter(|wait| !wait.is_zero())
}

async fn another(federation: &Federation, tls: &PeerTls) -> Result<(), Failed> {
    if let (Some(authority), Some(own)) = (federation.authority(), federation.own()) {
        let renewed = authority.renew(&own, now());
        let renewed = renewed.map_err(|why| Failed::Join(why.into()))?;
        return federation.renewed(renewed).map_err(Failed::Files);
    }
    let issuer = federation.issuer().map_err(Failed::Files)?;
    let issuer = issuer.ok_or(Failed::NobodyToAsk)?;
    let (renewed, _) = ask(tls, &issuer, &JoinRequest::Renew)
        .await
        .map_err(Failed::Join)?;
    federation.renewed(renewed).map_err(Failed::Files)
}

#[cfg(test)]
mod tests {
    use dfaas_protocol::NodeId;
    use dfaas_protocol::membership::{Authority, Grant, Rights};

    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_about_a_third_of_it_is_left() {
        let begin = UnixTime::from_secs(1_795_190_400);
        let month = Duration::from_secs(30 * 86_400);
        for serial in [0, 1, u64::MAX / 2, u64::MAX] {
            let grant = Grant {
                region: None,
                rights: Rights::ALL,
            };
            let node = NodeId::from_key([1; 32]);
            let own = Authority::from_secret(&[7; 32]).admit(node, serial, (begin, month), grant);
            let own = own.unwrap();
            let wait = until_due(&own, begin).unwrap();
            assert!(wait <= month * 2 / 3 && wait >= month * 19 / 30, "{wait:?}");
            assert!(until_due(&own, begin.after(wait / 2)).is_some());
            for late in [wait + Duration::from_secs(1), month, month * 2] {
                assert_eq!(until_due(&own, begin.after(late)), None);
            }
        }
    }
}
