//! The section `[overlay]`.

use dfaas_protocol::allowance::Rates;
use dfaas_protocol::neighbours::ChoiceLimits;
use libp2p::Multiaddr;

use super::file::{NeighbourSection, OverlaySection};
use super::violations::Violations;
use super::{ListedNeighbour, OverlayConfig, address};

/// More neighbours than a node can hear at a small cost.
const MAX_NEIGHBOURS: usize = 64;

/// Reads a multiaddress, or says why it cannot be used, by the name of its key.
type ParseAddress = fn(&str, &str) -> Result<Multiaddr, String>;

pub(super) fn resolve(v: &mut Violations, section: OverlaySection, rates: Rates) -> OverlayConfig {
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
