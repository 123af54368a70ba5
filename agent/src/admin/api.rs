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
use dfaas_protocol::strategy::StrategyName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::access::{self, Access};
use super::listen::AdminListener;
use super::source::{NotKept, Source};
use super::view::{Cordon, Drain, SignedRevocation, StrategyChoice};

/// The media type of OpenMetrics text, as its specification 1.0.0 has it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// More than any request here needs, in bytes.
const MAX_BODY: usize = 4096;

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
mod tests;
