//! What runs the functions on this node: an OpenFaaS gateway, or functions of the agent's own process.
//!
//! Both are reached in the same way, by HTTP/1.1 at their [`Gateway`] with the path `/function/NAME`; the trait is for
//! what the node asks beside the calls.

pub mod embedded;
mod error;
pub mod openfaas;
mod pace;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::fmt;

use dfaas_protocol::FunctionName;
use futures::future::BoxFuture;
use hyper::Uri;

pub use embedded::Embedded;
pub use error::PlatformError;
pub use openfaas::OpenFaas;
pub use pace::Pace;

/// What runs the functions on this node.
pub trait Platform: Send + Sync {
    /// Where calls are sent.
    fn gateway(&self) -> &Gateway;

    /// The functions that are deployed now, in the order of their names, each once.
    ///
    /// # Errors
    /// If the platform does not answer, refuses, or answers with what cannot be read.
    fn functions(&self) -> BoxFuture<'_, Result<Vec<DeployedFunction>, PlatformError>>;

    /// Whether the platform says that it is well, within a few seconds.
    fn healthy(&self) -> BoxFuture<'_, bool>;
}

/// Where a platform takes calls: HTTP/1.1, path `/function/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `HOST:PORT`; an IPv6 host is in brackets. The port is always there.
    pub authority: String,
    /// Whether it speaks TLS.
    pub secure: bool,
}

impl Gateway {
    /// Reads `http://HOST[:PORT]` or `https://HOST[:PORT]`, with or without a slash at the end.
    ///
    /// # Errors
    /// If it is no such URL; credentials in it are refused too, as URLs are logged.
    pub fn parse(url: &str) -> Result<Gateway, PlatformError> {
        let wrong = |reason| PlatformError::Url { reason };
        let uri: Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
        let (secure, default_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(wrong("it does not begin with http:// or https://")),
        };
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("it has a path or a query"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has credentials, which belong in files"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None => default_port,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port: &u16| *port != 0)
                .ok_or_else(|| wrong("its port is not a number from 1 to 65535"))?,
        };
        Ok(Gateway {
            authority: format!("{host}:{port}"),
            secure,
        })
    }

    /// `http://HOST:PORT` or `https://HOST:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// A function as its platform lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedFunction {
    /// Its name.
    pub name: FunctionName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its replicas; none when it is scaled to zero.
    pub replicas: u32,
    /// Calls that it has had, as far as the platform counts them.
    pub invocations: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_read_from_its_url() {
        for (url, authority, secure) in [
            ("http://gateway:8080", "gateway:8080", false),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", false),
            ("http://gateway", "gateway:80", false),
            ("https://faas.example", "faas.example:443", true),
            ("http://[::1]:8080", "[::1]:8080", false),
            ("http://[::1]", "[::1]:80", false),
        ] {
            let gateway = Gateway::parse(url).unwrap();
            assert_eq!(
                (gateway.authority.as_str(), gateway.secure),
                (authority, secure),
                "{url}"
            );
            assert_eq!(Gateway::parse(&gateway.url()).unwrap(), gateway);
        }
    }

    #[test]
    fn a_url_that_is_no_gateway_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "not a URL"),
            ("gateway:8080", "begin with http"),
            ("ftp://gateway", "begin with http"),
            ("http://gateway/ui", "path"),
            ("http://gateway?a=b", "query"),
            ("http://user:secret@gateway", "credentials"),
            ("http://gateway:0", "port"),
            ("http://gateway:99999", "port"),
            ("http://gateway:", "port"),
        ] {
            let error = Gateway::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
