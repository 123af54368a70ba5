//! Calls that change their connection to another protocol, such as WebSocket.

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

use super::{AnswerBody, text};

/// What is left of a call when its answer is `101 Switching Protocols`: a connection to whoever ran it, and the slot that it
/// holds until the end.
#[derive(Debug)]
pub struct Tunnel {
    upstream: OnUpgrade,
    _held: AnswerBody,
}

impl Tunnel {
    /// The tunnel that an answer opens, which then has no body of its own; none if it opens none. An answer that opens one
    /// where nobody `asked` for it is replaced.
    pub fn opened_by(response: &mut Response<AnswerBody>, asked: bool) -> Option<Tunnel> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        if !asked {
            *response = text(
                StatusCode::BAD_GATEWAY,
                "the platform changed to a protocol that nobody asked for",
            );
            return None;
        }
        let upstream = hyper::upgrade::on(&mut *response);
        let nothing = AnswerBody::Own(Bytes::new());
        Some(Tunnel {
            upstream,
            _held: std::mem::replace(response.body_mut(), nothing),
        })
    }

    /// Carries bytes both ways until both ends have closed, or one breaks.
    pub async fn join(self, client: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let upstream = match self.upstream.await {
            Ok(upstream) => upstream,
            Err(error) => {
                return tracing::debug!(%error, "a connection did not change its protocol");
            }
        };
        match copy_bidirectional(client, &mut TokioIo::new(upstream)).await {
            Ok((up, down)) => tracing::trace!(up, down, "a tunnel ended"),
            Err(error) => tracing::trace!(%error, "a tunnel broke"),
        }
    }
}
