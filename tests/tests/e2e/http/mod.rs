//! HTTP in its corners: what passes through a node, or two, must be what was sent.

mod bodies;
mod headers;
mod patience;

use std::time::Duration;

use dfaas_tests::client::RawClient;
use dfaas_tests::gateway::Call;
use dfaas_tests::wait::until;
use dfaas_tests::{Agent, Gateway, Site};

/// An agent, and the gateway where its calls arrive; in between, another agent or none.
struct Way {
    first: Agent,
    second: Option<Agent>,
    gateway: Gateway,
}

const SLOTS: &str = "{\"dfaas.concurrency\":\"4\"}";

async fn here(config: &str) -> Way {
    let gateway = Gateway::start(SLOTS).await;
    let site = Site::new().openfaas(&gateway.url()).config(config);
    Way {
        first: site.start().await,
        second: None,
        gateway,
    }
}

/// Calls cross from the first agent to the second, as the first has no functions.
async fn across(config: &str) -> Way {
    let gateway = Gateway::start(SLOTS).await;
    let first = Site::new().config(config).start().await;
    let second = Site::new()
        .openfaas(&gateway.url())
        .joins(&first)
        .start()
        .await;
    first.knows("f", 1).await;
    // It refuses the calls of a node that it has not heard yet.
    second.hears(1).await;
    Way {
        first,
        second: Some(second),
        gateway,
    }
}

impl Way {
    async fn client(&self) -> RawClient {
        RawClient::connect(self.first.ingress()).await
    }

    /// Sends a request and returns the client and the call that it becomes.
    async fn call(&mut self, request: &str) -> (RawClient, Call) {
        let mut client = self.client().await;
        client.send(request).await;
        let call = tokio::select! {
            call = self.gateway.call() => call,
            answer = client.read_until("HTTP/1.1 503 ") => {
                let decisions = "/v1/functions/f.openfaas-fn/decisions";
                let why: serde_json::Value = self.first.admin(decisions).await;
                panic!("no call comes, but {answer}: {why}\n{}", self.first.log());
            }
        };
        (client, call)
    }

    /// Waits until no call holds a slot.
    async fn all_slots_are_free(&self) {
        let runs = self.second.as_ref().unwrap_or(&self.first);
        until("all slots are free", dfaas_tests::agent::SOON, || async {
            let status = runs.status().await;
            let f = status
                .functions
                .iter()
                .find(|f| f.name == "f.openfaas-fn")?;
            (f.free == Some(4)).then_some(())
        })
        .await;
    }
}

const GET: &str = "GET /function/f HTTP/1.1\r\nHost: edge.example\r\n";
