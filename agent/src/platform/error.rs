//! What can go wrong with a platform.

use std::io;
use std::net::SocketAddr;

use hyper::StatusCode;
use thiserror::Error;

use crate::secret::SecretError;

/// What can go wrong with a platform.
#[derive(Debug, Error)]
pub enum PlatformError {
    /// The URL of the gateway cannot be used.
    #[error("the platform's url is not usable, {reason}: give http://HOST[:PORT] without a path")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The client for the gateway cannot be made.
    #[error("no HTTP client for the platform: check the certificates of this machine")]
    Client(#[source] reqwest::Error),
    /// A file with credentials cannot be read.
    #[error("the platform's credentials: {0}")]
    Credentials(#[from] SecretError),
    /// The gateway cannot be reached, or breaks off.
    #[error("no answer from {url}: check that the platform runs there and that its url is right")]
    Request {
        /// What was asked.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The gateway asks for credentials, or for others.
    #[error(
        "{url} refuses the credentials (401): set platform.basic_auth_user_file and \
         platform.basic_auth_password_file to the files with the gateway's user and password"
    )]
    Unauthorized {
        /// What was asked.
        url: String,
    },
    /// The gateway answers with another status than 200.
    #[error("{url} answers {status}: look into the platform's log")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The gateway's answer is too long.
    #[error("{url} answers with more than {limit} bytes: check that an OpenFaaS gateway is there")]
    TooLong {
        /// What was asked.
        url: String,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The gateway's answer cannot be read.
    #[error("{url} does not answer as an OpenFaaS gateway: check that one is there")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A function of the embedded platform cannot be deployed.
    #[error("the embedded function {name:?} cannot be deployed: {reason}")]
    Function {
        /// Its name in the configuration.
        name: String,
        /// What to change.
        reason: String,
    },
    /// The embedded platform's address cannot be had.
    #[error("the embedded platform cannot listen at {address}: give another address, or port 0")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The embedded platform was started outside an async runtime.
    #[error("the embedded platform has to be started inside a tokio runtime")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
}
