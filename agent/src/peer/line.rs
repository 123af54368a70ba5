//! The connection on which a neighbour is checked.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dfaas_protocol::NodeId;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::datapath::headers::ascii;
use crate::datapath::{PeerTls, PeerTlsError, Speaks};

use crate::health::PATH;
use crate::membership::Membership;

/// A keep-alive connection to a neighbour's peer channel, made anew when it is needed.
pub(super) struct Line {
    node: NodeId,
    address: SocketAddr,
    membership: Membership,
    tls: TlsConnector,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

/// Why there is no answer to a check.
#[derive(Debug, Error)]
pub(super) enum LineError {
    #[error("no connection could be made: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
}

impl Line {
    pub(super) fn new(
        tls: &PeerTls,
        node: NodeId,
        address: SocketAddr,
    ) -> Result<Line, PeerTlsError> {
        Ok(Line {
            node,
            address,
            membership: tls.membership().clone(),
            tls: TlsConnector::from(Arc::new(tls.client(node, Speaks::Http)?)),
            sender: None,
        })
    }

    /// Whether the neighbour says that it takes calls.
    pub(super) async fn ask(&mut self) -> Result<bool, LineError> {
        if let Some(sender) = self.sender.take()
            && !sender.is_closed()
        {
            // One that was idle may have been closed just now; then a new one tells.
            if let Ok(passed) = self.ask_over(sender).await {
                return Ok(passed);
            }
        }
        let sender = self.connect().await?;
        self.ask_over(sender).await
    }

    /// Gives the connection up.
    pub(super) fn close(&mut self) {
        self.sender = None;
    }

    async fn ask_over(&mut self, mut sender: SendRequest<Empty<Bytes>>) -> Result<bool, LineError> {
        sender.ready().await?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = hyper::Uri::from_static(PATH);
        let host = ascii(self.address.to_string());
        request.headers_mut().insert(HOST, host);
        let mut response = sender.send_request(request).await?;
        let passed = response.status() == StatusCode::OK;
        while let Some(frame) = response.body_mut().frame().await {
            frame?;
        }
        self.sender = Some(sender);
        Ok(passed)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, LineError> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let (membership, node) = (self.membership.clone(), self.node);
        tokio::spawn(async move {
            if let Some(Err(error)) = membership.while_admitted(node, connection).await {
                tracing::trace!(%error, "a connection for checks ended");
            }
        });
        Ok(sender)
    }
}
