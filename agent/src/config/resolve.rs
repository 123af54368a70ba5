//! From the file's values to checked ones. All that is wrong is collected, not only the first.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dfaas_protocol::allowance::Rates;
use dfaas_protocol::membership::FederationId;
use dfaas_protocol::neighbours::ChoiceLimits;
use dfaas_protocol::{NodeLabels, Slots};
use libp2p::Multiaddr;
use tracing_subscriber::EnvFilter;

use super::file::{
    AdminSection, ConfigFile, FederationSection, FunctionsSection, IngressSection, LogSection,
    NeighbourSection, NodeSection, OverlaySection, PeerSection, TimeoutsSection,
};
use super::{
    AccessLogConfig, AdminConfig, AdminListen, ClosedConfig, Config, ConfigError, FederationConfig,
    FunctionDefaults, IngressConfig, ListedNeighbour, LogConfig, LogFormat, NodeConfig,
    OverlayConfig, Overrides, PeerConfig, PlatformConfig, Timeouts, TlsFiles, address, limits,
    platform, strategy,
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
/// More neighbours than a node can hear at a small cost.
const MAX_NEIGHBOURS: usize = 64;

/// What is wrong so far: one sentence for each value.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    pub(super) fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// The value, or `stand_in` for one that cannot be used.
    pub(super) fn check<T>(&mut self, value: Result<T, String>, stand_in: T) -> T {
        value.unwrap_or_else(|sentence| {
            self.add(sentence);
            stand_in
        })
    }

    /// `IP:PORT`, or the default where there is none.
    pub(super) fn socket(
        &mut self,
        key: &str,
        text: Option<String>,
        default: SocketAddr,
    ) -> SocketAddr {
        match text {
            Some(text) => self.check(address::socket(key, &text), default),
            None => default,
        }
    }

    /// Milliseconds within a range, or the default where there are none.
    pub(super) fn millis(
        &mut self,
        key: &str,
        value: Option<u64>,
        range: &RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        let value = value.unwrap_or(default);
        if !range.contains(&value) {
            let (low, high) = (range.start(), range.end());
            self.add(format!(
                "{key}: {value} is out of range; give {low} to {high} milliseconds"
            ));
        }
        Duration::from_millis(value)
    }

    /// Slots, or the default where there are none.
    pub(super) fn slots(&mut self, key: &str, value: Option<u32>, default: Slots) -> Slots {
        match value.map(|value| Slots::new(value).ok_or(value)) {
            Some(Ok(slots)) => slots,
            Some(Err(value)) => {
                self.add(format!(
                    "{key}: {value} is out of range; give 1 to 1000000 calls at one time"
                ));
                default
            }
            None => default,
        }
    }
}

/// The most calls that can be explained: with four kilobytes for each, which only calls that went far take, 400 MB.
const MOST_EXPLAINED: usize = 100_000;

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
            overlay: overlay(v, self.overlay, limits.messages),
            federation: federation(v, self.federation),
            admin: admin(v, self.admin),
            strategy: strategy::resolve(v, self.strategy, &node.labels),
            node,
            platform: platform::resolve(v, self.platform),
            functions: functions(v, self.functions),
            limits,
            timeouts: timeouts(v, self.timeouts),
            log: log(v, self.log),
        };
        ports(v, &config);
        if violations.0.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid(violations.0))
        }
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

