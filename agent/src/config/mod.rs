//! The configuration: plain typed values, checked. It comes about in two stages: the [`file`] is read as it stands and
//! the [`overrides`] of the environment and of flags are laid over it; then the whole is checked and resolved once.

mod address;
mod admin;
pub mod error;
pub mod file;
mod limits;
mod log;
mod models;
pub mod overlay;
mod overrides;
mod platform;
mod resolve;
#[cfg(test)]
mod shipped;
mod strategy;
mod violations;

pub use error::ConfigError;
pub use file::ConfigFile;
pub use overrides::Overrides;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dfaas_protocol::allowance::Rates;
use dfaas_protocol::membership::FederationId;
use dfaas_protocol::neighbours::ChoiceLimits;
use dfaas_protocol::strategy::{Settings, StrategyName};
use dfaas_protocol::{ClaimLimits, NodeId, NodeLabels, Slots};
use dfaas_sim::scenario::Service;
use libp2p::Multiaddr;

use crate::telemetry::machine::EstimatedPower;

/// All that an agent is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the key and whatever else outlives a restart is kept.
    pub state_dir: PathBuf,
    /// Where clients come in.
    pub ingress: IngressConfig,
    /// Where neighbours' calls come in.
    pub peer: PeerConfig,
    /// How nodes find and hear each other.
    pub overlay: OverlayConfig,
    /// Who is let in.
    pub federation: FederationConfig,
    /// Where operators look in.
    pub admin: AdminConfig,
    /// How calls are spread.
    pub strategy: StrategyConfig,
    /// What the node says of itself.
    pub node: NodeConfig,
    /// What runs the functions.
    pub platform: PlatformConfig,
    /// What holds for functions that say nothing of themselves.
    pub functions: FunctionDefaults,
    /// What one member of the federation may send and claim.
    pub limits: MemberLimits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What is logged.
    pub log: LogConfig,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq)]
pub struct IngressConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads of the data path, at least one.
    pub threads: usize,
    /// The certificate with which clients are spoken to in TLS; without one they are not.
    pub tls: Option<TlsFiles>,
    /// How many connections one client may have at one time; zero is any number.
    pub max_connections_per_client: u32,
    /// How many requests a second one client may send; zero is any number.
    pub max_requests_per_second_per_client: u32,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where neighbours' calls come in.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address that neighbours are told; without one they use the address of our overlay connection.
    pub advertise: Option<IpAddr>,
}

/// How nodes find and hear each other.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayConfig {
    /// TCP and QUIC addresses to listen at; port 0 takes a free one.
    pub listen: Vec<Multiaddr>,
    /// Nodes to begin with.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for nodes on the local network.
    pub mdns: bool,
    /// How many neighbours to have, where they are found and chosen.
    pub neighbours: ChoiceLimits,
    /// The neighbours, where they are listed: exactly these, and nobody is looked for. Empty where they are found.
    pub listed: Vec<ListedNeighbour>,
    /// What one node may send.
    pub rates: Rates,
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq)]
pub enum FederationConfig {
    /// Every node that can connect.
    Open,
    /// The members of the federation that the node joined; nobody if it joined none.
    Closed(ClosedConfig),
}

/// What is told of a closed federation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClosedConfig {
    /// The node's certificate, if it is not where `dfaas federation join` puts it.
    pub certificate: Option<PathBuf>,
    /// The only federation whose certificate is taken; without it the one that was joined.
    pub id: Option<FederationId>,
    /// The directory of the authority, on the node that issues certificates.
    pub authority: Option<PathBuf>,
}

/// A neighbour that is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedNeighbour {
    /// Who it is.
    pub node: NodeId,
    /// Where its overlay is reached, without its id.
    pub address: Multiaddr,
    /// Where it takes forwarded calls, if not where its offers say.
    pub peer: Option<SocketAddr>,
}

/// Where operators look in.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// The address.
    pub listen: AdminListen,
    /// The file with the token that requests must show; without one they need none.
    pub token_file: Option<PathBuf>,
    /// The certificate with which operators are spoken to in TLS; without one they are not.
    pub tls: Option<TlsFiles>,
}

/// An address for operators.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminListen {
    /// A TCP port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

/// What the node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeConfig {
    /// Its labels, which neighbours hear.
    pub labels: NodeLabels,
    /// It serves its own clients and takes no forwarded calls.
    pub cordoned: bool,
    /// How many calls all its functions run at one time, where they share a CPU; nothing where each has its own slots only.
    pub slots: Option<Slots>,
}

