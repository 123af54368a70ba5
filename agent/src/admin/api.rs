//! The admin address over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use dfaas_protocol::FunctionName;
use dfaas_protocol::membership::MembershipError;
use dfaas_protocol::strategy::StrategyName;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::access::{self, Access};
use super::listen::AdminListener;
use super::view::{
    CallExplanation, Cordon, Decisions, Drain, Federation, Peer, SignedRevocation, Status,
    StrategyChoice,
};

/// The media type of OpenMetrics text, as its specification 1.0.0 has it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// More than any request here needs, in bytes.
const MAX_BODY: usize = 4096;

/// What the admin address shows and sets: a running node, or a part that stands for one.
pub trait Source: Send + Sync + 'static {
    /// The node as a whole.
    fn status(&self) -> Status;

    /// Its neighbours.
    fn peers(&self) -> Vec<Peer>;

    /// The strategy at work.
    fn strategy(&self) -> StrategyName;

    /// Puts another strategy to work. When this is done it is at work.
    ///
    /// # Errors
    /// If the node stops.
    fn set_strategy(&self, strategy: StrategyName) -> BoxFuture<'_, Result<(), Stopping>>;

    /// Whether the node refuses calls of neighbours.
    fn cordoned(&self) -> bool;

    /// Refuses calls of neighbours from now on, or takes them again, and tells the neighbours at once.
    fn set_cordoned(&self, cordoned: bool);

    /// Ends the node without losing a call; it goes on draining when this returns.
    fn drain(&self, drain: Drain);

    /// Who is let in.
    fn federation(&self) -> Federation;

    /// Takes up a revocation that the authority signed, and tells the neighbours.
    ///
    /// # Errors
    /// If it is none of this node's federation, which says what to do.
    fn revoke(&self, revocation: &str) -> Result<(), NotRevoked>;

    /// The last calls with that id, the last one first.
    ///
    /// # Errors
    /// If none is known, which says what to do.
    fn explain_call(&self, id: &str) -> Result<Vec<CallExplanation>, NotKept>;

    /// Sums over a function's last calls.
    ///
    /// # Errors
    /// If none is known, which says what to do.
    fn decisions(&self, function: &FunctionName) -> Result<Decisions, NotKept>;

    /// All metrics as OpenMetrics text.
    fn metrics(&self) -> String;

    /// Why no calls should be sent to this node now: it starts, it drains, or something is down. Nothing if they
    /// should.
    fn not_ready(&self) -> Option<String>;
}

/// The node stops, and its strategy can no longer be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the agent is stopping; try again once it has started anew")]
pub struct Stopping;

/// A revocation was not taken up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotRevoked {
    /// There is no federation.
    #[error(
        "this node is in no closed federation, so that it has no members to revoke; ask another agent"
    )]
    NoFederation,
    /// It is no revocation of this federation.
    #[error(transparent)]
    Unusable(#[from] MembershipError),
}

/// Nothing is kept of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotKept {
    /// Nothing is kept of any call.
    #[error("no calls are kept here; set log.explain_calls above 0 and start the agent anew")]
    Off,
    /// Of no call with that id.
    #[error(
        "no call with the id {id:?} is among the last that this node keeps (at most {most}); the id is the header          X-Call-Id of the answer: ask the node that took the call in (DFaaS-Node-ID) or the one that ran it          (DFaaS-Forwarded-To), and raise log.explain_calls to keep more"
    )]
    Call {
        /// The id.
        id: String,
        /// How many are kept.
        most: usize,
    },
    /// Of no call of that function.
    #[error(
        "no call of {function} is among the last that this node keeps (at most {most}); `dfaas status` lists the          functions and their calls"
    )]
    Function {
        /// The function.
        function: FunctionName,
        /// How many are kept.
        most: usize,
    },
}

/// Serves the admin address until `shutdown` is done and the requests that then run are answered.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: AdminListener,
    access: Access,
    source: Arc<dyn Source>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(source, access))
        .with_graceful_shutdown(shutdown)
        .await
}

fn router(source: Arc<dyn Source>, access: Access) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/peers", get(peers))
        .route("/v1/strategy", get(strategy).put(set_strategy))
        .route("/v1/cordon", get(cordon).put(set_cordon))
        .route("/v1/drain", put(drain))
        .route("/v1/federation", get(federation))
        .route("/v1/federation/revocations", put(revoke))
        .route("/v1/calls/{id}", get(call))
        .route("/v1/functions/{name}/decisions", get(decisions))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(unknown_path)
        .with_state(source)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(access, access::check))
}

/// A refusal: a status and a sentence as text.
type Refusal = (StatusCode, String);

async fn status(State(source): State<Arc<dyn Source>>) -> Response {
    json(&source.status())
}

async fn peers(State(source): State<Arc<dyn Source>>) -> Response {
    json(&source.peers())
}

async fn strategy(State(source): State<Arc<dyn Source>>) -> Response {
    json(&StrategyChoice {
        strategy: source.strategy(),
    })
}

/// [`StrategyChoice`] with the name as it was sent, so that an unknown one gets its own sentence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentChoice {
    strategy: String,
}

