//! Right bytes of every kind, for wrong ones to be made of.

use std::time::Duration;

use dfaas_protocol::labels::NodeLabels;
use dfaas_protocol::membership::{Authority, Certificate, Grant as Granted, Rights, UnixTime};
use dfaas_protocol::offer::{FunctionOffer, Grant, Offer, PeerEndpoint, Period, ServiceTime};
use dfaas_protocol::sighting::Sighting;
use dfaas_protocol::trade::{Amount, Bid, Margin, Price};
use dfaas_protocol::wire::{self, Message};
use dfaas_protocol::{CallRate, Capacity, FunctionName, Headroom, NodeId, Slots};

use super::raw::client_hello;

fn name(text: &str) -> FunctionName {
    FunctionName::new(text, "openfaas-fn").expect("a name")
}

fn rate(per_second: f64) -> CallRate {
    CallRate::new(per_second).expect("a rate")
}

/// An offer of that many functions, good for an hour.
pub(super) fn offer(functions: u32, sequence: u64) -> Message {
    let mut offered: Vec<_> = (0..functions)
        .map(|n| FunctionOffer {
            function: name(&format!("forged-{n}")),
            capacity: if n % 2 == 0 {
                Capacity::Slots(Slots::new(8).expect("slots"))
            } else {
                Capacity::Rate(rate(50.0))
            },
            headroom: Headroom { free: 8, size: 8 },
            queue: 4,
            service: Some(ServiceTime::from_duration(Duration::from_millis(5))),
        })
        .collect();
    offered.sort_by(|a, b| a.function.cmp(&b.function));
    let labels = [("region", "north"), ("energy", "0.4")];
    Message::Offer(Offer {
        boot: 7,
        sequence,
        peer_endpoint: PeerEndpoint {
            host: None,
            // Nobody listens there.
            port: 9,
        },
        period: Period::from_duration(Duration::from_secs(3600)),
        labels: NodeLabels::new(labels.map(|(k, v)| (k.into(), v.into()))).expect("labels"),
        cordoned: false,
        functions: offered,
    })
}

/// Messages between control planes, of every kind. `shown` is a certificate of the federation.
///
/// # Panics
/// If the wire does not take them.
pub fn messages(shown: &Certificate) -> Vec<Vec<u8>> {
    let node = NodeId::from_key([7; 32]);
    let other = Authority::from_secret(&[3; 32]);
    let now = shown.issued();
    let granted = Granted {
        region: None,
        rights: Rights::ALL,
    };
    let lasts = (now, Duration::from_secs(3600));
    let foreign = other.admit(node, 1, lasts, granted).expect("it is signed");
    let amount = |n: f64| Amount::nearest(n);
    let price = |n: &str| Price {
        function: name(n),
        price: amount(2.5),
        rate: rate(3.0),
    };
    let bid = |n: &str| Bid {
        function: name(n),
        price: amount(1.5),
        rate: rate(2.0),
    };
    let grant = |n: &str| Grant {
        function: name(n),
        rate: rate(4.0),
    };
    let all = [
        offer(0, 1),
        offer(3, 2),
        offer(200, 3),
        Message::Grants(vec![grant("forged-0"), grant("work")]),
        Message::Farewell,
        Message::Margin(Margin {
            points: amount(40.0),
            cost: [amount(1.0), amount(2.0), amount(3.0)],
        }),
        Message::Prices(vec![price("forged-0"), price("work")]),
        Message::Bids(vec![bid("forged-0"), bid("work")]),
        Message::Members(vec![shown.clone(), foreign]),
        Message::Revocations(vec![other.revoke(node, UnixTime::from_secs(1))]),
        Message::Question(node),
        Message::Question(shown.node()),
        Message::Sighting(Sighting::new(node, Some(Duration::from_millis(40)))),
    ];
    let encode = |message: &Message| wire::encode(message).expect("it is right");
    all.iter().map(encode).collect()
}

/// Plain requests to a function.
pub fn requests(function: &str) -> Vec<Vec<u8>> {
    let texts = [
        format!("GET /function/{function} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!(
            "POST /function/{function}/a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        ),
        format!(
            "POST /function/{function} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        ),
        format!(
            "GET /function/{function} HTTP/1.1\r\nHost: x\r\nDFaaS-Node-ID: 12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv\r\n\
             DFaaS-Priority: 9\r\nDFaaS-Deadline: 50\r\nX-Forwarded-For: 10.0.0.1\r\nX-Call-Id: forged\r\n\r\n"
        ),
        format!(
            "HEAD /function/{function} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n"
        ),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// A frame of a trunk.
pub(super) fn frame(kind: u8, call: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&[kind], &length[..], &call.to_be_bytes(), payload].concat()
}

/// Frames of a trunk, of every kind.
pub fn frames(function: &str) -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = requests(function)
        .iter()
        .map(|request| frame(1, 1, &[&[4], &request[..]].concat()))
        .collect();
    let headroom = [0, 0, 0, 3, 0, 0, 0, 8];
    frames.push(frame(1, 2, &[&[0x84, 0, 0, 1, 0], &b"GET"[..]].concat()));
    frames.push(frame(
        2,
        1,
        &[&headroom[..], b"HTTP/1.1 200 OK\r\n\r\n"].concat(),
    ));
    frames.push(frame(0x82, 1, &headroom));
    frames.push(frame(3, 1, b"data"));
    frames.push(frame(0x83, 1, b""));
    frames.push(frame(0x84, 1, &[&headroom[..], b"full"].concat()));
    frames.push(frame(0x85, 1, b""));
    frames.push(frame(6, 1, &1000u32.to_be_bytes()));
    frames.push(frame(7, 0, b""));
    frames
}

/// What a stranger may begin with at a port where nodes meet: handshakes, and the agreement on one.
pub fn hellos() -> Vec<Vec<u8>> {
    let negotiated = [
        super::line("/multistream/1.0.0\n"),
        super::line("/dfaas/tls/1\n"),
    ];
    let mut all: Vec<_> = ["dfaas-peer/1", "dfaas-trunk/1", "dfaas-join/1", "h2"]
        .map(|alpn| client_hello(alpn.as_bytes()))
        .to_vec();
    all.push([&negotiated.concat()[..], &client_hello(b"dfaas-overlay/1")].concat());
    all.push(negotiated.concat());
    all.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    all
}
