//! A network of its own for each agent of a lab: network namespaces on one bridge of this machine, made with `ip` of
//! iproute2. Agents reach this process, where the relays are, and not each other.
//!
//! Everything bears the id of the process that made it. It is removed when this is dropped, and whatever a lab left behind
//! that was killed is removed when the next one starts.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Where `ip` is looked for, as agents and labs run without a path to search.
const PROGRAMS: [&str; 4] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
/// What namespaces are called, before the process id and the node's place.
const NAMESPACE: &str = "dfaas-lab-";
/// What devices are called, before the same; Linux allows 15 characters.
const DEVICE: &str = "dfl";
/// The device of an agent, as the agent sees it.
const OWN: &str = "eth0";
/// Networks of 254 addresses in 198.18.0.0/15, which is kept for tests of networks (RFC 2544).
const NETWORKS: u32 = 512;
/// Addresses for agents in one of them.
const MOST: usize = 250;
/// CAP_NET_ADMIN and CAP_SYS_ADMIN, as bits of a process's rights.
const RIGHTS: u64 = 1 << 12 | 1 << 21;

/// The networks of a lab's agents.
#[derive(Debug)]
pub(super) struct Namespaces {
    ip: &'static str,
    process: u32,
    /// Which of the networks.
    network: u32,
    count: usize,
}

impl Namespaces {
    /// Makes networks for so many agents.
    ///
    /// # Errors
    /// If this process has not got the rights, or the system has no such networks.
    pub(super) fn make(count: usize) -> anyhow::Result<Namespaces> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        ensure!(
            may_make(&status),
            "--netns needs the right to make networks (CAP_NET_ADMIN and CAP_SYS_ADMIN): run it as root, such as with sudo, or \
             leave --netns out, which gives the same links without it"
        );
        ensure!(
            count <= MOST,
            "--netns has addresses for {MOST} nodes and the scenario has {count}: leave --netns out or take fewer nodes"
        );
        let found = PROGRAMS
            .iter()
            .find(|path| std::fs::exists(path).unwrap_or(false));
        let ip = found.context(
            "--netns needs the program ip of iproute2: install it, or leave --netns out",
        )?;
        remove_left(ip);
        let process = std::process::id();
        let addresses = run(ip, &["-o", "-4", "address"])?;
        let is_free = |network: &u32| !addresses.contains(&format!(" {}", prefix(*network)));
        let networks = (0..NETWORKS).map(|n| (process + n) % NETWORKS);
        let network = { networks }.find(is_free);
        let network = network.context("every network in 198.18.0.0/15 is in use: remove one")?;
        // From here on dropping it removes what was made so far.
        let made = Namespaces {
            ip,
            process,
            network,
            count,
        };
        made.build().context(
            "a network could not be made: this kernel or container may have no bridges or namespaces; leave --netns out",
        )?;
        Ok(made)
    }

    fn build(&self) -> anyhow::Result<()> {
        let bridge = self.bridge();
        let ip = |arguments: &[&str]| run(self.ip, arguments);
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&[
            "address",
            "add",
            &format!("{}/24", self.here()),
            "dev",
            &bridge,
        ])?;
        ip(&["link", "set", &bridge, "up"])?;
        for node in 0..self.count {
            let (name, device) = (self.name(node), format!("{bridge}-{node}"));
            let address = format!("{}/24", self.address(node));
            ip(&["netns", "add", &name])?;
            ip(&[
                "link", "add", &device, "type", "veth", "peer", "name", OWN, "netns", &name,
            ])?;
            // Agents reach each other over links of the scenario only, which the relays at the bridge are.
            ip(&["link", "set", &device, "master", &bridge, "up"])?;
            ip(&[
                "link",
                "set",
                &device,
                "type",
                "bridge_slave",
                "isolated",
                "on",
            ])?;
            ip(&["-n", &name, "address", "add", &address, "dev", OWN])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&["-n", &name, "link", "set", OWN, "up"])?;
        }
        Ok(())
    }

    /// The name of a node's network, for `ip netns`.
    fn name(&self, node: usize) -> String {
        format!("{NAMESPACE}{}-{node}", self.process)
    }

    fn bridge(&self) -> String {
        format!("{DEVICE}{}", self.process)
    }

    /// Where the relays listen: the bridge.
    pub(super) fn here(&self) -> IpAddr {
        address(self.network, 1)
    }

    /// Where a node's agent listens.
    pub(super) fn address(&self, node: usize) -> IpAddr {
        address(self.network, node as u32 + 2)
    }

    /// The command line that runs a program there, without the program.
    pub(super) fn within(&self, node: usize) -> [String; 4] {
        let words = [self.ip, "netns", "exec"].map(str::to_owned);
        let [ip, netns, exec] = words;
        [ip, netns, exec, self.name(node)]
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(self.ip, &|process| process == self.process);
    }
}

