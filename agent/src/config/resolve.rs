//! From the file's values to checked ones.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use dfaas_protocol::membership::FederationId;
use dfaas_protocol::{NodeLabels, Slots};

use super::file::{
    ConfigFile, FederationSection, FunctionsSection, IngressSection, NodeSection, PeerSection,
    TimeoutsSection,
};
use super::violations::Violations;
use super::{
    AdminListen, ClosedConfig, Config, ConfigError, FederationConfig, FunctionDefaults,
    IngressConfig, NodeConfig, Overrides, PeerConfig, PlatformConfig, Timeouts, TlsFiles, address,
    admin, limits, log, overlay, platform, strategy,
};

#[cfg(test)]
mod tests;

/// What is a period: from a tenth of a second to an hour, in milliseconds.
pub(super) const PERIOD_MS: RangeInclusive<u64> = 100..=3_600_000;
/// What is a timeout: up to a day, in milliseconds.
const TIMEOUT_MS: RangeInclusive<u64> = 1..=86_400_000;
/// More threads than any edge node has cores.
const MAX_THREADS: usize = 1024;
/// A longer queue than anybody would wait in.
pub(super) const MAX_QUEUE: u32 = 100_000;

/// A default number of slots; the const evaluation fails if it is none.
pub(super) const fn default_slots<const N: u32>() -> Slots {
    const { Slots::new(N).expect("a default is at least one and at most a million") }
}

/// A default address: all interfaces, as edge nodes are reached from without.
const fn any(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port)
}

/// A default address of the loopback interface.
pub(super) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

impl Config {
    /// The configuration that a file, if there is one, makes with the overrides; defaults hold for the rest.
    ///
    /// # Errors
    /// If the file cannot be read, or anything in it or in the overrides cannot be used.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
        let mut file = match path {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        overrides.apply(&mut file);
        file.resolve()
    }
}

impl ConfigFile {
    /// Fills in the defaults and checks everything.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all that is wrong.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let node = node(v, self.node);
        let limits = limits::limits(v, self.limits);
        let config = Config {
            state_dir: state_dir(v, self.state_dir),
            ingress: ingress(v, self.ingress),
            peer: peer(v, self.peer),
            overlay: overlay::resolve(v, self.overlay, limits.messages),
            federation: federation(v, self.federation),
            admin: admin::resolve(v, self.admin),
            strategy: strategy::resolve(v, self.strategy, &node.labels),
            node,
            platform: platform::resolve(v, self.platform),
            functions: functions(v, self.functions),
            limits,
            timeouts: timeouts(v, self.timeouts),
            log: log::resolve(v, self.log),
        };
        ports(v, &config);
        violations.none().map(|()| config)
    }
}

fn state_dir(v: &mut Violations, dir: Option<PathBuf>) -> PathBuf {
    let dir = dir.unwrap_or_else(|| PathBuf::from("/var/lib/dfaas"));
    if dir.as_os_str().is_empty() {
        v.add("state_dir: is empty; give a directory that the agent may write");
    }
    dir
}

fn ingress(v: &mut Violations, section: IngressSection) -> IngressConfig {
    let threads = section.threads.unwrap_or(0);
    if threads > MAX_THREADS {
        v.add(format!(
            "ingress.threads: {threads} is out of range; give 1 to {MAX_THREADS}, or 0 for one per core"
        ));
    }
    let tls = tls(
        v,
        "ingress",
        section.tls_certificate_file,
        section.tls_key_file,
    );
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    IngressConfig {
        listen: v.socket("ingress.listen", section.listen, any(30080)),
        threads: if threads == 0 { cores() } else { threads },
        tls,
        max_connections_per_client: section.max_connections_per_client.unwrap_or(0),
        max_requests_per_second_per_client: section.max_requests_per_second_per_client.unwrap_or(0),
    }
}

/// A certificate and its key, of which there are both or none.
pub(super) fn tls(
    v: &mut Violations,
    section: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<TlsFiles> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => {
            v.add(format!(
                "{section}.tls_certificate_file and {section}.tls_key_file: one is missing; give both or none"
            ));
            None
        }
    }
}

