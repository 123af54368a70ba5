//! Who may ask at the admin address: who has the token, where one is set; and no web page ever.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// The shortest token that is taken, in bytes.
pub const MIN_TOKEN: usize = 16;
/// What load balancers and service managers ask. It says no more than whether the node is ready, so it needs no token.
const HEALTH: &str = "/healthz";

/// What requests must show.
#[derive(Clone)]
pub struct Access {
    /// The digest of the token, so that comparing tells nothing of where two differ.
    token: Option<Arc<[u8; 32]>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.token.is_some() {
            "token"
        } else {
            "open"
        })
    }
}

impl Access {
    /// Asks nobody: for an address that only users of this machine can reach.
    pub fn open() -> Access {
        Access { token: None }
    }

    /// Asks for that token, as `Authorization: Bearer TOKEN` (RFC 6750).
    pub fn with_token(token: &Secret) -> Access {
        Access {
            token: Some(Arc::new(Sha256::digest(token.expose()).into())),
        }
    }

    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(one), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let bearer = one.to_str().ok().and_then(|text| text.split_once(' '));
        bearer.is_some_and(|(scheme, value)| {
            let digest: [u8; 32] = Sha256::digest(value.trim_matches(' ')).into();
            scheme.eq_ignore_ascii_case("bearer") && digest == **token
        })
    }
}

/// Lets a request through or refuses it.
pub(super) async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return refuse("requests of web pages are refused here; send it without the header Origin");
    }
    if access.is_shown(headers) && (access.token.is_some() || has_local_host(headers)) {
        return next.run(request).await;
    }
    if access.token.is_none() {
        return refuse(
            "requests must name this host by its IP address or as localhost; send such a header Host",
        );
    }
    if request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer realm=\"dfaas\"")],
        "this address asks for the token in the agent's admin.token_file; give it with \
         --admin-token-file or as the header Authorization: Bearer TOKEN\n",
    )
        .into_response()
}

fn refuse(sentence: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{sentence}\n")).into_response()
}

/// A page whose name was made to lead to this machine (DNS rebinding) has that name as `Host`. It knows no token, so where
/// one is set any name will do.
fn has_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let host = authority.host();
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
