//! Nodes that are members.

use std::time::Duration;

use dfaas_agent::admin::view;
use dfaas_protocol::membership::{Right, Rights};
use dfaas_tests::adversary::Intruder;
use dfaas_tests::agent::{SOON, state_in};
use dfaas_tests::federation::{lasting, with_rights};
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Federation, Site, load};

use super::{complaint, dfaas_federation, printed};

fn site() -> Site {
    Site::new().sleeps("work", 20, 4)
}

/// A token, by the command that prints it.
fn invite(federation: &Federation, issuer: &Agent, more: &[&str]) -> String {
    let path = federation.path();
    let words = [
        "invite",
        "--dir",
        path.to_str().unwrap(),
        "--at",
        issuer.peer(),
    ];
    let token = printed(&dfaas_federation(&[&words, more].concat()));
    token.trim().to_owned()
}

/// A new state directory, and what `dfaas federation join` comes to there.
fn join(token: &str) -> (tempfile::TempDir, std::process::Output) {
    let directory = tempfile::tempdir().unwrap();
    let state = state_in(directory.path());
    let output = dfaas_federation(&["join", token, "--dir", state.to_str().unwrap()]);
    (directory, output)
}

async fn federation_of(agent: &Agent) -> view::Federation {
    agent.admin("/v1/federation").await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_invited_joins_once_and_takes_part() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let issuer = federation.start_issuer(site()).await;
    let token = invite(&federation, &issuer, &["--region", "north"]);
    let (directory, joined) = join(&token);
    let said = printed(&joined);
    let id = federation.authority().federation().to_string();
    assert!(said.contains(&id), "{said}");

    // The token is used up, for others and for itself.
    let (_other, again) = join(&token);
    assert!(complaint(&again).contains("ask for a new one"), "{again:?}");
    let state = state_in(directory.path());
    let again = dfaas_federation(&["join", &token, "--dir", state.to_str().unwrap()]);
    assert!(complaint(&again).contains("ask for a new one"), "{again:?}");

    // It needs neither an address to begin with nor a word of configuration.
    let member = site().federation("").start_in(directory).await;
    issuer.knows("work", 1).await;
    member.knows("work", 1).await;
    let tally = load::constant(member.url("/function/work"), 250.0, Duration::from_secs(2)).await;
    assert_eq!(tally.failed, Vec::<String>::new());
    assert!(tally.forwarded > 0, "{tally:?}");

    for agent in [&issuer, &member] {
        let view = until("both know both", SOON, || async {
            let view = federation_of(agent).await;
            (view.members.len() == 2).then_some(view)
        })
        .await;
        assert_eq!(view.federation.unwrap().to_string(), id);
        let joined = view.members.iter().find(|m| m.node_id == member.node());
        assert_eq!(joined.unwrap().region.as_deref(), Some("north"));
    }
    let shown = dfaas_federation(&["show", "--admin", &member.ready.addresses.admin]);
    assert!(printed(&shown).contains(&member.node().to_string()));
    // Nothing secret is told to anybody.
    let secret = token.strip_prefix("dfaas-join-").unwrap();
    for agent in [&issuer, &member] {
        assert!(!agent.log().contains(secret), "{}", agent.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_an_end_and_names_its_issuer() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let issuer = federation.start_issuer(site()).await;
    let token = invite(&federation, &issuer, &["--for", "1s"]);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (_state, late) = join(&token);
    assert!(complaint(&late).contains("ended"), "{late:?}");

    // One who listens at the address of the token and is not the node that it names hears no secret.
    let other = Federation::new();
    let impostor = other.start_issuer(site()).await;
    let path = federation.path();
    let words = [
        "invite",
        "--dir",
        path.to_str().unwrap(),
        "--at",
        impostor.peer(),
    ];
    let token = printed(&dfaas_federation(&words));
    let (_state, joined) = join(token.trim());
    assert!(
        complaint(&joined).contains("not the one that is meant"),
        "{joined:?}"
    );
    // Nor does one with the right key and another federation.
    let node = impostor.node().to_string();
    let token = printed(&dfaas_federation(
        &[&words[..], &["--node", &node]].concat(),
    ));
    let (_state, joined) = join(token.trim());
    assert!(
        complaint(&joined).contains("not the one that is meant"),
        "{joined:?}"
    );
    let (_state, joined) = join("dfaas-join-nonsense");
    assert!(complaint(&joined).contains("no token"), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_taken_from_a_file_and_by_a_running_agent() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let first = federation.start(site()).await;
    let second = federation
        .start_with(site().joins(&first), &lasting(Duration::from_secs(12)))
        .await;
    first.knows("work", 1).await;
    // Nobody renews it, as its issuer is not known: then it ends, and with it the connections.
    until("the certificate ends", SOON, || async {
        first.peers().await.is_empty().then_some(())
    })
    .await;
    until("it knows that itself", SOON, || async {
        let members = federation_of(&second).await.members;
        let is_one = members.iter().any(|m| m.node_id == second.node());
        (!is_one).then_some(())
    })
    .await;

    let path = federation.path();
    let node = second.node().to_string();
    let signed = printed(&dfaas_federation(&[
        "sign",
        "--dir",
        path.to_str().unwrap(),
        &node,
    ]));
    let file = second.state().join("signed");
    std::fs::write(&file, signed).unwrap();
    let state = second.state();
    let (file, state) = (file.to_str().unwrap(), state.to_str().unwrap());
    let joined = dfaas_federation(&["join", "--certificate", file, "--dir", state]);
    printed(&joined);
    // The agent that runs takes it up by itself.
    first.knows("work", 1).await;
    second.knows("work", 1).await;

    // Another node's certificate is none.
    let elsewhere = tempfile::tempdir().unwrap();
    let dir = elsewhere.path().to_str().unwrap();
    let joined = dfaas_federation(&["join", "--certificate", file, "--dir", dir]);
    assert!(complaint(&joined).contains("for its own key"), "{joined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_under_load_loses_no_call() {
    let _machine = crate::alone().await;
    let federation = Federation::new();
    let issuer = federation.start_issuer(site()).await;
    let token = invite(&federation, &issuer, &["--valid", "15s"]);
    let (directory, joined) = join(&token);
    printed(&joined);
    let member = site().federation("").start_in(directory).await;
    issuer.knows("work", 1).await;
    member.knows("work", 1).await;
    let until_then = federation_of(&member).await.own.unwrap().expires;
    // Both ways, and longer than two certificates last. More calls than the member has slots, and as many as both have: so nobody is
    // overloaded and has a reason to refuse one, however slow the machine is.
    let seconds = Duration::from_secs(32);
    let (there, back) = tokio::join!(
        load::closed(member.url("/function/work"), 6, seconds),
        load::closed(issuer.url("/function/work"), 2, seconds),
    );
    for tally in [&there, &back] {
        assert_eq!(tally.failed, Vec::<String>::new());
        assert_eq!(tally.served, tally.offered, "{tally:?}");
    }
    assert!(there.forwarded > 0, "{there:?}");
    let now = federation_of(&member).await.own.unwrap().expires;
    assert!(
        now.since(until_then) >= Duration::from_secs(20),
        "{until_then} {now}"
    );
    let log = [issuer.log(), member.log()].concat();
    assert!(!log.contains("no member any more"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_does_what_it_has_the_right_to() {
    let _machine = crate::beside_others().await;
    let federation = Federation::new();
    let full = federation.start(site()).await;
    let calls = with_rights(Rights::NONE.and(Right::Call));
    let caller = federation.start_with(site().joins(&full), &calls).await;
    let serves = with_rights(Rights::NONE.and(Right::Serve));
    let server = federation.start_with(site().joins(&full), &serves).await;
    for agent in [&full, &caller, &server] {
        agent.hears(2).await;
    }
    // The full member brings its calls to the server alone; the caller to both others; the server to nobody.
    full.knows("work", 1).await;
    caller.knows("work", 2).await;
    server.knows("work", 0).await;
    let offering: Vec<_> = full.peers().await;
    let offering = offering.iter().find(|peer| !peer.functions.is_empty());
    assert_eq!(offering.unwrap().node_id, server.node());

    // One that does not keep to it is refused: with its very key and certificate it brings a call.
    let call = async |from: &Agent| {
        let state = from.state();
        let own = std::fs::read_to_string(state.join("membership/certificate")).unwrap();
        let own: dfaas_protocol::membership::Certificate = own.parse().unwrap();
        let intruder = Intruder::with_key_in(&state).showing(own.to_bytes());
        String::from_utf8(intruder.calls(full.peer()).await).unwrap()
    };
    let answer = call(&caller).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = call(&server).await;
    assert!(
        answer.contains("dfaas-refused: not-a-neighbour"),
        "{answer}"
    );
    assert_eq!(full.executions("work").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_federation_stands_alone() {
    let _machine = crate::beside_others().await;
    let open = site().start().await;
    assert!(
        open.log().contains("every node that can connect is let in"),
        "{}",
        open.log()
    );
    let alone = site().joins(&open).federation("").start().await;
    assert_eq!(alone.ready.addresses.peer, None);
    assert!(alone.ready.addresses.overlay.is_empty());
    let response = reqwest::get(alone.url("/function/work")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        alone.log().contains("dfaas federation join"),
        "{}",
        alone.log()
    );
    let view = federation_of(&alone).await;
    assert_eq!(view.lets_in, view::LetsIn::Nobody);
    // It connects to nobody either: one that does, and is started later, is heard.
    let third = site().joins(&open).start().await;
    open.hears(1).await;
    assert_eq!(open.peers().await[0].node_id, third.node());
    assert!(alone.peers().await.is_empty());
}
