//! What flags and the environment override: a flag goes before its variable, and that before the file.

use std::path::PathBuf;

use clap::Args;

use super::file::ConfigFile;

/// The flags of `dfaas agent` that override the file; each can be given in the environment too.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Overrides of the configuration file")]
pub struct Overrides {
    /// Keeps the node's key and other lasting state in this directory.
    #[arg(long, env = "DFAAS_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Takes clients' calls at this address.
    #[arg(long, env = "DFAAS_INGRESS_LISTEN", value_name = "IP:PORT")]
    ingress_listen: Option<String>,
    /// Takes neighbours' calls at this address.
    #[arg(long, env = "DFAAS_PEER_LISTEN", value_name = "IP:PORT")]
    peer_listen: Option<String>,
    /// Tells neighbours to bring their calls to this address.
    #[arg(long, env = "DFAAS_PEER_ADVERTISE", value_name = "IP")]
    peer_advertise: Option<String>,
    /// Listens for other nodes here; may be repeated.
    #[arg(
        long,
        env = "DFAAS_OVERLAY_LISTEN",
        value_name = "MULTIADDR",
        value_delimiter = ','
    )]
    overlay_listen: Option<Vec<String>>,
    /// Begins with this node; may be repeated.
    #[arg(
        long,
        env = "DFAAS_BOOTSTRAP",
        value_name = "MULTIADDR",
        value_delimiter = ','
    )]
    bootstrap: Option<Vec<String>>,
    /// Whether to look for nodes on the local network.
    #[arg(long, env = "DFAAS_MDNS", value_name = "true|false")]
    mdns: Option<bool>,
    /// Whether to let every node in, without certificates of membership.
    #[arg(long, env = "DFAAS_FEDERATION_OPEN", value_name = "true|false")]
    federation_open: Option<bool>,
    /// Issues certificates of membership with the authority in this directory.
    #[arg(long, env = "DFAAS_FEDERATION_AUTHORITY", value_name = "DIR")]
    federation_authority: Option<PathBuf>,
    /// Answers operators at this address.
    #[arg(long, env = "DFAAS_ADMIN_LISTEN", value_name = "IP:PORT|unix:PATH")]
    admin_listen: Option<String>,
    /// Spreads calls by this strategy; `dfaas strategy --help` names them all.
    #[arg(long, env = "DFAAS_STRATEGY", value_name = "NAME")]
    strategy: Option<String>,
    /// Plans, and sends offers, this often, in milliseconds.
    #[arg(long, env = "DFAAS_PERIOD_MS", value_name = "MS")]
    period_ms: Option<u64>,
    /// Runs functions on the OpenFaaS gateway at this URL.
    #[arg(long, env = "DFAAS_PLATFORM_URL", value_name = "URL")]
    platform_url: Option<String>,
    /// Reads the gateway's user from this file.
    #[arg(long, env = "DFAAS_BASIC_AUTH_USER_FILE", value_name = "FILE")]
    basic_auth_user_file: Option<PathBuf>,
    /// Reads the gateway's password from this file.
    #[arg(long, env = "DFAAS_BASIC_AUTH_PASSWORD_FILE", value_name = "FILE")]
    basic_auth_password_file: Option<PathBuf>,
    /// Runs so many calls at one time of a function without a capacity label, until more is learned.
    #[arg(long, env = "DFAAS_DEFAULT_CONCURRENCY", value_name = "CALLS")]
    default_concurrency: Option<u32>,
    /// Lets so many calls of a function wait on this node.
    #[arg(long, env = "DFAAS_QUEUE", value_name = "CALLS")]
    queue: Option<u32>,
    /// Logs what passes this filter, such as info or dfaas_agent=debug,warn.
    #[arg(long, env = "DFAAS_LOG_FILTER", value_name = "FILTER")]
    log_filter: Option<String>,
    /// Logs as text or as json.
    #[arg(long, env = "DFAAS_LOG_FORMAT", value_name = "text|json")]
    log_format: Option<String>,
}

impl Overrides {
    /// Lays what was given over the file.
    pub(super) fn apply(&self, file: &mut ConfigFile) {
        over(&mut file.state_dir, &self.state_dir);
        over(&mut file.ingress.listen, &self.ingress_listen);
        over(&mut file.peer.listen, &self.peer_listen);
        over(&mut file.peer.advertise, &self.peer_advertise);
        over(&mut file.overlay.listen, &list(&self.overlay_listen));
        over(&mut file.overlay.bootstrap, &list(&self.bootstrap));
        over(&mut file.overlay.mdns, &self.mdns);
        over(&mut file.federation.open, &self.federation_open);
        over(&mut file.federation.authority, &self.federation_authority);
        over(&mut file.admin.listen, &self.admin_listen);
        over(&mut file.strategy.name, &self.strategy);
        over(&mut file.strategy.period_ms, &self.period_ms);
        over(&mut file.platform.url, &self.platform_url);
        over(
            &mut file.platform.basic_auth_user_file,
            &self.basic_auth_user_file,
        );
        over(
            &mut file.platform.basic_auth_password_file,
            &self.basic_auth_password_file,
        );
        over(&mut file.functions.concurrency, &self.default_concurrency);
        over(&mut file.functions.queue, &self.queue);
        over(&mut file.log.filter, &self.log_filter);
        over(&mut file.log.format, &self.log_format);
    }
}