/// The address with that number in a network.
fn address(network: u32, number: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    Ipv4Addr::from_bits(first + network * 256 + number).into()
}

/// What the text of each address in a network begins with.
fn prefix(network: u32) -> String {
    let text = address(network, 0).to_string();
    text.strip_suffix('0').unwrap_or(&text).to_owned()
}

/// Whether the text of `/proc/self/status` gives a process the rights.
fn may_make(status: &str) -> bool {
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    rights.is_some_and(|rights| rights & RIGHTS == RIGHTS)
}

/// Removes what labs left behind whose process is gone.
fn remove_left(ip: &str) {
    let is_gone = |process: u32| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
        name.map_or_else(
            |error| error.kind() == ErrorKind::NotFound,
            |name| !name.starts_with("dfaas"),
        )
    };
    remove(ip, &is_gone);
}

/// Removes namespaces and bridges of those processes. A namespace takes its devices with it.
fn remove(ip: &str, of: &dyn Fn(u32) -> bool) {
    let listed = run(ip, &["netns", "list"]).unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        if maker_of_namespace(name).is_some_and(of) {
            // What is gone already need not be removed.
            let _ = run(ip, &["netns", "delete", name]);
        }
    }
    let listed = run(ip, &["-o", "link", "show", "type", "bridge"]).unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split(": ").nth(1)) {
        if maker_of_bridge(name).is_some_and(of) {
            let _ = run(ip, &["link", "delete", name]);
        }
    }
}

/// The process that made a namespace of that name, if a lab did.
fn maker_of_namespace(name: &str) -> Option<u32> {
    let (process, node) = name.strip_prefix(NAMESPACE)?.split_once('-')?;
    node.parse::<usize>().ok()?;
    process.parse().ok()
}

/// The process that made a bridge of that name, if a lab did.
fn maker_of_bridge(name: &str) -> Option<u32> {
    name.strip_prefix(DEVICE)?.parse().ok()
}

/// Runs `ip`, and returns what it prints.
fn run(ip: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(ip)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{ip} cannot be run"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {}` failed: {}", arguments.join(" "), said.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_what_the_kernel_says() {
        assert!(may_make("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_make("Name:\tx\nCapEff:\t0000000000000000\n"));
        // Networks, but no namespaces: a container's root.
        assert!(!may_make("CapEff:\t0000000000001000\n"));
        assert!(!may_make(""));
    }

    #[test]
    fn only_what_labs_made_is_known_by_its_name() {
        assert_eq!(maker_of_namespace("dfaas-lab-12-3"), Some(12));
        for other in ["dfaas-lab-", "dfaas-lab-12", "dfaas-lab-x-1", "mine-12-3"] {
            assert_eq!(maker_of_namespace(other), None, "{other}");
        }
        assert_eq!(maker_of_bridge("dfl12"), Some(12));
        assert_eq!(maker_of_bridge("dfl12-3"), None);
        assert_eq!(maker_of_bridge("br0"), None);
    }

    #[test]
    fn networks_do_not_overlap() {
        assert_eq!(address(0, 1).to_string(), "198.18.0.1");
        assert_eq!(address(511, 251).to_string(), "198.19.255.251");
        assert_eq!(prefix(7), "198.18.7.");
    }
}
