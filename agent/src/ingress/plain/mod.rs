//! The plain lane: ordinary calls, relayed as bytes.
//!
//! Most calls are plain: HTTP/1.1 with a small sized body or none, a path without escapes, nothing that changes the
//! connection. They are read strictly, written anew for the next hop, and their answers relayed as they come; no message
//! is built up, and no other task has a part in it. This costs about a third of the user time of relaying by
//! messages (`docs/benchmarks.md`). The first request that is not plain takes its connection, unread, to the server that
//! judges and serves everything: nothing is refused here, and nothing doubtful is passed on.

mod answer;
mod call;
mod chunks;
mod client;
mod exchange;
mod head;
mod relay;
mod stamp;

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::datapath::Context;

use call::{Names, deliver};
use client::ClientStream;
use head::{Found, Head, MAX_HEAD};

pub(super) use stamp::CallId;

/// Serves plain calls until the connection ends, or until a request comes that is not plain: then the connection is
/// returned with what was read of that request.
pub(super) async fn serve(
    context: &Rc<Context>,
    stream: TcpStream,
    address: SocketAddr,
    server: &str,
    stop: &mut watch::Receiver<bool>,
) -> Option<(TcpStream, BytesMut)> {
    let timeouts = &context.shared.timeouts;
    let names = Names {
        ip: address.ip(),
        client: address.to_string().into(),
        server: server.into(),
    };
    let mut stop = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut client = ClientStream::new(stream, Instant::now() + timeouts.header);
    loop {
        if client.input.is_empty() && !client.wait(stop.as_mut()).await {
            return None;
        }
        let mut began = None;
        let head = loop {
            match Head::find(&client.input) {
                Found::Plain(head) => break head,
                Found::Other => return Some((client.stream, client.input)),
                Found::Part => {}
            }
            if client.input.len() >= MAX_HEAD {
                return Some((client.stream, client.input));
            }
            if !client.input.is_empty() && began.is_none() {
                let now = Instant::now();
                began = Some(now);
                client.set_deadline(now + timeouts.header);
            }
            if client.read().await.is_err() {
                // Too slow, or gone in the midst: the other lane has the words for it.
                return (!client.input.is_empty()).then_some((client.stream, client.input));
            }
        };
        let function = &client.input[head.function.clone()];
        let served = std::str::from_utf8(function)
            .ok()
            .and_then(|name| context.shared.routes.load().find(name).cloned());
        let Some(served) = served else {
            return Some((client.stream, client.input));
        };
        let whole = head.len + head.body;
        let now = Instant::now();
        if client.input.len() < whole {
            client.set_deadline(now + served.timeout);
            while client.input.len() < whole {
                client.read().await.ok()?;
            }
        }
        let request = client.input.split_to(whole);
        let keep = deliver(context, &names, &mut client, &served, &head, &request, now).await;
        match keep {
            Ok(true) => {}
            Ok(false) | Err(_) => return None,
        }
        client.set_deadline(Instant::now() + timeouts.header);
    }
}
