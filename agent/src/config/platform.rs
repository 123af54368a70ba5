//! The platform section: which keys belong to which kind, and what their values may be.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use dfaas_protocol::FunctionName;
use dfaas_sim::scenario::{Service, ServiceModel};
use hyper::Uri;

use super::file::{FunctionSection, PlatformSection};
use super::resolve::{PERIOD_MS, default_slots, loopback};
use super::violations::Violations;
use super::{
    BasicAuthFiles, Builtin, EmbeddedConfig, EmbeddedFunction, OpenFaasConfig, PlatformConfig,
    ServiceTimes,
};

const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// How long a built-in function may sleep or burn: up to an hour, in milliseconds.
const BUILTIN_MS: RangeInclusive<u64> = 0..=3_600_000;

pub(super) fn resolve(v: &mut Violations, section: PlatformSection) -> PlatformConfig {
    match section.kind.as_deref() {
        None | Some("openfaas") => openfaas(v, section),
        Some("embedded") => embedded(v, section),
        Some(other) => {
            v.add(format!(
                "platform.kind: {other:?} is no kind of platform; give openfaas or embedded"
            ));
            openfaas(v, PlatformSection::default())
        }
    }
}

/// Refuses keys of the other kind.
fn foreign(v: &mut Violations, keys: &[(&str, bool)], theirs: &str, ours: &str) {
    for (key, _) in keys.iter().filter(|(_, present)| *present) {
        v.add(format!(
            "platform.{key}: belongs to kind = \"{theirs}\" and this platform is \"{ours}\"; remove the \
             key or change platform.kind"
        ));
    }
}

fn openfaas(v: &mut Violations, section: PlatformSection) -> PlatformConfig {
    let keys = [
        ("listen", section.listen.is_some()),
        ("functions", section.functions.is_some()),
    ];
    foreign(v, &keys, "embedded", "openfaas");
    let basic_auth = match (
        section.basic_auth_user_file,
        section.basic_auth_password_file,
    ) {
        (Some(user_file), Some(password_file)) => Some(BasicAuthFiles {
            user_file,
            password_file,
        }),
        (None, None) => None,
        (Some(_), None) => {
            v.add(
                "platform.basic_auth_password_file: is missing while basic_auth_user_file is given; give \
                 both or none",
            );
            None
        }
        (None, Some(_)) => {
            v.add(
                "platform.basic_auth_user_file: is missing while basic_auth_password_file is given; give \
                 both or none",
            );
            None
        }
    };
    let text = section.url.unwrap_or_else(|| DEFAULT_URL.to_owned());
    PlatformConfig::OpenFaas(OpenFaasConfig {
        url: v.check(http_url("platform.url", &text), DEFAULT_URL.to_owned()),
        basic_auth,
        poll: v.millis("platform.poll_ms", section.poll_ms, &PERIOD_MS, 1000),
    })
}

/// `http://HOST[:PORT]`, without the slash that may end it.
pub(super) fn http_url(key: &str, text: &str) -> Result<String, String> {
    let refusal = |what: &str| format!("{key}: {text:?} {what}");
    let uri: Uri = text
        .parse()
        .map_err(|_| refusal("is no URL; give http://HOST or http://HOST:PORT"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(refusal(
                "is https, which is not supported yet; give an http:// URL",
            ));
        }
        _ => {
            return Err(refusal(
                "does not begin with http://; give http://HOST or http://HOST:PORT",
            ));
        }
    }
    let authority = uri
        .authority()
        .ok_or_else(|| refusal("has no host; give http://HOST or http://HOST:PORT"))?;
    if authority.as_str().contains('@') {
        return Err(refusal(
            "has a user in it; for the platform, put user and password into files and name those in \
             basic_auth_user_file and basic_auth_password_file",
        ));
    }
    if uri
        .path_and_query()
        .is_some_and(|rest| rest.as_str() != "/")
        || text.contains('#')
    {
        return Err(refusal(
            "has a path; give http://HOST or http://HOST:PORT alone",
        ));
    }
    let host = authority.host();
    let usable = match authority.port_u16() {
        Some(port) => port > 0 && authority.as_str() == format!("{host}:{port}"),
        None => authority.as_str() == host,
    };
    if host.is_empty() || !usable {
        return Err(refusal(
            "has no usable host and port; give a port from 1 to 65535",
        ));
    }
    Ok(format!("http://{authority}"))
}

/// Whether a URL that was checked leads to this listener, as far as its text tells.
pub(super) fn is_at(url: &str, listen: SocketAddr) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let here = match ip {
        Some(ip) => ip == listen.ip() || ip.is_loopback() && listen.ip().is_unspecified(),
        None => host == "localhost" && (listen.ip().is_loopback() || listen.ip().is_unspecified()),
    };
    here && listen.port() != 0 && uri.port_u16().unwrap_or(80) == listen.port()
}

