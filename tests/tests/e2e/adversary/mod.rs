//! An agent under attack, and a client that it serves meanwhile.

mod floods;
mod frames;
mod liars;
mod silence;

use std::time::{Duration, SystemTime};

use dfaas_protocol::membership::{Certificate, Right, Rights, UnixTime};
use dfaas_tests::adversary::{Honest, Intruder, call_to, resident};
use dfaas_tests::federation::with_rights;
use dfaas_tests::scripted::{Gateway, Ledger};
use dfaas_tests::{Agent, Federation, Site};
use tokio::task::AbortHandle;

const MIB: usize = 1 << 20;
/// Calls a second of the client that is served meanwhile.
const RATE: f64 = 40.0;
const HONEST: &str = "honest";

/// An agent of a closed federation that issues certificates, its platform, and a client.
struct Stage {
    federation: Federation,
    agent: Agent,
    ledger: Ledger,
    honest: Honest,
    memory: Memory,
    _gateway: Gateway,
}

/// What is seen of a stage when all is over.
struct Seen {
    /// Calls that were executed and that were none of the client's.
    others: u32,
    /// Bytes by which the agent had grown at most.
    grown: usize,
}

impl Stage {
    async fn start(config: &str) -> Stage {
        let federation = Federation::new();
        let ledger = Ledger::default();
        let slots = [("dfaas.concurrency", "200")];
        let functions: [(&str, &[(&str, &str)]); 2] = [("work", &slots), ("bait", &slots)];
        let gateway = Gateway::start("here", &ledger, &functions).await;
        let site = Site::new().openfaas(&gateway.url()).config(config);
        let agent = federation.start_issuer(site).await;
        let ingress = agent.ingress().to_owned();
        let honest = Honest::begin(RATE, move |n| {
            call_to(&ingress, "work", "here", &format!("{HONEST}-{n}"))
        });
        Stage {
            memory: Memory::watch(agent.pid()),
            federation,
            agent,
            ledger,
            honest,
            _gateway: gateway,
        }
    }

    /// A new member, with the right to bring calls or without.
    fn member(&self, brings_calls: bool) -> (Intruder, Certificate) {
        let rights = if brings_calls {
            Rights::ALL
        } else {
            Rights::NONE.and(Right::Serve)
        };
        let member = Intruder::stranger();
        let signed = self.federation.authority();
        let signed = signed.sign(member.node(), &with_rights(rights), now());
        let signed = signed.unwrap();
        (member.showing(signed.to_bytes()), signed)
    }

    async fn metric(&self, name: &str) -> usize {
        let url = format!("http://{}/metrics", self.agent.ready.addresses.admin);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("there is no {name}"));
        line.parse::<f64>().unwrap() as usize
    }

    /// Ends the client, and sees that it was served throughout: each call got its own answer and was executed once.
    async fn end(self) -> Seen {
        let service = self.honest.end().await;
        assert_eq!(service.wrong, Vec::<String>::new(), "{}", self.agent.log());
        assert!(!service.ids.is_empty());
        let fates = self.ledger.all();
        for id in &service.ids {
            assert_eq!(fates[id].executed, 1, "{id}");
        }
        let log = self.agent.log();
        assert!(!log.contains("panic"), "{log}");
        let is_other = |id: &str| !id.starts_with(HONEST);
        let others = fates.iter().filter(|(id, _)| is_other(id));
        let grown = self.memory.grown();
        println!(
            "{} honest calls, p50 {:?}, p99 {:?}; the agent grew by {} KiB at most",
            service.ids.len(),
            service.within(0.5),
            service.within(0.99),
            grown / 1024,
        );
        // What is asserted of time is that nobody waits for another's attack; the ratio is a benchmark's (`attack`).
        assert!(service.within(0.99) < Duration::from_secs(15));
        Seen {
            others: others.map(|(_, fate)| fate.executed).sum(),
            grown,
        }
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap().as_secs())
}

/// The most memory that a process had.
struct Memory {
    before: usize,
    most: tokio::sync::watch::Receiver<usize>,
    watching: AbortHandle,
}

impl Memory {
    fn watch(pid: u32) -> Memory {
        let before = resident(pid);
        let (seen, most) = tokio::sync::watch::channel(before);
        let watching = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                seen.send_modify(|most| *most = resident(pid).max(*most));
            }
        });
        Memory {
            before,
            most,
            watching: watching.abort_handle(),
        }
    }

    fn grown(&self) -> usize {
        self.watching.abort();
        *self.most.borrow() - self.before
    }
}