fn peer(v: &mut Violations, section: PeerSection) -> PeerConfig {
    PeerConfig {
        listen: v.socket("peer.listen", section.listen, any(31601)),
        advertise: section.advertise.and_then(|text| {
            let ip = address::advertised("peer.advertise", &text).map(Some);
            v.check(ip, None)
        }),
    }
}

fn federation(v: &mut Violations, section: FederationSection) -> FederationConfig {
    let id = section.id.as_deref().map(|text| {
        let id = text.parse::<FederationId>().map(Some);
        v.check(id.map_err(|error| format!("federation.id: {error}")), None)
    });
    let closed = ClosedConfig {
        certificate: section.certificate,
        id: id.flatten(),
        authority: section.authority,
    };
    if section.open != Some(true) {
        return FederationConfig::Closed(closed);
    }
    if closed != ClosedConfig::default() {
        v.add(
            "federation.open: lets every node in, which makes federation.certificate, id and authority useless; remove \
             the one or the others",
        );
    }
    FederationConfig::Open
}

fn node(v: &mut Violations, section: NodeSection) -> NodeConfig {
    let labels = NodeLabels::new(section.labels);
    NodeConfig {
        labels: v.check(
            labels.map_err(|error| format!("node.labels: {error}")),
            NodeLabels::default(),
        ),
        cordoned: section.cordoned,
        slots: section
            .slots
            .map(|slots| v.slots("node.slots", Some(slots), Slots::ONE)),
    }
}

fn functions(v: &mut Violations, section: FunctionsSection) -> FunctionDefaults {
    let queue = section.queue.unwrap_or(8);
    if queue > MAX_QUEUE {
        v.add(format!(
            "functions.queue: {queue} is out of range; give 0 to {MAX_QUEUE} calls"
        ));
    }
    FunctionDefaults {
        concurrency: v.slots(
            "functions.concurrency",
            section.concurrency,
            default_slots::<16>(),
        ),
        learn: section.learn.unwrap_or(true),
        queue,
    }
}

fn timeouts(v: &mut Violations, section: TimeoutsSection) -> Timeouts {
    let mut read = |key, value, default| v.millis(key, value, &TIMEOUT_MS, default);
    Timeouts {
        connect: read("timeouts.connect_ms", section.connect_ms, 3000),
        request: read("timeouts.request_ms", section.request_ms, 60_000),
        header: read("timeouts.header_ms", section.header_ms, 10_000),
        idle: read("timeouts.idle_ms", section.idle_ms, 60_000),
        drain: read("timeouts.drain_ms", section.drain_ms, 30_000),
        notice: read("timeouts.notice_ms", section.notice_ms, 500),
    }
}

/// No two listeners want the same TCP port, and the platform is not the agent's own ingress.
fn ports(v: &mut Violations, config: &Config) {
    let mut listeners = vec![
        ("ingress.listen", config.ingress.listen),
        ("peer.listen", config.peer.listen),
    ];
    if let AdminListen::Tcp(at) = config.admin.listen {
        listeners.push(("admin.listen", at));
    }
    let overlay = config.overlay.listen.iter().filter_map(address::tcp);
    listeners.extend(overlay.map(|at| ("overlay.listen", at)));
    match &config.platform {
        PlatformConfig::Embedded(embedded) => {
            listeners.push(("platform.listen", embedded.listen));
        }
        PlatformConfig::OpenFaas(gateway) => {
            if platform::is_at(&gateway.url, config.ingress.listen) {
                v.add(format!(
                    "platform.url: {} is this agent's own ingress; give the gateway's URL",
                    gateway.url
                ));
            }
        }
    }
    for (i, (key, at)) in listeners.iter().enumerate() {
        for (other_key, other) in &listeners[..i] {
            if address::clash(*at, *other) {
                v.add(format!(
                    "{other_key} and {key}: both want TCP port {}; give each a port of its own",
                    at.port()
                ));
            }
        }
    }
}