async fn set_strategy(
    State(source): State<Arc<dyn Source>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let strategy = chosen(&headers, &body)?;
    source
        .set_strategy(strategy)
        .await
        .map_err(|stopping| (StatusCode::SERVICE_UNAVAILABLE, format!("{stopping}\n")))?;
    Ok(json(&StrategyChoice { strategy }))
}

fn chosen(headers: &HeaderMap, body: &[u8]) -> Result<StrategyName, Refusal> {
    let sent: SentChoice = sent(headers, body, "{\"strategy\": \"NAME\"}")?;
    sent.strategy
        .parse()
        .map_err(|error| bad(format!("{error}")))
}

/// What a body of JSON says; `example` is what it should look like.
fn sent<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    example: &str,
) -> Result<T, Refusal> {
    // Browsers send JSON to another site only after they asked it, and nothing here says yes.
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let sentence = "send JSON with the header Content-Type: application/json\n";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence.to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| bad(format!("send {example}: {error}")))
}

fn bad(sentence: String) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{sentence}\n"))
}

async fn cordon(State(source): State<Arc<dyn Source>>) -> Response {
    json(&Cordon {
        cordoned: source.cordoned(),
    })
}

async fn set_cordon(
    State(source): State<Arc<dyn Source>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let cordon: Cordon = sent(&headers, &body, "{\"cordoned\": true}")?;
    source.set_cordoned(cordon.cordoned);
    Ok(json(&cordon))
}

async fn federation(State(source): State<Arc<dyn Source>>) -> Response {
    json(&source.federation())
}

async fn revoke(
    State(source): State<Arc<dyn Source>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let sent: SignedRevocation = sent(&headers, &body, "{\"revocation\": \"LINE\"}")?;
    let revoked = source.revoke(&sent.revocation);
    revoked.map_err(|error| bad(format!("{error}")))?;
    Ok(json(&source.federation()))
}

async fn drain(
    State(source): State<Arc<dyn Source>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let drain: Drain = sent(&headers, &body, "{\"notice_ms\": 500} or {}")?;
    source.drain(drain);
    Ok((StatusCode::ACCEPTED, json(&drain)).into_response())
}

async fn call(
    State(source): State<Arc<dyn Source>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|_| bad_text("id of a call"))?;
    let calls = source.explain_call(&id).map_err(not_kept)?;
    Ok(json(&calls))
}

async fn decisions(
    State(source): State<Arc<dyn Source>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(name) = name.map_err(|_| bad_text("name of a function"))?;
    let function = FunctionName::parse(&name)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{name:?}: {error}\n")))?;
    let decisions = source.decisions(&function).map_err(not_kept)?;
    Ok(json(&decisions))
}

fn bad_text(what: &str) -> Refusal {
    let sentence = format!("the {what} in the path is no text; send UTF-8, percent-encoded\n");
    (StatusCode::BAD_REQUEST, sentence)
}

fn not_kept(error: NotKept) -> Refusal {
    (StatusCode::NOT_FOUND, format!("{error}\n"))
}

async fn metrics(State(source): State<Arc<dyn Source>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], source.metrics()).into_response()
}

