//! An OpenFaaS gateway, or anything that answers like one: its `/system` paths are asked, never changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dfaas_protocol::FunctionName;
use dfaas_protocol::function::DEFAULT_NAMESPACE;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::StatusCode;
use tracing::{debug, warn};

use super::{DeployedFunction, Gateway, Platform, PlatformError};
use crate::config::{BasicAuthFiles, OpenFaasConfig, Timeouts};
use crate::secret::{Secret, loose_mode};

pub mod listing;

use listing::Listing;

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long one question may take: far above what a gateway needs, and short enough not to hold up a poll for long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An OpenFaaS gateway.
#[derive(Debug)]
pub struct OpenFaas {
    gateway: Gateway,
    client: reqwest::Client,
    basic_auth: Option<BasicAuthFiles>,
    /// The entries that the last listing had and could not be used, so that each is reported once.
    unusable: Mutex<Vec<String>>,
}

impl OpenFaas {
    /// Makes ready for the gateway; nothing is sent yet. The credentials are read anew for each question, so that
    /// they can be rotated.
    ///
    /// # Errors
    /// If the URL cannot be used, or the machine's certificates cannot be read for an `https` URL.
    pub fn connect(
        config: &OpenFaasConfig,
        timeouts: &Timeouts,
    ) -> Result<OpenFaas, PlatformError> {
        let gateway = Gateway::parse(&config.url)?;
        let files = config.basic_auth.iter();
        for file in files.flat_map(|files| [&files.user_file, &files.password_file]) {
            if let Some(mode) = loose_mode(file) {
                warn!(file = %file.display(), mode = format!("{mode:03o}"), "others may read this secret of the platform");
            }
        }
        // A redirect would take the credentials elsewhere, and the gateway is never behind the site's web proxy.
        let mut client = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if !gateway.secure {
            // Small edge machines often have no certificates; without TLS none is needed.
            client = client.tls_certs_only([]);
        }
        Ok(OpenFaas {
            gateway,
            client: client.build().map_err(PlatformError::Client)?,
            basic_auth: config.basic_auth.clone(),
            unusable: Mutex::default(),
        })
    }

    async fn list(&self) -> Result<Vec<DeployedFunction>, PlatformError> {
        let mut listing = Listing::default();
        let namespaces = self.namespaces().await?;
        if namespaces.len() > 1 {
            for namespace in &namespaces {
                let path = format!("/system/functions?namespace={namespace}");
                let answer = self.ask(&path).await?;
                answer.read_by(|body| listing.add(body, namespace))?;
            }
        } else {
            let answer = self.ask("/system/functions").await?;
            answer.read_by(|body| listing.add(body, DEFAULT_NAMESPACE))?;
        }
        self.report(listing.unusable);
        Ok(listing.functions.into_values().collect())
    }

    /// The namespaces that the gateway names; none if it has no such path.
    async fn namespaces(&self) -> Result<Vec<String>, PlatformError> {
        let named = match self.ask("/system/namespaces").await {
            Ok(answer) => answer.read_by(serde_json::from_slice::<Option<Vec<String>>>),
            Err(error) => Err(error),
        };
        let mut namespaces = match named {
            Ok(named) => named.unwrap_or_default(),
            // The question for the functions would fail in the same way.
            Err(error @ (PlatformError::Request { .. } | PlatformError::Credentials { .. })) => {
                return Err(error);
            }
            Err(error) => {
                debug!(%error, "the platform names no namespaces");
                Vec::new()
            }
        };
        // It becomes part of a query; and a function in such a namespace could not be called.
        namespaces.retain(|namespace| FunctionName::new("any", namespace).is_ok());
        Ok(namespaces)
    }

    async fn ask(&self, path: &str) -> Result<Answer, PlatformError> {
        let url = format!("{}{path}", self.gateway);
        let mut request = self.client.get(&url);
        if let Some(files) = &self.basic_auth {
            let user = Secret::read_foreign(&files.user_file)?;
            let password = Secret::read_foreign(&files.password_file)?;
            request = request.basic_auth(user.expose(), Some(password.expose()));
        }
        let failed = |source| PlatformError::Request {
            url: url.clone(),
            source,
        };
        let mut response = request.send().await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(PlatformError::Unauthorized { url }),
            status => return Err(PlatformError::Status { url, status }),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let limit = MAX_ANSWER;
                return Err(PlatformError::TooLong { url, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { url, body })
    }

    async fn ask_health(&self) -> bool {
        let url = format!("{}/healthz", self.gateway);
        let answer = self.client.get(url).send().await;
        // One without this path, or one that asks for credentials there, answers all the same.
        answer.is_ok_and(|response| !response.status().is_server_error())
    }

    fn report(&self, unusable: Vec<String>) {
        let mut last = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in unusable.iter().filter(|entry| !last.contains(entry)) {
            warn!("a function of the platform is left out: {entry}");
        }
        *last = unusable;
    }
}

impl Platform for OpenFaas {
    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn functions(&self) -> BoxFuture<'_, Result<Vec<DeployedFunction>, PlatformError>> {
        self.list().boxed()
    }

    fn healthy(&self) -> BoxFuture<'_, bool> {
        self.ask_health().boxed()
    }
}

/// The body of an answer with status 200.
struct Answer {
    url: String,
    body: Vec<u8>,
}

impl Answer {
    fn read_by<'a, T>(
        &'a self,
        read: impl FnOnce(&'a [u8]) -> serde_json::Result<T>,
    ) -> Result<T, PlatformError> {
        read(&self.body).map_err(|source| PlatformError::Malformed {
            url: self.url.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
