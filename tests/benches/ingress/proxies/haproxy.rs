//! HAProxy's configurations.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// How HAProxy is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One function, connections kept on both sides and shared: as fast as it gets. No log, no header added.
    KeepAlive,
    /// The same with a new connection to the backend for each call.
    ServerClose,
    /// What the reference's agent writes for ten functions and three neighbours, with its rate tables and its log.
    Reference,
}

/// Functions in the reference's shape.
const FUNCTIONS: usize = 10;
/// Neighbours in the reference's shape.
const NEIGHBOURS: usize = 3;
/// Rates that are never reached, so that every call is run here.
const NEVER: u32 = 100_000_000;

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::KeepAlive => "haproxy-keepalive",
            Shape::ServerClose => "haproxy-close",
            Shape::Reference => "haproxy-reference",
        }
    }

    pub(super) fn config(self, listen: SocketAddr, backend: SocketAddr, log: SocketAddr) -> String {
        match self {
            Shape::KeepAlive => plain("http-keep-alive", listen, backend),
            Shape::ServerClose => plain("http-server-close", listen, backend),
            Shape::Reference => reference(listen, backend, log),
        }
    }
}

fn plain(connections: &str, listen: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    option {connections}
frontend calls
    bind {listen}
    acl is_f0 path_beg /function/f0
    use_backend f0 if is_f0
backend f0
    http-reuse always
    server gateway {backend}
"
    )
}

fn reference(listen: SocketAddr, backend: SocketAddr, log: SocketAddr) -> String {
    let nodes: Vec<String> = (0..NEIGHBOURS).map(|n| format!("node-{n}")).collect();
    let known = nodes.join(" ");
    let mut text = format!(
        "global
    nbthread 1
    maxconn 4096
    log stdout format raw local0
    log {log} local0
defaults
    mode http
    log global
    option httplog
    option http-server-close
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend calls
    bind {listen}
    acl is_allowed path_beg /haproxy
    acl is_allowed path /system/functions
    acl is_allowed path_beg /function/
    http-request deny deny_status 403 unless is_allowed
    acl of_node req.hdr_cnt(DFaaS-Node-ID) gt 0
    acl of_known_node req.hdr(DFaaS-Node-ID) -m str {known}
    http-request deny deny_status 403 if of_node !of_known_node
"
    );
    for node in &nodes {
        let _ = writeln!(
            text,
            "    acl from_{node} req.hdr(DFaaS-Node-ID) -m str {node}"
        );
    }
    let mut backends = String::new();
    for f in (0..FUNCTIONS).map(|f| format!("f{f}")) {
        let _ = write!(
            text,
            "    acl is_{f} path_beg /function/{f}
    http-request track-sc0 dst_port table users_{f} if is_{f} !of_node
    acl full_{f} dst_port,table_http_req_rate(local_{f}) ge {NEVER}
"
        );
        for node in &nodes {
            let _ = write!(
                text,
                "    http-request track-sc1 dst_port table {node}_{f} if is_{f} from_{node}
    http-request deny deny_status 429 hdr DFaaS-Node-ID self if is_{f} from_{node} {{ dst_port,table_http_req_rate({node}_{f}) ge {NEVER} }}
"
            );
            backends.push_str(&table(&format!("{node}_{f}")));
        }
        let _ = write!(
            text,
            "    http-request track-sc2 dst_port table local_{f} if is_{f} of_node
    http-request track-sc2 dst_port table local_{f} if is_{f} !of_node !full_{f}
    use_backend others_{f} if is_{f} !of_node full_{f}
    use_backend here if is_{f}
"
        );
        backends.push_str(&table(&format!("users_{f}")));
        backends.push_str(&table(&format!("local_{f}")));
        let _ = write!(
            backends,
            "backend others_{f}
    balance roundrobin
    option forwardfor
    http-request set-header DFaaS-Node-ID self
"
        );
        for (index, node) in nodes.iter().enumerate() {
            let _ = writeln!(
                backends,
                "    server {node} 127.0.0.1:{} weight 50",
                9 + index
            );
        }
    }
    format!(
        "{text}    use_backend here if {{ path /system/functions }}
backend here
    option forwardfor
    http-request set-header DFaaS-Node-ID self
    http-response set-header DFaaS-Node-ID self
    http-response set-header X-Server 127.0.0.1
    server gateway {backend}
{backends}"
    )
}

fn table(name: &str) -> String {
    format!(
        "backend {name}
    stick-table type integer size 10 expire 60s store http_req_cnt,http_req_rate(1s)
"
    )
}