fn over<T: Clone>(value: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        value.clone_from(given);
    }
}

/// A list without the empty text that an empty variable leaves: `DFAAS_BOOTSTRAP=` is an empty list.
fn list(given: &Option<Vec<String>>) -> Option<Vec<String>> {
    let mut list = given.clone()?;
    list.retain(|text| !text.is_empty());
    Some(list)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use clap::Parser;

    use super::*;
    use crate::config::{ClosedConfig, Config, ConfigError, FederationConfig};

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        overrides: Overrides,
    }

    fn load(file: &str, flags: &[&str]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, file).unwrap();
        let flags = Flags::try_parse_from([&["dfaas"], flags].concat()).unwrap();
        Config::load(Some(&path), &flags.overrides)
    }

    const NAME: &str = "a_flag_goes_before_the_environment_before_the_file_before_the_default";

    /// A process cannot change its own environment while other threads may read it, so this test runs itself again
    /// in a process that has the environment.
    #[test]
    fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
        if std::env::var_os("DFAAS_QUEUE").is_none() {
            let (_, module) = module_path!().split_once("::").unwrap();
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{module}::{NAME}")])
                .env("DFAAS_QUEUE", "30")
                .env("DFAAS_PERIOD_MS", "3000")
                .env("DFAAS_BOOTSTRAP", "")
                .env(
                    "DFAAS_OVERLAY_LISTEN",
                    "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2",
                )
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}");
            assert!(text.contains("1 passed"), "{text}");
            return;
        }
        let file = "[functions]\nqueue = 20\nconcurrency = 21\n[strategy]\nperiod_ms = 2000\n\
                    [overlay]\nbootstrap = [\"/ip4/192.0.2.1/tcp/1\"]\n";
        let config = load(file, &["--queue", "40"]).unwrap();
        assert_eq!(config.functions.queue, 40, "the flag");
        assert_eq!(config.strategy.period.as_millis(), 3000, "the environment");
        assert_eq!(
            config.overlay.bootstrap,
            [],
            "the environment, though empty"
        );
        assert_eq!(config.overlay.listen.len(), 2, "the environment, as a list");
        assert_eq!(config.functions.concurrency.get(), 21, "the file");
        assert_eq!(config.timeouts.drain.as_millis(), 30_000, "the default");
    }

    #[test]
    fn every_flag_changes_what_it_says() {
        let node = "/ip4/192.0.2.9/tcp/9";
        let flags = [
            "--state-dir=/tmp/s",
            "--ingress-listen=127.0.0.1:1",
            "--peer-listen=127.0.0.1:2",
            "--peer-advertise=192.0.2.7",
            "--overlay-listen=/ip4/127.0.0.1/tcp/3",
            "--bootstrap=/ip4/192.0.2.8/tcp/8",
            &format!("--bootstrap={node}"),
            "--mdns=false",
            "--federation-open=false",
            "--federation-authority=/tmp/a",
            "--admin-listen=127.0.0.1:4",
            "--strategy=recalc",
            "--period-ms=500",
            "--platform-url=http://gateway:8081",
            "--basic-auth-user-file=u",
            "--basic-auth-password-file=p",
            "--default-concurrency=5",
            "--queue=6",
            "--log-filter=debug",
            "--log-format=json",
        ];
        let by_flags = load("", &flags).unwrap();
        let by_file = load(
            &format!(
                "state_dir = '/tmp/s'\ningress.listen = '127.0.0.1:1'\n\
                 peer = {{ listen = '127.0.0.1:2', advertise = '192.0.2.7' }}\n\
                 overlay = {{ listen = ['/ip4/127.0.0.1/tcp/3'], mdns = false,\n\
                 bootstrap = ['/ip4/192.0.2.8/tcp/8', '{node}'] }}\n\
                 federation = {{ open = false, authority = '/tmp/a' }}\n\
                 admin.listen = '127.0.0.1:4'\nstrategy = {{ name = 'recalc', period_ms = 500 }}\n\
                 platform = {{ url = 'http://gateway:8081', basic_auth_user_file = 'u',\n\
                 basic_auth_password_file = 'p' }}\nfunctions = {{ concurrency = 5, queue = 6 }}\n\
                 log = {{ filter = 'debug', format = 'json' }}\n"
            ),
            &[],
        )
        .unwrap();
        assert_eq!(by_flags, by_file);
        // None of the values above is a default, so a flag that did nothing would show.
        assert_eq!(by_flags.overlay.bootstrap.len(), 2);
        assert_eq!(by_flags.state_dir, Path::new("/tmp/s"));
    }

    #[test]
    fn a_federation_is_opened_by_a_flag() {
        let open = load("", &["--federation-open=true"]).unwrap();
        assert_eq!(open.federation, FederationConfig::Open);
        let closed = load("federation.open = true", &["--federation-open=false"]).unwrap();
        assert_eq!(
            closed.federation,
            FederationConfig::Closed(ClosedConfig::default())
        );
    }

    #[test]
    fn a_flag_is_checked_as_the_file_is() {
        let error = load("", &["--admin-listen", "0.0.0.0:1"]).unwrap_err();
        assert!(error.to_string().contains("admin.listen"), "{error}");
    }
}
