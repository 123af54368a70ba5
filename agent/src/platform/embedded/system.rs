//! What the embedded gateway tells of itself: `/system` and `/healthz`.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;
use std::time::{SystemTime, UNIX_EPOCH};

use dfaas_protocol::FunctionName;
use dfaas_protocol::function::DEFAULT_NAMESPACE;
use hyper::{Method, Response, StatusCode, Uri};
use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, json, text};
use super::function::{Function, Functions};
use super::request::parameter;
use crate::config::Builtin;

/// Answers a request for anything but a function.
pub(super) fn answer(
    method: &Method,
    uri: &Uri,
    functions: &Functions,
    started: SystemTime,
) -> Response<Answer> {
    let namespace = parameter(uri.query(), "namespace").filter(|text| !text.is_empty());
    let path = uri.path();
    if path == "/system/functions" && [Method::POST, Method::PUT, Method::DELETE].contains(method) {
        return text(
            StatusCode::NOT_IMPLEMENTED,
            "the embedded platform takes its functions from the agent's configuration: change them there",
        );
    }
    let one = path.strip_prefix("/system/function/");
    let known = one.is_some()
        || matches!(
            path,
            "/system/functions" | "/system/info" | "/system/namespaces" | "/healthz"
        );
    if !known {
        return text(StatusCode::NOT_FOUND, "there is nothing at this path");
    }
    if method != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    if let Some(name) = one {
        return match find(functions, name, namespace) {
            Some(function) => json(&FunctionStatus::of(function, &rfc3339(started))),
            None => text(StatusCode::NOT_FOUND, format!("{name} is not deployed")),
        };
    }
    match path {
        "/system/functions" => {
            let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
            let created_at = rfc3339(started);
            let listed: Vec<FunctionStatus<'_>> = functions
                .iter()
                .filter(|function| function.name.namespace() == namespace)
                .map(|function| FunctionStatus::of(function, &created_at))
                .collect();
            json(&listed)
        }
        "/system/namespaces" => {
            let mut namespaces = BTreeSet::from([DEFAULT_NAMESPACE]);
            namespaces.extend(functions.iter().map(|function| function.name.namespace()));
            json(&namespaces)
        }
        "/system/info" => {
            let version = json!({ "release": env!("CARGO_PKG_VERSION"), "sha": "" });
            json(&json!({
                "provider": {
                    "provider": "dfaas-embedded",
                    "orchestration": "embedded",
                    "version": version,
                },
                "version": version,
                "arch": ARCH,
            }))
        }
        _ => text(StatusCode::OK, "OK"),
    }
}

/// The function in the namespace of the query, or as the text itself says.
fn find<'f>(functions: &'f Functions, text: &str, namespace: Option<&str>) -> Option<&'f Function> {
    let name = match namespace {
        Some(namespace) => FunctionName::new(text, namespace),
        None => FunctionName::parse(text),
    };
    functions
        .find(name.ok()?.as_str())
        .map(|function| &**function)
}

/// A function as a gateway lists it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionStatus<'f> {
    name: &'f str,
    namespace: &'f str,
    image: &'static str,
    labels: &'f BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    invocation_count: u64,
    replicas: u32,
    available_replicas: u32,
    created_at: &'f str,
}

impl<'f> FunctionStatus<'f> {
    fn of(function: &'f Function, created_at: &'f str) -> FunctionStatus<'f> {
        FunctionStatus {
            name: function.name.name(),
            namespace: function.name.namespace(),
            image: match function.builtin {
                Builtin::Echo => "builtin/echo",
                Builtin::Sleep(_) => "builtin/sleep",
                Builtin::Serve(_) => "builtin/serve",
                Builtin::Burn(_) => "builtin/burn",
                Builtin::Hash => "builtin/hash",
            },
            labels: &function.labels,
            annotations: BTreeMap::new(),
            invocation_count: function.invocations(),
            replicas: 1,
            available_replicas: 1,
            created_at,
        }
    }
}

/// A time since 1970 as RFC 3339 has it, in UTC, to the second.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut days = seconds / 86_400;
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute, second) = (
        days + 1,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
