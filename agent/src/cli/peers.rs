//! `dfaas peers`.

use clap::Args;

use super::admin::block_on;
use super::table::{function, headroom, millis, or_dash, table};
use super::view::View;
use crate::admin::view::Peer;

/// Shows the neighbours that an agent hears, and what each offers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dfaas peers
  dfaas peers --admin 127.0.0.1:31702 --json")]
pub(super) struct Show {
    #[command(flatten)]
    view: View,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<()> {
        super::print(&block_on(self.text())?)
    }

    async fn text(&self) -> anyhow::Result<String> {
        self.view
            .text("/v1/peers", |peers: &Vec<Peer>| render(peers))
            .await
    }
}

fn render(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "No neighbours yet: name one with --bootstrap when the agent starts, or wait for mDNS to find \
                one.\n"
            .to_owned();
    }
    let header = [
        "NEIGHBOUR",
        "ADDRESS",
        ">ROUND TRIP",
        ">HEARD",
        "HEALTH",
        "FUNCTION",
        ">FREE",
        ">SERVICE",
        ">STANDING",
    ];
    table(header, peers.iter().flat_map(rows).collect())
}

/// One row for each function; the peer's own columns are in the first only.
fn rows(peer: &Peer) -> Vec<[String; 9]> {
    let mut offers: Vec<[String; 4]> = peer
        .functions
        .iter()
        .map(|f| {
            [
                function(&f.name),
                headroom(f.free, f.size),
                or_dash(f.service_ms.map(millis)),
                format!("{:.2}", f.standing),
            ]
        })
        .collect();
    if offers.is_empty() {
        offers.push(std::array::from_fn(|_| or_dash(None)));
    }
    let mut own = [
        peer.node_id.short(),
        peer.address.clone(),
        or_dash(peer.round_trip_ms.map(millis)),
        format!("{} ago", millis(peer.heard_ms_ago)),
        peer.health.as_str().to_owned(),
    ];
    offers
        .into_iter()
        .map(|[function, free, service, standing]| {
            let [node, address, round_trip, heard, health] = std::mem::take(&mut own);
            [
                node, address, round_trip, heard, health, function, free, service, standing,
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample::serve_sample;
    use crate::admin::source::Source;

    #[tokio::test]
    async fn neighbours_are_shown_with_what_they_offer() {
        let (at, sample) = serve_sample().await;
        let show = Show {
            view: View::of(at, false),
        };
        let text = show.text().await.unwrap();
        let peers = sample.peers();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let (first, second) = (peers[0].node_id.short(), peers[1].node_id.short());
        assert_eq!(
            lines,
            [
                "NEIGHBOUR ADDRESS ROUND TRIP HEARD HEALTH FUNCTION FREE SERVICE STANDING"
                    .to_owned(),
                format!("{first} 192.0.2.2:31601 3.1 ms 412 ms ago healthy resize -1/4 98 ms 0.75"),
                "train.dev - - 0.75".to_owned(),
                format!("{second} 192.0.2.3:31601 - 2.6 s ago ejected - - - -"),
            ]
        );
    }

    #[tokio::test]
    async fn json_is_that_of_the_admin_address() {
        let (at, sample) = serve_sample().await;
        let show = Show {
            view: View::of(at, true),
        };
        let pretty = serde_json::to_string_pretty(&sample.peers()).unwrap();
        assert_eq!(show.text().await.unwrap().trim_end(), pretty);
    }

    #[test]
    fn a_lonely_node_gets_advice() {
        assert!(render(&[]).contains("--bootstrap"));
    }
}
