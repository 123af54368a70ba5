//! The files in `configs/` say what the code says.

use std::path::Path;
use std::process::Command;

use super::{Config, ConfigFile, Overrides};

const AGENT_TOML: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/agent.toml");
const UNIT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../configs/systemd/dfaas.service"
);

#[test]
fn the_shipped_file_says_what_the_defaults_say() {
    let shipped = Config::load(Some(Path::new(AGENT_TOML)), &Overrides::default()).unwrap();
    let empty = Config::load(None, &Overrides::default()).unwrap();
    assert_eq!(shipped, empty);
}

#[test]
fn the_shipped_file_shows_every_key() {
    // A key that is commented out follows its `#` at once, prose follows it after a space.
    let text: String = std::fs::read_to_string(AGENT_TOML)
        .unwrap()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| !c.is_whitespace()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file: ConfigFile = toml::from_str(&text).unwrap();
    // An absent key would print as `None`.
    let printed = format!("{file:?}");
    assert!(!printed.contains("None"), "{printed}");
    assert!(!file.platform.functions.unwrap()[0].labels.is_empty());
}

#[test]
fn systemd_unit_verifies() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    // The command need not be installed here, and systemd complains about one that is not.
    let command = "ExecStart=/usr/local/bin/dfaas ";
    assert!(unit.contains(command));
    let here = std::env::current_exe().unwrap();
    let unit = unit.replace(command, &format!("ExecStart={} ", here.display()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dfaas.service");
    std::fs::write(&path, unit).unwrap();
    let run = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no systemd-analyze on this machine");
            return;
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn systemd_waits_longer_than_the_agent_drains() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    let stop: u64 = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="))
        .unwrap()
        .parse()
        .unwrap();
    let config = Config::load(None, &Overrides::default()).unwrap();
    assert!(stop > config.timeouts.drain.as_secs());
}
