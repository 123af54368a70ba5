//! The plain lane: ordinary calls, relayed as bytes.
//!
//! Most calls are plain: HTTP/1.1 with a small sized body or none, a path without escapes, nothing that changes the
//! connection. They are read strictly, written anew for the next hop, and their answers relayed as they come; no message
//! is built up, and no other task has a part in it. This costs about half of the user time of relaying by
//! messages (`docs/decisions.md`). The first request that is not plain takes its connection, unread, to the server that
//! judges and serves everything: nothing is refused here, and nothing doubtful is passed on.

mod call;
mod client;
mod relay;
mod stamp;

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::datapath::plain::{Found, Head, Limits};
use crate::datapath::{Context, hang_up, others_first};

use super::limits::Admitted;
use super::watch::Patience;

use call::{Names, deliver};
use client::{ClientStream, GivenUp};

pub(super) use stamp::{CallId, StartTime};

/// How plain calls ended on a connection.
#[derive(Debug)]
pub(super) enum End {
    /// With the connection.
    Closed,
    /// With a request that is not plain, of which so much was read.
    Other(TcpStream, BytesMut),
    /// With a request whose rest did not come in time.
    Late(TcpStream),
}

/// Serves plain calls until the connection ends, or until a request comes that is not plain: then the connection is
/// returned with what was read of that request. A client that takes its turn has so much `patience`.
pub(super) async fn serve(
    context: &Rc<Context>,
    stream: TcpStream,
    address: SocketAddr,
    server: &str,
    admitted: &Admitted,
    patience: Patience,
    stop: &mut watch::Receiver<bool>,
) -> End {
    let names = Names::new(context, address, server);
    let mut stop = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut client = ClientStream::new(stream, Rc::clone(&context.buffers), patience.idle);
    loop {
        let drains = || context.shared.is_draining();
        if client.input.is_empty() && !client.wait(stop.as_mut(), drains).await {
            return End::Closed;
        }
        let mut began = false;
        let head = loop {
            match Head::find(&client.input, Limits::CLIENT) {
                Found::Plain(head) => break head,
                Found::Other => return End::Other(client.stream, client.input),
                Found::Part => {}
            }
            if client.input.len() >= Limits::CLIENT.bytes {
                return End::Other(client.stream, client.input);
            }
            if !client.input.is_empty() && !began {
                began = true;
                client.set_deadline(Instant::now() + patience.header);
            }
            match client.read().await {
                Ok(()) => {}
                Err(_) if client.input.is_empty() => return End::Closed,
                Err(GivenUp::Late) => return End::Late(client.stream),
                // Gone in the midst: the other lane has the words for it.
                Err(GivenUp::Gone) => return End::Other(client.stream, client.input),
            }
        };
        let function = head.function.of(&client.input);
        let served = std::str::from_utf8(function)
            .ok()
            .and_then(|name| context.shared.routes.load().find(name).cloned());
        let Some(served) = served else {
            return End::Other(client.stream, client.input);
        };
        // Each request is counted once, in the lane that takes it.
        if !admitted.request() {
            return End::Other(client.stream, client.input);
        }
        if served.local.is_some() {
            others_first().await;
        }
        let whole = head.len + head.body;
        let now = client.came();
        if client.input.len() < whole {
            client.set_deadline(now + served.timeout);
            while client.input.len() < whole {
                match client.read().await {
                    Ok(()) => {}
                    Err(GivenUp::Late) => return End::Late(client.stream),
                    Err(GivenUp::Gone) => return End::Closed,
                }
            }
        }
        let request = client.take(whole);
        let keep = deliver(context, &names, &mut client, &served, &head, &request, now).await;
        context.buffers.give_back(request);
        match keep {
            Ok(true) => {}
            Ok(false) => {
                // The client may have sent more before it was told.
                if !client.input.is_empty() {
                    hang_up(&mut client.stream).await;
                }
                return End::Closed;
            }
            Err(_) => return End::Closed,
        }
        client.set_deadline(client.came() + patience.idle);
    }
}