fn embedded(v: &mut Violations, section: PlatformSection) -> PlatformConfig {
    let keys = [
        ("url", section.url.is_some()),
        (
            "basic_auth_user_file",
            section.basic_auth_user_file.is_some(),
        ),
        (
            "basic_auth_password_file",
            section.basic_auth_password_file.is_some(),
        ),
        ("poll_ms", section.poll_ms.is_some()),
    ];
    foreign(v, &keys, "openfaas", "embedded");
    let sections = section.functions.unwrap_or_default();
    let mut seen = BTreeSet::new();
    for FunctionSection { name, .. } in &sections {
        match FunctionName::parse(name) {
            Ok(full) => {
                if !seen.insert(full) {
                    v.add(format!(
                        "platform.functions: {name:?} is there twice; give each function a name of its own"
                    ));
                }
            }
            Err(error) => v.add(format!(
                "platform.functions: {name:?} cannot be a name: {error}"
            )),
        }
    }
    let functions = sections
        .into_iter()
        .map(|section| function(v, section))
        .collect();
    PlatformConfig::Embedded(EmbeddedConfig {
        listen: v.socket("platform.listen", section.listen, loopback(0)),
        functions,
    })
}

fn function(v: &mut Violations, section: FunctionSection) -> EmbeddedFunction {
    let of = |key: &str| format!("platform.functions {:?}, {key}", section.name);
    if section.ms.is_some() && matches!(section.builtin.as_str(), "echo" | "hash" | "serve") {
        v.add(format!(
            "{}: belongs to sleep and burn, and this function is {}; remove the key",
            of("ms"),
            section.builtin
        ));
    }
    let serves = section.builtin == "serve";
    for (key, present) in [
        ("service", section.service.is_some()),
        ("speed", section.speed.is_some()),
        ("seed", section.seed.is_some()),
    ] {
        if present && !serves {
            v.add(format!(
                "{}: belongs to serve, and this function is {}; remove the key",
                of(key),
                section.builtin
            ));
        }
    }
    let builtin = match section.builtin.as_str() {
        "serve" => Builtin::Serve(service_times(v, &section, &of)),
        "echo" => Builtin::Echo,
        "hash" => Builtin::Hash,
        "sleep" => Builtin::Sleep(v.millis(&of("ms"), section.ms, &BUILTIN_MS, 100)),
        "burn" => Builtin::Burn(v.millis(&of("ms"), section.ms, &BUILTIN_MS, 100)),
        other => {
            v.add(format!(
                "{}: {other:?} is no built-in function; give echo, sleep, serve, burn or hash",
                of("builtin")
            ));
            Builtin::Echo
        }
    };
    let concurrency = v.slots(
        &of("concurrency"),
        section.concurrency,
        default_slots::<8>(),
    );
    EmbeddedFunction {
        name: section.name,
        builtin,
        concurrency,
        labels: section.labels,
    }
}

fn service_times(
    v: &mut Violations,
    section: &FunctionSection,
    of: &impl Fn(&str) -> String,
) -> ServiceTimes {
    const MS: RangeInclusive<f64> = 0.001..=3_600_000.0;
    let refusal = || {
        format!(
            "{}: is no distribution of times; give such as {{ kind = \"exponential\", mean_ms = 100 }}",
            of("service")
        )
    };
    let service = match &section.service {
        Some(ServiceModel::Constant { mean_ms }) if MS.contains(mean_ms) => {
            Ok(Service::Constant(mean_ms / 1e3))
        }
        Some(ServiceModel::Exponential { mean_ms }) if MS.contains(mean_ms) => {
            Ok(Service::Exponential(mean_ms / 1e3))
        }
        Some(ServiceModel::Lognormal { mean_ms, sigma })
            if MS.contains(mean_ms) && (0.0..=4.0).contains(sigma) =>
        {
            Ok(Service::Lognormal {
                mu: (mean_ms / 1e3).ln() - sigma * sigma / 2.0,
                sigma: *sigma,
            })
        }
        Some(ServiceModel::Trace {
            times_ms,
            file: None,
        }) if !times_ms.is_empty() && times_ms.iter().all(|ms| MS.contains(ms)) => {
            Ok(Service::Trace(times_ms.iter().map(|ms| ms / 1e3).collect()))
        }
        _ => Err(refusal()),
    };
    let speed = section.speed.unwrap_or(1.0);
    if !(1e-3..=1e3).contains(&speed) {
        v.add(format!(
            "{}: {speed} is out of range; give 0.001 to 1000",
            of("speed")
        ));
    }
    ServiceTimes {
        service: v.check(service, Service::Constant(0.1)),
        speed,
        seed: section.seed.unwrap_or(0),
    }
}
