//! Asking a running agent by its admin address.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use reqwest::{Certificate, Client, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::secret::Secret;

/// Longer than any answer of an agent that works takes.
const TIMEOUT: Duration = Duration::from_secs(10);
const HTTPS: &str = "https://";
const UNIX: &str = "unix:";

/// Which agent to ask.
#[derive(Args, Clone, Debug)]
pub(super) struct Admin {
    /// The agent's admin address: HOST:PORT, https://HOST:PORT where it has a certificate, or unix:PATH.
    #[arg(
        long = "admin",
        env = "DFAAS_ADMIN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:31602"
    )]
    address: String,
    #[command(flatten)]
    shows: Credentials,
}

/// What an agent's admin address may ask for.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Credentials {
    /// Shows the token in this file, where the agent has an admin.token_file.
    #[arg(
        long = "admin-token-file",
        env = "DFAAS_ADMIN_TOKEN_FILE",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// Trusts the certificates in this PEM file, and no others, at an https:// address.
    #[arg(long = "admin-ca", env = "DFAAS_ADMIN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Admin {
    /// The agent at that address, which is shown these.
    pub(super) fn new(address: String, shows: Credentials) -> Admin {
        Admin { address, shows }
    }

    #[cfg(test)]
    pub(super) fn at(address: impl ToString) -> Admin {
        Admin::new(address.to_string(), Credentials::default())
    }

    /// What the agent answers to GET, as it stands.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.answer(self.client()?.get(self.url(path))).await
    }

    /// What the agent answers to PUT of this body, as it stands.
    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<String> {
        self.answer(self.client()?.put(self.url(path)).json(body))
            .await
    }

    /// An answer as the type that it should be.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &str) -> anyhow::Result<T> {
        serde_json::from_str(answer).with_context(|| {
            format!(
                "what answers at {} is no dfaas agent of this version: name another address with --admin",
                self.address
            )
        })
    }

    fn url(&self, path: &str) -> String {
        let at = &self.address;
        if at.starts_with(HTTPS) {
            format!("{at}{path}")
        } else if at.starts_with(UNIX) {
            format!("http://localhost{path}")
        } else {
            format!("http://{at}{path}")
        }
    }

    /// A client for this machine's agent: no proxy, and no certificates, which need not be installed here, unless the
    /// address asks for TLS.
    fn client(&self) -> anyhow::Result<Client> {
        let mut client = Client::builder().no_proxy().timeout(TIMEOUT);
        if let Some(path) = self.address.strip_prefix(UNIX) {
            client = client.unix_socket(Path::new(path));
        }
        if let Some(file) = &self.shows.ca {
            let pem = std::fs::read(file)
                .with_context(|| format!("cannot read the certificates in {}", file.display()))?;
            let trusted = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificate as PEM", file.display()))?;
            client = client.tls_certs_only(trusted);
        } else if !self.address.starts_with(HTTPS) {
            client = client.tls_certs_only([]);
        }
        client.build().context("cannot make an HTTP client")
    }

    async fn answer(&self, mut request: RequestBuilder) -> anyhow::Result<String> {
        if let Some(file) = &self.shows.token_file {
            request = request.bearer_auth(Secret::read(file)?.expose());
        }
        let response = request.send().await.map_err(|error| self.explain(error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.explain(error))?;
        if !status.is_success() {
            bail!(
                "{} answers {}: {}",
                self.address,
                status.as_u16(),
                text.trim_end()
            );
        }
        Ok(text)
    }

    fn explain(&self, error: reqwest::Error) -> anyhow::Error {
        let at = &self.address;
        if error.is_builder() {
            anyhow!(
                "{at:?} is no address: give --admin HOST:PORT, such as 127.0.0.1:31602, https://HOST:PORT or unix:PATH"
            )
        } else if is_refused(&error) {
            anyhow!(
                "no agent answers at {at}: start one with `dfaas agent`, or name its admin address with \
                 --admin"
            )
        } else {
            anyhow::Error::new(error.without_url())
                .context(format!("cannot ask the agent at {at}; see whether it runs"))
        }
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    anyhow::Chain::new(error)
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        // The latter where a Unix socket is gone.
        .any(|e| matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

/// Waits for what a command does.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use tokio::net::TcpListener;

    use super::*;
    use crate::admin::access::Access;
    use crate::admin::listen::AdminListener;
    use crate::admin::sample::serve_sample_at;
    use crate::config::TlsFiles;
    use crate::tls::{HTTP_1_1, acceptor};

    #[tokio::test]
    async fn an_agent_that_is_not_there_gets_advice() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let error = Admin::at(at).get("/v1/status").await.unwrap_err();
        let advice = format!(
            "no agent answers at {at}: start one with `dfaas agent`, or name its admin address with --admin"
        );
        assert_eq!(format!("{error:#}"), advice);
    }

    #[tokio::test]
    async fn an_address_that_is_none_gets_advice() {
        let error = Admin::at("no where").get("/v1/status").await.unwrap_err();
        assert!(error.to_string().contains("HOST:PORT"), "{error:#}");
    }

    fn secret(dir: &Path, text: &str) -> PathBuf {
        let file = dir.join("token");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    }

    #[tokio::test]
    async fn an_agent_is_asked_over_its_unix_socket() {
        let dir = tempfile::tempdir().unwrap();
        let listener = AdminListener::unix(&dir.path().join("s")).await.unwrap();
        let admin = Admin::at(listener.address());
        let _sample = serve_sample_at(listener, Access::open());
        assert_eq!(admin.get("/healthz").await.unwrap(), "ok\n");
    }

    #[tokio::test]
    async fn only_the_token_opens_an_agent_over_tls_and_health_needs_none() {
        let dir = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("cert.pem"),
            key: secret(dir.path(), &own.key_pair.serialize_pem()),
        };
        std::fs::write(&files.certificate, own.cert.pem()).unwrap();
        let (acceptor, _) = acceptor(&files, &[HTTP_1_1]).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = AdminListener::tls(tcp, acceptor).unwrap();
        let admin = |token: Option<&str>| {
            let shows = Credentials {
                token_file: token.map(|text| secret(dir.path(), text)),
                ca: Some(files.certificate.clone()),
            };
            Admin::new(listener.address().to_owned(), shows)
        };
        let (none, wrong) = (admin(None), Admin::at(listener.address()));
        let token = Secret::read(&secret(dir.path(), "a token of some length")).unwrap();
        let right = admin(Some("a token of some length\n"));
        let _sample = serve_sample_at(listener, Access::with_token(&token));
        assert!(right.get("/v1/status").await.unwrap().contains("node_id"));
        assert_eq!(none.get("/healthz").await.unwrap(), "ok\n");
        for path in ["/v1/status", "/metrics", "/v1/calls/1", "/nothing"] {
            let error = none.get(path).await.unwrap_err();
            assert!(
                error.to_string().contains("--admin-token-file"),
                "{path}: {error:#}"
            );
        }
        let choice = serde_json::json!({"strategy": "all-local"});
        assert!(none.put("/v1/strategy", &choice).await.is_err());
        secret(dir.path(), "another of some length");
        assert!(right.get("/v1/status").await.is_err());
        assert!(
            wrong.get("/healthz").await.is_err(),
            "a certificate that nobody trusts"
        );
    }

    #[test]
    fn an_answer_of_something_else_gets_advice() {
        let error = Admin::at("127.0.0.1:80")
            .read::<crate::admin::view::Status>("<html>")
            .unwrap_err();
        assert!(format!("{error:#}").contains("no dfaas agent"), "{error:#}");
    }
}
