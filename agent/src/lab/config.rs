//! The configuration of a lab's agents.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{Capacity, NodeId};
use dfaas_sim::scenario::{Experiment, Service};

/// Calls that a platform runs at one time; the agent's own limits are those of the scenario.
const PLATFORM_CALLS: u32 = 100_000;

/// A neighbour as its relays show it.
pub(super) struct Neighbour {
    pub(super) node: NodeId,
    pub(super) overlay: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// Where an agent is.
pub(super) struct Place<'a> {
    /// For its files.
    pub(super) directory: &'a Path,
    /// Where it listens, at ports that it chooses.
    pub(super) address: IpAddr,
}

/// The text of the configuration of a node.
pub(super) fn text(
    experiment: &Experiment,
    node: usize,
    strategy: StrategyName,
    place: &Place<'_>,
    neighbours: &[Neighbour],
) -> String {
    let site = &experiment.nodes[node];
    let queue = site.functions.iter().flatten().map(|p| p.queue).max();
    let queue = queue.unwrap_or(0);
    let file = |name| toml::Value::from(place.directory.join(name).display().to_string());
    let (state, address) = (file("state"), place.address);
    let admin = place.directory.join("admin.sock");
    let admin = toml::Value::from(format!("unix:{}", admin.display()));
    let period = experiment.periods.of(strategy).as_millis();
    let mut text = format!(
        r#"state_dir = {state}
[ingress]
listen = "{address}:0"
threads = 1
[peer]
listen = "{address}:0"
[admin]
listen = {admin}
[strategy]
name = "{strategy}"
period_ms = {period}
[functions]
queue = {queue}
[timeouts]
drain_ms = 2000
[log]
filter = "error"
[federation]
open = true
[overlay]
listen = ["/ip4/{address}/tcp/0"]
mdns = false
"#
    );
    // Writing to a string cannot fail.
    if let Some(slots) = site.slots {
        let _ = write!(text, "[node]\nslots = {}\n", slots.get());
    }
    for Neighbour {
        node,
        overlay,
        peer,
    } in neighbours
    {
        let (ip, port) = (overlay.ip(), overlay.port());
        let _ = write!(
            text,
            "[[overlay.neighbours]]\naddress = \"/ip4/{ip}/tcp/{port}/p2p/{node}\"\npeer = \"{peer}\"\n"
        );
    }
    text.push_str("[platform]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n");
    for (function, placement) in experiment.functions.iter().zip(&site.functions) {
        let Some(placement) = placement else { continue };
        let (label, capacity) = match placement.capacity {
            Capacity::Slots(slots) => ("dfaas.concurrency", slots.get().to_string()),
            Capacity::Rate(rate) => ("dfaas.maxrate", rate.per_second().to_string()),
        };
        // A number in the file is below 2 to the 63.
        let seed = experiment.seed.wrapping_add(node as u64) >> 1;
        let _ = write!(
            text,
            "[[platform.functions]]\nname = \"{}\"\nbuiltin = \"serve\"\nservice = {}\nspeed = {:?}\nseed = {seed}\n\
             concurrency = {PLATFORM_CALLS}\nlabels = {{ \"{label}\" = \"{capacity}\" }}\n",
            function.name,
            service(&function.service),
            site.speed,
        );
    }
    text
}

fn service(service: &Service) -> String {
    let ms = service.mean() * 1e3;
    match service {
        Service::Constant(_) => format!("{{ kind = \"constant\", mean_ms = {ms:?} }}"),
        Service::Exponential(_) => format!("{{ kind = \"exponential\", mean_ms = {ms:?} }}"),
        Service::Lognormal { sigma, .. } => {
            format!("{{ kind = \"lognormal\", mean_ms = {ms:?}, sigma = {sigma:?} }}")
        }
        Service::Trace(times) => {
            let times: Vec<f64> = times.iter().map(|seconds| seconds * 1e3).collect();
            format!("{{ kind = \"trace\", times_ms = {times:?} }}")
        }
    }
}

#[cfg(test)]
mod tests {
    use dfaas_sim::scenario::Scenario;

    use super::*;
    use crate::config::{Builtin, ConfigFile, PlatformConfig};

    const SCENARIO: &str = r#"
name = "two"
purpose = "A test."
duration_s = 1
functions = [
    { name = "ocr", service = { kind = "lognormal", mean_ms = 50, sigma = 0.7 } },
    { name = "nap.dev", service = { kind = "constant", mean_ms = 20 }, labels = { "dfaas.maxrate" = "7.5" } },
]
nodes = { count = 2, slots = 3, node_slots = 4, queue = 5, speed = 2 }
load = [{ shape = { kind = "constant", rate = 1 } }]
"#;

    #[test]
    fn an_agent_reads_what_the_scenario_says() {
        let scenario = Scenario::parse("two", SCENARIO, &[], Path::new(".")).unwrap();
        let experiment = scenario.draw().unwrap();
        let neighbour = Neighbour {
            node: NodeId::from_key([1; 32]),
            overlay: "127.0.0.1:1".parse().unwrap(),
            peer: "127.0.0.1:2".parse().unwrap(),
        };
        let place = Place {
            directory: Path::new("/somewhere"),
            address: [127, 0, 0, 1].into(),
        };
        let text = text(&experiment, 0, StrategyName::Recalc, &place, &[neighbour]);
        let config = toml::from_str::<ConfigFile>(&text)
            .unwrap()
            .resolve()
            .unwrap();
        assert_eq!(config.strategy.name, StrategyName::Recalc);
        assert_eq!(config.functions.queue, 5);
        assert_eq!(config.node.slots.unwrap().get(), 4);
        assert_eq!(config.overlay.listed[0].node, NodeId::from_key([1; 32]));
        assert_eq!(config.overlay.listed[0].peer.unwrap().port(), 2);
        let PlatformConfig::Embedded(platform) = config.platform else {
            panic!("{:?}", config.platform);
        };
        let [ocr, nap] = platform.functions.as_slice() else {
            panic!("{:?}", platform.functions);
        };
        assert_eq!(ocr.labels["dfaas.concurrency"], "3");
        assert_eq!(nap.labels["dfaas.maxrate"], "7.5");
        let Builtin::Serve(times) = &ocr.builtin else {
            panic!("{:?}", ocr.builtin);
        };
        assert_eq!(times.speed, 2.0);
        assert!((times.service.mean() - 0.05).abs() < 1e-9);
    }
}
