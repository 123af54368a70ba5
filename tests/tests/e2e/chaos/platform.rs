//! A platform that outlives the agents, and counts how often each call was executed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How often each call was executed, by its id, on all platforms.
#[derive(Clone, Debug, Default)]
pub(super) struct Executions(Arc<Mutex<HashMap<String, u32>>>);

impl Executions {
    fn count(&self, id: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(id.to_owned()).or_default() += 1;
    }

    pub(super) fn of(&self, id: &str) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).copied().unwrap_or(0)
    }

    /// The calls that were executed more than once.
    pub(super) fn doubled(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(_, times)| **times > 1)
            .map(|(id, times)| format!("{id}: {times} times"))
            .collect()
    }
}

/// Starts a gateway with one function, `work`, which takes so long in so many slots and answers with the call's id. Its URL.
pub(super) async fn start(executions: Executions, service: Duration, slots: u32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let list = format!(
        "[{{\"name\":\"work\",\"image\":\"i\",\"namespace\":\"openfaas-fn\",\"replicas\":1,\"availableReplicas\":1,\
         \"labels\":{{\"dfaas.concurrency\":\"{slots}\",\"dfaas.timeout_ms\":\"10000\"}}}}]"
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (executions, list) = (executions.clone(), list.clone());
            let serve = service_fn(move |request| {
                answer(executions.clone(), list.clone(), service, request)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve);
            // The agent that it belongs to may have been killed.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    url
}

async fn answer(
    executions: Executions,
    list: String,
    service: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/function/work" => {
            let id = request.headers().get("x-call-id");
            let id = id
                .and_then(|id| id.to_str().ok())
                .unwrap_or("none")
                .to_owned();
            executions.count(&id);
            tokio::time::sleep(service).await;
            id
        }
        "/system/functions" => list,
        "/system/namespaces" => "[]".to_owned(),
        _ => "OK".to_owned(),
    };
    Ok(Response::new(Full::new(Bytes::from(body))))
}
