//! Members that keep to the protocol and lie in it.

use dfaas_tests::adversary::{Honest, call_to};
use dfaas_tests::scripted::{Gateway, Ledger};
use dfaas_tests::{Federation, Site};
use std::time::Duration;

/// One says that it has room for everything and refuses it all; one takes what it gets and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn liars_get_nothing_that_this_node_can_do_itself() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let ledger = Ledger::default();
    let boast = [("dfaas.concurrency", "100000")];
    let liars = [
        Gateway::start("liar", &ledger, &[("work", &boast)]).await,
        Gateway::start("staller", &ledger, &[("work", &boast)]).await,
    ];
    let room = [("dfaas.concurrency", "50")];
    let own = Gateway::start("here", &ledger, &[("work", &room)]).await;
    let agent = federation.start(Site::new().openfaas(&own.url())).await;
    let mut neighbours = Vec::new();
    for liar in &liars {
        let site = Site::new().openfaas(&liar.url()).joins(&agent);
        neighbours.push(federation.start(site).await);
    }
    agent.knows("work", 2).await;
    let ingress = agent.ingress().to_owned();
    let honest = Honest::begin(60.0, move |n| {
        call_to(&ingress, "work", "here", &format!("honest-{n}"))
            .at("liar", "limit")
            .at("staller", "stall")
    });
    tokio::time::sleep(Duration::from_secs(6)).await;
    let service = honest.end().await;
    assert_eq!(service.wrong, Vec::<String>::new(), "{}", agent.log());
    assert!(service.ids.len() > 100);
    let fates = ledger.all();
    assert!(service.ids.iter().all(|id| fates[id].executed == 1));
}
