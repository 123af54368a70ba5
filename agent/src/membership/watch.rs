//! What becomes of a membership as time passes and files change.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::federation::Federation;
use super::{Membership, now};

/// How often the clock and the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks the revocations are read in any case: two may have been written within one tick of the file system.
const READ_ANYWAY: u32 = 30;

impl Membership {
    /// Looks at the clock and at the files for ever: lets go those whose time is over, and takes up a certificate or a
    /// revocation that was put there.
    pub async fn watch(self) {
        let Membership::Closed(federation) = self else {
            return;
        };
        let mut seen = Seen::of(&federation);
        let mut unread = 0;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            federation.expire(now());
            let now_there = Seen::of(&federation);
            if now_there.certificate != seen.certificate {
                take_up_certificate(&federation);
            }
            unread += 1;
            if now_there.revocations != seen.revocations || unread == READ_ANYWAY {
                unread = 0;
                if let Err(error) = federation.take_up_revocations() {
                    tracing::error!(%error, "the authority's revocations cannot be read");
                }
            }
            seen = now_there;
        }
    }
}

/// When the files were written that others write too.
struct Seen {
    certificate: Option<SystemTime>,
    revocations: Option<SystemTime>,
}

impl Seen {
    fn of(federation: &Federation) -> Seen {
        let authority = federation.authority();
        Seen {
            certificate: federation.store().and_then(|s| s.certificate_written()),
            revocations: authority.and_then(|a| a.revocations_changed()),
        }
    }
}

/// Takes up the certificate in the file, unless it is the one that is known.
fn take_up_certificate(federation: &Arc<Federation>) {
    let Some(store) = federation.store() else {
        return;
    };
    let certificate = match store.certificate() {
        Ok(Some(certificate)) => certificate,
        Ok(None) => return,
        Err(error) => return tracing::error!(%error, "the new certificate cannot be read"),
    };
    if federation
        .own()
        .is_some_and(|own| !certificate.replaces(&own))
    {
        return;
    }
    match federation.check(federation.node(), &certificate) {
        Ok(()) => federation.take_up(certificate),
        Err(error) => tracing::error!(%error, "the new certificate is of no use"),
    }
}
