//! Calls that change their connection to another protocol, such as WebSocket.

use std::io;

use bytes::Bytes;
use dfaas_protocol::NodeId;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};

use super::{AnswerBody, text};
use crate::membership::Membership;

/// What is left of a call when its answer is `101 Switching Protocols`: a connection to whoever ran it, and the slot that it
/// holds until the end.
#[derive(Debug)]
pub struct Tunnel {
    upstream: OnUpgrade,
    neighbour: Option<Neighbour>,
    _held: AnswerBody,
}

/// The neighbour at the other end of a connection that changes its protocol, which the answer carries with it: it is cut when
/// the neighbour is no member any more.
#[derive(Clone, Debug)]
pub(super) struct Neighbour(pub(super) NodeId, pub(super) Membership);

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
            neighbour: response.extensions_mut().remove(),
            _held: std::mem::replace(response.body_mut(), nothing),
        })
    }

    /// Carries bytes both ways until whoever ran the call has ended, or an end breaks. A client may end before: it then hears
    /// the other to its end.
    pub async fn join(self, client: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let upstream = match self.upstream.await {
            Ok(upstream) => TokioIo::new(upstream),
            Err(error) => {
                return tracing::debug!(%error, "a connection did not change its protocol");
            }
        };
        let (mut from_client, mut to_client) = split(client);
        let (mut from_upstream, mut to_upstream) = split(upstream);
        let up = async {
            copy(&mut from_client, &mut to_upstream).await?;
            to_upstream.shutdown().await?;
            std::future::pending::<io::Result<()>>().await
        };
        let down = async {
            copy(&mut from_upstream, &mut to_client).await?;
            to_client.shutdown().await
        };
        let both = async {
            tokio::select! {
                ended = up => ended,
                ended = down => ended,
            }
        };
        let ended = match self.neighbour {
            Some(Neighbour(node, membership)) => membership.while_admitted(node, both).await,
            None => Some(both.await),
        };
        if let Some(Err(error)) = ended {
            tracing::trace!(%error, "a tunnel broke");
        }
    }
}
