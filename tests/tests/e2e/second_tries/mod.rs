//! Second tries are safe: whatever a platform or a neighbour does, no call is executed twice, each gets one answer, and
//! what was refused with nothing executed is served elsewhere.
//!
//! Three agents, each beside a gateway that does what the call's headers say and counts executions by `X-Call-Id`. All
//! have the function `work`; `a`, where the calls come in, does not have `away`, so that its calls cross once.

mod connections;
mod load;
mod single;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dfaas_tests::agent::SOON;
use dfaas_tests::call::{Answer, Call, Framing};
use dfaas_tests::client::RawClient;
use dfaas_tests::scripted::{Fate, Gateway, Ledger, checksum, pattern};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Site};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

const TIMEOUT_MS: u64 = 3_000;
const KIB: usize = 1024;
const BODIES: [Framing; 6] = [
    Framing::None,
    Framing::Sized(0),
    Framing::Sized(KIB),
    Framing::Chunked(KIB),
    Framing::Sized(1024 * KIB),
    Framing::Chunked(1024 * KIB),
];

/// Three agents and their gateways.
struct Sites {
    agents: Vec<Agent>,
    gateways: Vec<Gateway>,
    ledger: Ledger,
    ids: AtomicU64,
}

impl Sites {
    async fn start() -> Sites {
        let timeout = TIMEOUT_MS.to_string();
        let labels = [("dfaas.concurrency", "64"), ("dfaas.timeout_ms", &timeout)];
        Sites::start_with(&["a", "b", "c"], &labels, "").await
    }

    async fn start_with(names: &[&str], labels: &[(&str, &str)], config: &str) -> Sites {
        let ledger = Ledger::default();
        let (mut agents, mut gateways) = (Vec::<Agent>::new(), Vec::new());
        for name in names {
            let functions = [("work", labels), ("away", labels)];
            let first = usize::from(agents.is_empty());
            let gateway = Gateway::start(name, &ledger, &functions[..2 - first]).await;
            let mut site = Site::new().openfaas(&gateway.url()).config(config);
            if let Some(first) = agents.first() {
                site = site.joins(first);
            }
            agents.push(site.start().await);
            gateways.push(gateway);
        }
        for function in ["work", "away"] {
            agents[0].knows(function, names.len() - 1).await;
        }
        Sites {
            agents,
            gateways,
            ledger,
            ids: AtomicU64::new(0),
        }
    }

    /// A call to the first agent, with an id of its own.
    fn call(&self, function: &str) -> Call {
        let number = self.ids.fetch_add(1, Relaxed);
        let id = format!("call-{number:06}");
        Call::new(self.agents[0].ingress(), function, &id)
    }

    fn fate(&self, call: &Call) -> Fate {
        self.ledger.fate(call.id())
    }

    /// Sends plain calls until one is served: what came before them left nothing behind. A neighbour that just failed may
    /// be left alone for a while.
    async fn plain(&self, function: &str) {
        until("a plain call is served", SOON, || async {
            let call = self.call(function);
            let answer = call.send().await;
            if answer.status() == Some(503) {
                assert_eq!(self.fate(&call).executed, 0);
                return None;
            }
            assert_served(&call, &answer);
            assert_eq!(self.fate(&call).executed, 1);
            Some(())
        })
        .await;
    }
}

/// The gateway saw the whole body, and its answer is for this call.
fn assert_served(call: &Call, answer: &Answer) {
    assert!(answer.is_served(), "{call:?}: {answer:?}");
    let text = answer.text();
    let words: Vec<&str> = text.split(' ').collect();
    let body = call.bytes();
    let expected = [body.len().to_string(), checksum(&body).to_string()];
    assert_eq!(words[0], call.id(), "an answer for another call");
    assert_eq!(words[2..], expected, "{call:?}: {text}");
}

/// Where calls go, with the gateways that get them first.
const WAYS: [(&str, &[&str]); 2] = [("work", &["a"]), ("away", &["b", "c"])];

fn at(call: Call, gateways: &[&str], act: &str) -> Call {
    gateways.iter().fold(call, |call, name| call.at(name, act))
}
