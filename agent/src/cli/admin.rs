//! Asking a running agent by its admin address.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use reqwest::{Client, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer than any answer of an agent that works takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which agent to ask.
#[derive(Args, Clone, Debug)]
pub(super) struct Admin {
    /// The agent's admin address.
    #[arg(
        long = "admin",
        env = "DFAAS_ADMIN",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:31602"
    )]
    address: String,
}

impl Admin {
    /// The agent at that address.
    pub(super) fn at(address: impl ToString) -> Admin {
        Admin {
            address: address.to_string(),
        }
    }

    /// What the agent answers to GET, as it stands.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.answer(client()?.get(self.url(path))).await
    }

    /// What the agent answers to PUT of this body, as it stands.
    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<String> {
        self.answer(client()?.put(self.url(path)).json(body)).await
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
        format!("http://{}{path}", self.address)
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<String> {
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
            anyhow!("{at:?} is no address: give --admin HOST:PORT, such as 127.0.0.1:31602")
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

/// A client for plain HTTP on this machine: no proxy, and no certificates, which need not be installed here.
fn client() -> anyhow::Result<Client> {
    Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(TIMEOUT)
        .build()
        .context("cannot make an HTTP client")
}

fn is_refused(error: &reqwest::Error) -> bool {
    anyhow::Chain::new(error)
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == ErrorKind::ConnectionRefused)
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
    use tokio::net::TcpListener;

    use super::*;

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

    #[test]
    fn an_answer_of_something_else_gets_advice() {
        let error = Admin::at("127.0.0.1:80")
            .read::<crate::admin::view::Status>("<html>")
            .unwrap_err();
        assert!(format!("{error:#}").contains("no dfaas agent"), "{error:#}");
    }
}
