//! An OpenFaaS gateway, or anything that answers like one: its `/system` paths are asked, never changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dfaas_protocol::FunctionName;
use dfaas_protocol::function::{DEFAULT_NAMESPACE, FunctionNameError};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::StatusCode;
use serde::Deserialize;
use tracing::{debug, warn};

use super::{DeployedFunction, Gateway, Platform, PlatformError};
use crate::config::{BasicAuthFiles, OpenFaasConfig, Timeouts};
use crate::secret::{Secret, loose_mode};

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
                listing.add(&self.ask(&path).await?, namespace)?;
            }
        } else {
            listing.add(&self.ask("/system/functions").await?, DEFAULT_NAMESPACE)?;
        }
        self.report(listing.unusable);
        Ok(listing.functions.into_values().collect())
    }

    /// The namespaces that the gateway names; none if it has no such path.
    async fn namespaces(&self) -> Result<Vec<String>, PlatformError> {
        let named = match self.ask("/system/namespaces").await {
            Ok(answer) => answer.read::<Option<Vec<String>>>(),
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

/// A credential from a file; editors and `echo` leave a line's end there that is not part of it.
/// The body of an answer with status 200.
struct Answer {
    url: String,
    body: Vec<u8>,
}

impl Answer {
    fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PlatformError> {
        serde_json::from_slice(&self.body).map_err(|source| PlatformError::Malformed {
            url: self.url.clone(),
            source,
        })
    }
}

/// What a gateway lists.
#[derive(Default)]
struct Listing {
    functions: BTreeMap<FunctionName, DeployedFunction>,
    /// The entries that cannot be used, with the reason.
    unusable: Vec<String>,
}

impl Listing {
    fn add(&mut self, answer: &Answer, namespace: &str) -> Result<(), PlatformError> {
        // A gateway without functions may answer null.
        let entries: Option<Vec<serde_json::Value>> = answer.read()?;
        for entry in entries.unwrap_or_default() {
            let name = entry["name"]
                .as_str()
                .unwrap_or("without a name")
                .to_owned();
            match FunctionStatus::deserialize(entry) {
                Ok(status) => match status.deployed(namespace) {
                    Ok(function) => {
                        self.functions.insert(function.name.clone(), function);
                    }
                    Err(error) => self.unusable.push(format!("{name:?}: {error}")),
                },
                Err(error) => self.unusable.push(format!("{name:?}: {error}")),
            }
        }
        Ok(())
    }
}

/// What we read of a function's entry. Gateways leave out what is zero or empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionStatus {
    name: String,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    replicas: Option<u64>,
    /// A gateway has it as a floating-point number.
    invocation_count: Option<f64>,
}

impl FunctionStatus {
    fn deployed(self, namespace: &str) -> Result<DeployedFunction, FunctionNameError> {
        let own = self.namespace.filter(|own| !own.is_empty());
        Ok(DeployedFunction {
            name: FunctionName::new(&self.name, own.as_deref().unwrap_or(namespace))?,
            labels: self.labels.unwrap_or_default(),
            replicas: u32::try_from(self.replicas.unwrap_or(0)).unwrap_or(u32::MAX),
            // The cast keeps to the range of the integer.
            invocations: self.invocation_count.unwrap_or(0.0) as u64,
        })
    }
}

#[cfg(test)]
mod tests;