/// How calls are spread.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyConfig {
    /// Which strategy.
    pub name: StrategyName,
    /// How often it plans, and how often offers go out.
    pub period: Duration,
    /// What the strategies are told.
    pub settings: Settings,
    /// The program that the strategy `external` asks.
    pub external: ExternalConfig,
    /// The URL of the forecaster, for the model of that name.
    pub forecaster_url: Option<String>,
    /// What stands in for the machine's power where that cannot be measured.
    pub estimated_power: Option<EstimatedPower>,
}

/// The program that the strategy `external` asks.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalConfig {
    /// Its URL, `http://HOST[:PORT]`, without a path.
    pub url: Option<String>,
    /// What it is told of exploring.
    pub explore: bool,
    /// How long it, or the forecaster, may take.
    pub timeout: Duration,
}

/// What runs the functions.
#[derive(Clone, Debug, PartialEq)]
pub enum PlatformConfig {
    /// An OpenFaaS gateway, or anything that answers like one.
    OpenFaas(OpenFaasConfig),
    /// Functions of the agent's own process.
    Embedded(EmbeddedConfig),
}

/// An OpenFaaS gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFaasConfig {
    /// Its URL, `http://HOST[:PORT]`, without a path.
    pub url: String,
    /// Files with the user and the password for `/system`, where the gateway asks for them.
    pub basic_auth: Option<BasicAuthFiles>,
    /// How often its functions are read.
    pub poll: Duration,
}

/// Files with the credentials of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct BasicAuthFiles {
    /// The user.
    pub user_file: PathBuf,
    /// The password.
    pub password_file: PathBuf,
}

/// The embedded platform.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedConfig {
    /// The address of its gateway; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its functions.
    pub functions: Vec<EmbeddedFunction>,
}

/// A function of the embedded platform.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedFunction {
    /// Its name, with or without a namespace.
    pub name: String,
    /// What it does.
    pub builtin: Builtin,
    /// How many calls it runs at one time; one more is refused with 429.
    pub concurrency: Slots,
    /// Its labels, as an OpenFaaS deployment has them.
    pub labels: BTreeMap<String, String>,
}

/// What a built-in function does.
#[derive(Clone, Debug, PartialEq)]
pub enum Builtin {
    /// Answers with the body that it was sent, as it comes in.
    Echo,
    /// Waits, then answers; the query `ms=N` overrides the time.
    Sleep(Duration),
    /// Waits for as long as a call takes, each for a time of its own; the query `ms=N` says the time of a call on a node of
    /// speed 1.
    Serve(ServiceTimes),
    /// Keeps a CPU busy, then answers; the query `ms=N` overrides the time.
    Burn(Duration),
    /// Answers with the SHA-256 of the body in hexadecimal digits.
    Hash,
}

/// How long the calls of a function take.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTimes {
    /// How they are distributed on a node of speed 1.
    pub service: Service,
    /// How fast this node is; calls take their time divided by it.
    pub speed: f64,
    /// What they are drawn from.
    pub seed: u64,
}

/// What holds for functions that say nothing of themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionDefaults {
    /// The slots of a function without a capacity label, or those that it begins with where they are learned.
    pub concurrency: Slots,
    /// Whether the slots of such a function are learned.
    pub learn: bool,
    /// How many calls of a function may wait on this node.
    pub queue: u32,
}

/// What one member of the federation may send and claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberLimits {
    /// Messages on the overlay.
    pub messages: Rates,
    /// Calls on the peer channel.
    pub calls: Rates,
    /// What its offers may claim.
    pub claims: ClaimLimits,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// To connect to the platform or to a neighbour.
    pub connect: Duration,
    /// From a call's arrival to the head of its answer, where the function has no `dfaas.timeout_ms`.
    pub request: Duration,
    /// For a client to send the head of a request.
    pub header: Duration,
    /// For a client to do its part otherwise: to send the next request, to take its answer.
    pub idle: Duration,
    /// For running calls to end after SIGTERM.
    pub drain: Duration,
    /// How long a draining node still takes clients' calls, so that load balancers and neighbours hear of it first.
    pub notice: Duration,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A filter such as `info` or `dfaas_agent=debug,warn`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
    /// The log of calls.
    pub access: AccessLogConfig,
    /// How many of the last calls can be explained.
    pub explain_calls: usize,
}

/// The log of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogConfig {
    /// None.
    #[default]
    Off,
    /// One JSON object a line.
    Json {
        /// The file that lines are appended to; standard error without one.
        file: Option<PathBuf>,
    },
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How to run an agent, beside what it is told to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Where to write, as JSON, at which addresses the agent listens, once it is ready.
    pub ready_file: Option<PathBuf>,
    /// Whether to stop when standard input closes.
    pub stop_with_stdin: bool,
    /// Whether lines of standard input are orders of a lab ([`crate::node::Order`]); it then stops with standard input, too.
    pub lab_orders: bool,
}