async fn healthz(State(source): State<Arc<dyn Source>>) -> Response {
    match source.not_ready() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn unknown_path() -> Refusal {
    let sentence = "nothing is here; there are /v1/status, /v1/peers, /v1/strategy, /v1/cordon, /v1/drain, /v1/federation, \
         /v1/federation/revocations, /v1/calls/ID, \
         /v1/functions/NAME/decisions, /metrics and /healthz\n";
    (StatusCode::NOT_FOUND, sentence.to_owned())
}

/// JSON that is spread over lines, for people who look with curl.
fn json(view: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(view) {
        Ok(mut text) => {
            text.push('\n');
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Err(error) => {
            let sentence = format!("cannot write the answer as JSON: {error}; report it\n");
            (StatusCode::INTERNAL_SERVER_ERROR, sentence).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::Ordering;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::admin::sample::{Sample, serve_sample};

    /// Sends a request as it stands and reads the answer: its status, its head and its body.
    async fn exchange(at: SocketAddr, request: String) -> (u16, String, String) {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn get(at: SocketAddr, path: &str) -> (u16, String, String) {
        exchange(
            at,
            format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
        )
        .await
    }

    async fn put(at: SocketAddr, headers: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        exchange(
            at,
            format!(
                "PUT /v1/strategy HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n\
                 {headers}\r\n{body}"
            ),
        )
        .await
    }

    const JSON: &str = "Host: localhost\r\nContent-Type: application/json\r\n";

    #[tokio::test]
    async fn the_views_are_served_as_json() {
        let (at, sample) = serve_sample().await;
        let (status, head, body) = get(at, "/v1/status").await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: application/json"), "{head}");
        let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(sent, serde_json::to_value(sample.status()).unwrap());
        let (status, _, body) = get(at, "/v1/peers").await;
        assert_eq!(status, 200);
        let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(sent, serde_json::to_value(sample.peers()).unwrap());
        assert_eq!(get(at, "/v1/nothing").await.0, 404);
        let (status, _, body) = get(at, "/v1/calls/a%2Fb%201").await;
        assert_eq!(status, 200, "{body}");
        let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
        let calls = sample.explain_call("a/b 1").unwrap();
        assert_eq!(sent, serde_json::to_value(calls).unwrap());
        let (status, _, body) = get(at, "/v1/functions/resize/decisions").await;
        assert_eq!(status, 200, "{body}");
        let sent: Decisions = serde_json::from_str(&body).unwrap();
        let resize = FunctionName::parse("resize").unwrap();
        assert_eq!(sent, sample.decisions(&resize).unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_explained_is_answered_with_what_to_do() {
        let (at, _sample) = serve_sample().await;
        for (path, code, advice) in [
            ("/v1/calls/gone", 404, "X-Call-Id"),
            ("/v1/calls/%FF", 400, "UTF-8"),
            ("/v1/calls/", 404, "/v1/calls/ID"),
            ("/v1/functions/other/decisions", 404, "dfaas status"),
            ("/v1/functions/a%20b/decisions", 400, "a b"),
        ] {
            let (status, _, body) = get(at, path).await;
            assert_eq!(status, code, "{path}");
            assert!(body.contains(advice), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn a_strategy_is_shown_and_set() {
        let (at, sample) = serve_sample().await;
        let (status, _, body) = put(at, JSON, r#"{"strategy": "all-local"}"#).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(sample.strategy(), StrategyName::AllLocal);
        let (_, _, body) = get(at, "/v1/strategy").await;
        let shown: StrategyChoice = serde_json::from_str(&body).unwrap();
        assert_eq!(shown.strategy, StrategyName::AllLocal);
    }

    #[tokio::test]
    async fn a_strategy_that_cannot_be_set_is_refused_with_a_sentence() {
        let (at, sample) = serve_sample().await;
        let (status, _, body) = put(at, JSON, r#"{"strategy": "best"}"#).await;
        assert_eq!(status, 400);
        let unknown = "best".parse::<StrategyName>().unwrap_err();
        assert_eq!(body.trim_end(), unknown.to_string());
        for wrong in ["", "recalc", "{}", r#"{"strategy": "recalc", "x": 1}"#] {
            assert_eq!(put(at, JSON, wrong).await.0, 400, "{wrong}");
        }
        let large = format!(r#"{{"strategy": "{}"}}"#, "x".repeat(MAX_BODY));
        assert_eq!(put(at, JSON, &large).await.0, 413);
        let form = "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        assert_eq!(put(at, form, r#"{"strategy": "recalc"}"#).await.0, 415);
        sample.stopping.store(true, Ordering::Relaxed);
        let (status, _, body) = put(at, JSON, r#"{"strategy": "recalc"}"#).await;
        assert_eq!(
            (status, body.trim_end()),
            (503, Stopping.to_string().as_str())
        );
        assert_eq!(sample.strategy(), StrategyName::Headroom);
    }

    #[tokio::test]
    async fn what_a_web_page_could_send_is_refused() {
        let (at, sample) = serve_sample().await;
        let body = r#"{"strategy": "recalc"}"#;
        for headers in [
            format!("{JSON}Origin: http://site.example\r\n"),
            format!("{JSON}Origin: null\r\n"),
            JSON.replace("localhost", "site.example"),
            JSON.replace("localhost", "site.example:31602"),
            JSON.replace("localhost", "127.0.0.1.site.example"),
            JSON.replace("Host: localhost\r\n", ""),
        ] {
            let (status, _, answer) = put(at, &headers, body).await;
            assert_eq!(status, 403, "{headers}{answer}");
        }
        assert_eq!(sample.strategy(), StrategyName::Headroom);
        for host in [
            "localhost",
            "LOCALHOST:31602",
            "127.0.0.1",
            "[::1]:31602",
            "[::1]",
        ] {
            let request =
                format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            assert_eq!(exchange(at, request).await.0, 200, "{host}");
        }
    }

    #[tokio::test]
    async fn health_says_why_not() {
        let (at, sample) = serve_sample().await;
        let (status, _, body) = get(at, "/healthz").await;
        assert_eq!((status, body.trim_end()), (200, "ok"));
        sample.stopping.store(true, Ordering::Relaxed);
        let (status, _, body) = get(at, "/healthz").await;
        assert_eq!((status, body.trim_end()), (503, "draining"));
    }

    #[tokio::test]
    async fn metrics_are_openmetrics_text() {
        let (at, sample) = serve_sample().await;
        let (status, head, body) = get(at, "/metrics").await;
        assert_eq!(status, 200);
        assert!(
            head.contains(&format!("content-type: {OPENMETRICS}")),
            "{head}"
        );
        assert_eq!(body, sample.metrics());
    }

    #[tokio::test]
    async fn serving_ends_when_it_is_told_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let listener = AdminListener::tcp(listener).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(
            listener,
            Access::open(),
            Arc::new(Sample::new()),
            async {
                let _ = stopped.await;
            },
        ));
        assert_eq!(get(at, "/healthz").await.0, 200);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        assert!(TcpStream::connect(at).await.is_err());
    }
}
