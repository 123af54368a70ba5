//! A client for the tests, and a wait for a condition.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Far beyond what any wait should take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// One connection to a server. Dropping it closes the connection.
pub(super) struct Client {
    sender: SendRequest<UnsyncBoxBody<Bytes, Infallible>>,
    connection: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An answer, read to its end.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    pub(super) async fn connect(authority: &str) -> Client {
        let stream = TcpStream::connect(authority).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            // A connection that breaks off shows in the request.
            connection.await.ok();
        });
        Client { sender, connection }
    }

    /// Sends a request with a whole body, and waits for all of the answer.
    pub(super) async fn send(&mut self, request: Request<impl Into<Bytes>>) -> Answered {
        let request = request.map(|body| Full::new(body.into()).boxed_unsync());
        let answer = async {
            self.sender.ready().await.unwrap();
            let response = self.sender.send_request(request).await.unwrap();
            let (head, body) = response.into_parts();
            Answered {
                status: head.status,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        timeout(DEADLINE, answer).await.unwrap()
    }

    pub(super) async fn get(&mut self, path: &str) -> Answered {
        self.send(Request::get(path).body("").unwrap()).await
    }

    pub(super) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answered {
        self.send(Request::post(path).body(body).unwrap()).await
    }

    /// Sends a request whose body is sent bit by bit, and waits for the head of the answer.
    pub(super) async fn stream(
        &mut self,
        request: Request<()>,
    ) -> (mpsc::UnboundedSender<&'static str>, Response<Incoming>) {
        let (chunks, received) = mpsc::unbounded::<&'static str>();
        let frames = futures::StreamExt::map(received, |chunk| {
            Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))
        });
        let request = request.map(|()| StreamBody::new(frames).boxed_unsync());
        let response = timeout(DEADLINE, self.sender.send_request(request)).await;
        (chunks, response.unwrap().unwrap())
    }
}

/// Waits until a condition holds.
pub(super) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < end, "the condition never held");
        sleep(Duration::from_millis(5)).await;
    }
}
