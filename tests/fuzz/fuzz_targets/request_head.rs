//! Any bytes on a client's connection: the platform behind the node sees only whole and harmless requests, the client only
//! whole answers, and nothing panics.
//!
//! The node runs in this process, so that the engine sees which of its code an input reaches.

#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dfaas_agent::config::{Config, Overrides, RunOptions};
use dfaas_agent::node::Ready;
use dfaas_tests::judge::Judge;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

struct Node {
    runtime: Runtime,
    judge: Judge,
    ingress: String,
}

fuzz_target!(|input: &[u8]| {
    static NODE: OnceLock<Node> = OnceLock::new();
    let node = NODE.get_or_init(start);
    let judged = node.judge.judge(&node.ingress, input);
    if let Err(wrong) = node.runtime.block_on(judged) {
        panic!("{wrong}");
    }
});

fn start() -> Node {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody chose before");
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let judge = runtime.block_on(Judge::start());
    let directory = tempfile::tempdir().expect("a directory").keep();
    let ready_file = directory.join("ready.json");
    let file = directory.join("agent.toml");
    let text = format!(
        "state_dir = {directory:?}\n\
         [ingress]\nlisten = \"127.0.0.1:0\"\nthreads = 1\n\
         [peer]\nlisten = \"127.0.0.1:0\"\n\
         [overlay]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [strategy]\nperiod_ms = 3600000\n\
         [platform]\nkind = \"openfaas\"\nurl = \"{}\"\npoll_ms = 3600000\n",
        judge.url()
    );
    std::fs::write(&file, text).expect("the configuration is written");
    let config = Config::load(Some(&file), &Overrides::default()).expect("a configuration");
    let options = RunOptions {
        ready_file: Some(ready_file.clone()),
        stop_with_stdin: false,
        lab_orders: false,
    };
    std::thread::spawn(move || {
        let ended = dfaas_agent::node::run(config, options);
        panic!("the node ended: {ended:?}");
    });
    let end = Instant::now() + Duration::from_secs(60);
    let ready: Ready = loop {
        assert!(Instant::now() < end, "the node did not become ready");
        match std::fs::read(&ready_file) {
            Ok(bytes) => break serde_json::from_slice(&bytes).expect("whole JSON"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Node {
        runtime,
        judge,
        ingress: ready.addresses.ingress,
    }
}
