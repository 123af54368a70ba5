use std::time::Duration;

use dfaas_protocol::neighbours::ChoiceLimits;
use dfaas_protocol::strategy::StrategyName;

use super::*;
use crate::config::{BasicAuthFiles, Builtin};

fn resolve(text: &str) -> Result<Config, ConfigError> {
    toml::from_str::<ConfigFile>(text).unwrap().resolve()
}

fn violations(text: &str) -> Vec<String> {
    match resolve(text) {
        Err(ConfigError::Invalid(sentences)) => sentences,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn operators_come_from_other_machines_only_over_tls_and_with_a_token() {
    let text = "admin = { listen = '0.0.0.0:31602', token_file = 't', tls_certificate_file = 'c', \
                tls_key_file = 'k' }";
    let admin = resolve(text).unwrap().admin;
    assert_eq!(admin.listen, AdminListen::Tcp(any(31602)));
    assert_eq!(admin.token_file, Some("t".into()));
    assert_eq!(admin.tls.unwrap().key, Path::new("k"));
    let admin = resolve("admin.listen = 'unix:/run/dfaas/admin.sock'")
        .unwrap()
        .admin;
    assert_eq!(
        admin.listen,
        AdminListen::Unix("/run/dfaas/admin.sock".into())
    );
}

#[test]
fn an_empty_file_makes_an_agent_beside_openfaas() {
    let config = resolve("").unwrap();
    let PlatformConfig::OpenFaas(gateway) = config.platform else {
        panic!("{:?}", config.platform);
    };
    assert_eq!(gateway.url, "http://127.0.0.1:8080");
    assert_eq!(gateway.basic_auth, None);
    assert!(config.ingress.threads >= 1);
    assert_eq!(config.ingress.listen, "0.0.0.0:30080".parse().unwrap());
    let admin = "127.0.0.1:31602".parse().unwrap();
    assert_eq!(config.admin.listen, AdminListen::Tcp(admin));
    assert_eq!(config.overlay.listen.len(), 2);
    assert_eq!(config.strategy.name, StrategyName::Headroom);
    assert_eq!(config.functions.concurrency.get(), 16);
}

#[test]
fn an_embedded_platform_has_its_functions() {
    let config = resolve(
        "[platform]\nkind = 'embedded'\n[[platform.functions]]\nname = 'nap.dev'\n\
         builtin = 'sleep'\nms = 20\nconcurrency = 3\nlabels = { 'dfaas.maxrate' = '5' }\n\
         [[platform.functions]]\nname = 'echo'\nbuiltin = 'echo'\n",
    )
    .unwrap();
    let PlatformConfig::Embedded(embedded) = config.platform else {
        panic!("{:?}", config.platform);
    };
    assert_eq!(embedded.listen, "127.0.0.1:0".parse().unwrap());
    let [nap, echo] = embedded.functions.as_slice() else {
        panic!("{:?}", embedded.functions);
    };
    assert_eq!(nap.builtin, Builtin::Sleep(Duration::from_millis(20)));
    assert_eq!(nap.concurrency.get(), 3);
    assert_eq!(nap.labels["dfaas.maxrate"], "5");
    assert_eq!(echo.builtin, Builtin::Echo);
    assert_eq!(echo.concurrency.get(), 8);
}

#[test]
fn a_gateway_may_have_a_name_a_port_and_credentials() {
    let config = resolve(
        "[platform]\nurl = 'http://gateway.openfaas:8080/'\nbasic_auth_user_file = 'u'\n\
         basic_auth_password_file = 'p'\n",
    )
    .unwrap();
    let PlatformConfig::OpenFaas(gateway) = config.platform else {
        panic!("{:?}", config.platform);
    };
    assert_eq!(gateway.url, "http://gateway.openfaas:8080");
    let files = BasicAuthFiles {
        user_file: "u".into(),
        password_file: "p".into(),
    };
    assert_eq!(gateway.basic_auth, Some(files));
    for url in ["http://gateway", "http://[::1]:8080", "http://192.0.2.1"] {
        resolve(&format!("platform.url = '{url}'")).unwrap();
    }
}

/// Each line: a file with one thing wrong, the key that the sentence names, and what it says to do.
const WRONG: &[(&str, &str, &str)] = &[
    ("state_dir = ''", "state_dir", "give a directory"),
    (
        "ingress.tls_key_file = 'k'",
        "ingress.tls_certificate_file",
        "give both or none",
    ),
    (
        "ingress.listen = 'localhost:80'",
        "ingress.listen",
        "give IP:PORT",
    ),
    (
        "ingress.listen = '127.0.0.1:99999'",
        "ingress.listen",
        "give IP:PORT",
    ),
    (
        "ingress.threads = 5000",
        "ingress.threads",
        "0 for one per core",
    ),
    ("peer.listen = ':1'", "peer.listen", "give IP:PORT"),
    (
        "peer.advertise = '192.0.2.1:1'",
        "peer.advertise",
        "without a port",
    ),
    (
        "peer.advertise = '0.0.0.0'",
        "peer.advertise",
        "neighbours reach",
    ),
    ("overlay.listen = []", "overlay.listen", "at least one"),
    (
        "overlay.listen = ['/ip4/0.0.0.0/udp/1']",
        "overlay.listen",
        "quic-v1",
    ),
    (
        "overlay.listen = ['/dns4/a.example/tcp/1']",
        "overlay.listen",
        "/ip4/IP/tcp",
    ),
    (
        "overlay.bootstrap = ['192.0.2.1']",
        "overlay.bootstrap",
        "dfaas status",
    ),
    (
        "overlay = { nearest = 0, random = 0 }",
        "overlay.nearest and overlay.random",
        "1 to 64",
    ),
    (
        "overlay = { nearest = 60, random = 5 }",
        "overlay.nearest and overlay.random",
        "1 to 64",
    ),
    ("admin.listen = '0.0.0.0:31602'", "admin.listen", "loopback"),
    (
        "admin = { listen = '0.0.0.0:31602', token_file = 't' }",
        "admin.listen",
        "tls_certificate_file",
    ),
    (
        "admin = { listen = '[::]:1', tls_certificate_file = 'c', tls_key_file = 'k' }",
        "admin.listen",
        "token_file",
    ),
    (
        "admin.tls_key_file = 'k'",
        "admin.tls_certificate_file",
        "give both or none",
    ),
    ("admin.listen = 'unix:a'", "admin.listen", "absolute path"),
    (
        "admin = { listen = 'unix:/a', tls_certificate_file = 'c', tls_key_file = 'k' }",
        "admin.tls_certificate_file",
        "remove one",
    ),
    ("admin.listen = 'x'", "admin.listen", "give IP:PORT"),
    (
        "strategy.name = 'best'",
        "strategy.name",
        "the strategies are headroom",
    ),
    (
        "strategy.period_ms = 99",
        "strategy.period_ms",
        "100 to 3600000",
    ),
    (
        "strategy.period_ms = 3600001",
        "strategy.period_ms",
        "100 to 3600000",
    ),
    (
        "functions.concurrency = 0",
        "functions.concurrency",
        "1 to 1000000",
    ),
    ("functions.queue = 100001", "functions.queue", "0 to 100000"),
    (
        "timeouts.connect_ms = 0",
        "timeouts.connect_ms",
        "1 to 86400000",
    ),
    (
        "timeouts.request_ms = 0",
        "timeouts.request_ms",
        "1 to 86400000",
    ),
    (
        "timeouts.header_ms = 0",
        "timeouts.header_ms",
        "1 to 86400000",
    ),
    (
        "timeouts.drain_ms = 0",
        "timeouts.drain_ms",
        "1 to 86400000",
    ),
    (
        "log.filter = 'dfaas=loud'",
        "log.filter",
        "a level such as info",
    ),
    ("log.format = 'xml'", "log.format", "text or json"),
    ("log.explain_calls = 100001", "log.explain_calls", "0 (off)"),
    ("log.access = 'xml'", "log.access", "off or json"),
    (
        "log.access_file = 'x'",
        "log.access_file",
        "set that to json",
    ),
    (
        "platform.kind = 'lambda'",
        "platform.kind",
        "openfaas or embedded",
    ),
    (
        "platform.url = 'https://gateway'",
        "platform.url",
        "not supported yet",
    ),
    (
        "platform.url = 'gateway:8080'",
        "platform.url",
        "http://HOST",
    ),
    (
        "platform.url = 'http://gateway/ui'",
        "platform.url",
        "has a path",
    ),
    (
        "platform.url = 'http://gateway?a=b'",
        "platform.url",
        "has a path",
    ),
    (
        "platform.url = 'http://u:p@gateway'",
        "platform.url",
        "basic_auth_user_file",
    ),
    (
        "platform.url = 'http://gateway:99999'",
        "platform.url",
        "port",
    ),
    ("platform.url = 'http://gateway:'", "platform.url", "port"),
    (
        "platform.url = 'http://127.0.0.1:30080'",
        "platform.url",
        "own ingress",
    ),
    ("platform.poll_ms = 1", "platform.poll_ms", "100 to 3600000"),
    (
        "platform.basic_auth_user_file = 'u'",
        "basic_auth_password_file",
        "both or none",
    ),
    (
        "platform.basic_auth_password_file = 'p'",
        "basic_auth_user_file",
        "both or none",
    ),
    (
        "platform.listen = '127.0.0.1:1'",
        "platform.listen",
        "belongs to kind = \"embedded\"",
    ),
    (
        "platform.functions = []",
        "platform.functions",
        "belongs to kind = \"embedded\"",
    ),
    (
        "platform = { kind = 'embedded', url = 'http://gateway' }",
        "platform.url",
        "belongs to kind = \"openfaas\"",
    ),
    (
        "platform = { kind = 'embedded', poll_ms = 1000 }",
        "platform.poll_ms",
        "belongs to kind = \"openfaas\"",
    ),
    (
        "platform = { kind = 'embedded', listen = '1' }",
        "platform.listen",
        "give IP:PORT",
    ),
    (
        "peer.listen = '127.0.0.1:30080'",
        "ingress.listen and peer.listen",
        "a port of its own",
    ),
    (
        "overlay.listen = ['/ip4/0.0.0.0/tcp/31601']",
        "peer.listen and overlay.listen",
        "port of its own",
    ),
    (
        "platform = { kind = 'embedded', listen = '127.0.0.1:30080' }",
        "ingress.listen and platform.listen",
        "port of its own",
    ),
];

#[test]
fn each_value_that_cannot_be_used_gets_one_sentence() {
    for (text, key, advice) in WRONG {
        let sentences = violations(text);
        let [sentence] = sentences.as_slice() else {
            panic!("{text}: {sentences:?}");
        };
        assert!(sentence.contains(key), "{text}: {sentence}");
        assert!(sentence.contains(advice), "{text}: {sentence}");
    }
}

#[test]
fn embedded_functions_are_checked_one_by_one() {
    for (keys, advice) in [
        ("name = 'a b', builtin = 'echo'", "letters, digits"),
        (
            "name = 'a', builtin = 'mine'",
            "give echo, sleep, serve, burn or hash",
        ),
        ("name = 'a', builtin = 'echo', ms = 3", "remove the key"),
        ("name = 'a', builtin = 'sleep', speed = 2", "remove the key"),
        ("name = 'a', builtin = 'serve'", "give such as"),
        (
            "name = 'a', builtin = 'serve', service = { kind = 'constant', mean_ms = 0 }",
            "give such as",
        ),
        (
            "name = 'a', builtin = 'serve', speed = 0, service = { kind = 'constant', mean_ms = 1 }",
            "0.001 to 1000",
        ),
        ("name = 'a', builtin = 'burn', ms = 3600001", "0 to 3600000"),
        (
            "name = 'a', builtin = 'hash', concurrency = 0",
            "1 to 1000000",
        ),
        (
            "name = 'a', builtin = 'hash' }, { name = 'a.openfaas-fn', builtin = 'echo'",
            "a name of its own",
        ),
    ] {
        let text = format!("platform = {{ kind = 'embedded', functions = [{{ {keys} }}] }}");
        let sentences = violations(&text);
        assert_eq!(sentences.len(), 1, "{text}: {sentences:?}");
        assert!(sentences[0].contains("platform.functions"), "{sentences:?}");
        assert!(sentences[0].contains(advice), "{sentences:?}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = "[strategy]\nname = 'best'\nperiod_ms = 1\n[log]\nformat = 'xml'\n";
    assert_eq!(violations(text).len(), 3);
    let error = resolve(text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 4, "{error}");
}

const ID: &str = "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv";

#[test]
fn neighbours_that_are_listed_end_the_search() {
    let config = resolve(&format!(
        "[[overlay.neighbours]]\naddress = '/ip4/192.0.2.1/tcp/1/p2p/{ID}'\npeer = '192.0.2.9:7'\n"
    ))
    .unwrap();
    let [one] = config.overlay.listed.as_slice() else {
        panic!("{:?}", config.overlay);
    };
    assert_eq!(one.node.to_string(), ID);
    assert_eq!(one.peer, Some("192.0.2.9:7".parse().unwrap()));
    assert!(!config.overlay.mdns);
    let one = ChoiceLimits {
        nearest: 1,
        random: 0,
    };
    assert_eq!(config.overlay.neighbours, one);
}

#[test]
fn a_list_of_neighbours_and_a_search_exclude_each_other() {
    let neighbour = format!("[[overlay.neighbours]]\naddress = '/ip4/192.0.2.1/tcp/1/p2p/{ID}'\n");
    let both = format!(
        "[overlay]\nmdns = true\nrandom = 1\nbootstrap = ['/ip4/192.0.2.1/tcp/1']\n{neighbour}{neighbour}"
    );
    let said = violations(&both);
    assert_eq!(said.len(), 4, "{said:?}");
    for (sentence, key) in said.iter().zip(["bootstrap", "mdns", "random", "twice"]) {
        assert!(sentence.contains(key), "{said:?}");
    }
    let said = violations("[overlay]\nneighbours = []\n");
    assert!(said[0].contains("leave it out"), "{said:?}");
}

#[test]
fn functions_share_slots_where_the_node_says_so() {
    assert_eq!(resolve("").unwrap().node.slots, None);
    let config = resolve("[node]\nslots = 8\n").unwrap();
    assert_eq!(config.node.slots, Slots::new(8));
    let sentences = violations("[node]\nslots = 0\n");
    assert_eq!(
        sentences,
        ["node.slots: 0 is out of range; give 1 to 1000000 calls at one time"]
    );
}

#[test]
fn a_federation_is_open_or_one_that_was_joined() {
    let federation = |text: &str| resolve(text).unwrap().federation;
    let nothing_said = FederationConfig::Closed(ClosedConfig::default());
    for text in ["", "[federation]\n", "[federation]\nopen = false\n"] {
        assert_eq!(federation(text), nothing_said);
    }
    assert_eq!(federation("federation.open = true"), FederationConfig::Open);
    let id = "GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB";
    let joined = format!("[federation]\nid = '{id}'\nauthority = '/a'\ncertificate = '/c'\n");
    let FederationConfig::Closed(closed) = federation(&joined) else {
        panic!("it is open");
    };
    assert_eq!(closed.id.unwrap().to_string(), id);
    assert_eq!(closed.authority.unwrap(), Path::new("/a"));
    assert_eq!(closed.certificate.unwrap(), Path::new("/c"));

    let said = violations("[federation]\nopen = true\nauthority = '/a'\n");
    assert!(said[0].contains("remove"), "{said:?}");
    let said = violations(&format!("[federation]\nid = '{ID}'\n"));
    assert!(said[0].contains("federation init"), "{said:?}");
}