fn tls(
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

/// Reads a multiaddress, or says why it cannot be used, by the name of its key.
type ParseAddress = fn(&str, &str) -> Result<Multiaddr, String>;

fn overlay(v: &mut Violations, section: OverlaySection, rates: Rates) -> OverlayConfig {
    let listed = listed(v, &section);
    let listen = section.listen.unwrap_or_else(|| {
        vec![
            "/ip4/0.0.0.0/tcp/31600".to_owned(),
            "/ip4/0.0.0.0/udp/31600/quic-v1".to_owned(),
        ]
    });
    if listen.is_empty() {
        v.add(
            "overlay.listen: is empty; give at least one address, such as /ip4/0.0.0.0/tcp/31600",
        );
    }
    let neighbours = ChoiceLimits {
        nearest: section.nearest.unwrap_or(6),
        random: section.random.unwrap_or(2),
    };
    let total = neighbours.nearest.saturating_add(neighbours.random);
    if !(1..=MAX_NEIGHBOURS).contains(&total) {
        v.add(format!(
            "overlay.nearest and overlay.random: together they are {total}; give 1 to {MAX_NEIGHBOURS} \
             neighbours in all"
        ));
    }
    let mut read = |key, texts: Vec<String>, parse: ParseAddress| {
        texts
            .iter()
            .filter_map(|text| v.check(parse(key, text).map(Some), None))
            .collect()
    };
    OverlayConfig {
        listen: read("overlay.listen", listen, address::listen),
        bootstrap: read(
            "overlay.bootstrap",
            section.bootstrap.unwrap_or_default(),
            address::bootstrap,
        ),
        mdns: section.mdns.unwrap_or(listed.is_empty()),
        neighbours: match listed.len() {
            0 => neighbours,
            nearest => ChoiceLimits { nearest, random: 0 },
        },
        listed,
        rates,
    }
}

fn listed(v: &mut Violations, section: &OverlaySection) -> Vec<ListedNeighbour> {
    const KEY: &str = "overlay.neighbours";
    let Some(list) = &section.neighbours else {
        return Vec::new();
    };
    if !(1..=MAX_NEIGHBOURS).contains(&list.len()) {
        v.add(format!(
            "{KEY}: lists {}; give 1 to {MAX_NEIGHBOURS} neighbours, or leave it out so that they are found",
            list.len()
        ));
    }
    let others = [
        (
            "bootstrap",
            section.bootstrap.as_ref().is_some_and(|b| !b.is_empty()),
        ),
        ("mdns", section.mdns == Some(true)),
        ("nearest", section.nearest.is_some()),
        ("random", section.random.is_some()),
    ];
    for (key, _) in others.iter().filter(|(_, present)| *present) {
        v.add(format!(
            "overlay.{key}: is about finding neighbours, and {KEY} lists them; remove one of the two"
        ));
    }
    let mut listed: Vec<ListedNeighbour> = Vec::new();
    for NeighbourSection { address, peer } in list {
        let read = address::neighbour(KEY, address).and_then(|(node, address)| {
            let peer = peer.as_deref().map(|text| address::socket(KEY, text));
            Ok(ListedNeighbour {
                node,
                address,
                peer: peer.transpose()?,
            })
        });
        match read {
            Ok(one) if listed.iter().any(|other| other.node == one.node) => {
                v.add(format!("{KEY}: {} is there twice; remove one", one.node));
            }
            Ok(one) => listed.push(one),
            Err(sentence) => v.add(sentence),
        }
    }
    listed
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

fn admin(v: &mut Violations, section: AdminSection) -> AdminConfig {
    let tls = tls(
        v,
        "admin",
        section.tls_certificate_file,
        section.tls_key_file,
    );
    let socket = section
        .listen
        .as_deref()
        .and_then(|at| at.strip_prefix("unix:"));
    let listen = match socket {
        Some(path) => AdminListen::Unix(PathBuf::from(path)),
        None => AdminListen::Tcp(v.socket("admin.listen", section.listen, loopback(31602))),
    };
    match &listen {
        AdminListen::Tcp(at) if !at.ip().is_loopback() => {
            if tls.is_none() || section.token_file.is_none() {
                v.add(format!(
                    "admin.listen: {at} can be reached from other machines; give a loopback address, such as \
                     127.0.0.1:31602, or admin.token_file, admin.tls_certificate_file and admin.tls_key_file"
                ));
            }
        }
        AdminListen::Tcp(_) => {}
        AdminListen::Unix(path) if !path.is_absolute() => {
            v.add("admin.listen: give an absolute path after unix:, such as unix:/run/dfaas/admin.sock");
        }
        AdminListen::Unix(_) if tls.is_some() => {
            v.add("admin.tls_certificate_file: is for TCP, and admin.listen is a Unix socket; remove one");
        }
        AdminListen::Unix(_) => {}
    }
    AdminConfig {
        listen,
        token_file: section.token_file,
        tls,
    }
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
        connect: read("timeouts.connect_ms", section.connect_ms, 1000),
        request: read("timeouts.request_ms", section.request_ms, 60_000),
        header: read("timeouts.header_ms", section.header_ms, 10_000),
        idle: read("timeouts.idle_ms", section.idle_ms, 60_000),
        drain: read("timeouts.drain_ms", section.drain_ms, 30_000),
        notice: read("timeouts.notice_ms", section.notice_ms, 500),
    }
}

fn log(v: &mut Violations, section: LogSection) -> LogConfig {
    let filter = section.filter.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = EnvFilter::try_new(&filter) {
        v.add(format!(
            "log.filter: {filter:?} is no filter ({error}); give a level such as info, or \
             dfaas_agent=debug,warn"
        ));
    }
    let format = match section.format.as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            v.add(format!(
                "log.format: {other:?} is no format; give text or json"
            ));
            LogFormat::Text
        }
    };
    LogConfig {
        filter,
        format,
        access: access_log(v, section.access.as_deref(), section.access_file),
        explain_calls: explain_calls(v, section.explain_calls),
    }
}

fn explain_calls(v: &mut Violations, calls: Option<usize>) -> usize {
    let calls = calls.unwrap_or(4096);
    if calls > MOST_EXPLAINED {
        v.add(format!(
            "log.explain_calls: {calls} calls would take too much memory; give 0 (off) to {MOST_EXPLAINED}"
        ));
    }
    calls
}

fn access_log(v: &mut Violations, kind: Option<&str>, file: Option<PathBuf>) -> AccessLogConfig {
    if file
        .as_deref()
        .is_some_and(|file| file.as_os_str().is_empty())
    {
        v.add("log.access_file: is empty; give a file, or leave it out for standard error");
    }
    match kind {
        Some("json") => AccessLogConfig::Json { file },
        None | Some("off") => {
            if file.is_some() {
                v.add("log.access_file: has no use while log.access is off; set that to json");
            }
            AccessLogConfig::Off
        }
        Some(other) => {
            v.add(format!(
                "log.access: {other:?} is no kind of access log; give off or json"
            ));
            AccessLogConfig::Off
        }
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
