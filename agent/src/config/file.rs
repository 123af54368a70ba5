//! The configuration file as it stands: every key is optional, and an unknown one is refused. `configs/agent.toml`
//! explains the keys to users.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dfaas_sim::scenario::ServiceModel;
use serde::Deserialize;

use super::ConfigError;

/// The file. An absent key takes its default when the whole is resolved.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) ingress: IngressSection,
    pub(super) peer: PeerSection,
    pub(super) overlay: OverlaySection,
    pub(super) federation: FederationSection,
    pub(super) admin: AdminSection,
    pub(super) node: NodeSection,
    pub(super) strategy: StrategySection,
    pub(super) platform: PlatformSection,
    pub(super) functions: FunctionsSection,
    pub(super) limits: LimitsSection,
    pub(super) timeouts: TimeoutsSection,
    pub(super) log: LogSection,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IngressSection {
    pub(super) listen: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) tls_certificate_file: Option<PathBuf>,
    pub(super) tls_key_file: Option<PathBuf>,
    pub(super) max_connections_per_client: Option<u32>,
    pub(super) max_requests_per_second_per_client: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PeerSection {
    pub(super) listen: Option<String>,
    pub(super) advertise: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OverlaySection {
    pub(super) listen: Option<Vec<String>>,
    pub(super) bootstrap: Option<Vec<String>>,
    pub(super) mdns: Option<bool>,
    pub(super) nearest: Option<usize>,
    pub(super) random: Option<usize>,
    pub(super) neighbours: Option<Vec<NeighbourSection>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NeighbourSection {
    pub(super) address: String,
    pub(super) peer: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FederationSection {
    pub(super) open: Option<bool>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) id: Option<String>,
    pub(super) authority: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdminSection {
    pub(super) listen: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) tls_certificate_file: Option<PathBuf>,
    pub(super) tls_key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NodeSection {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cordoned: bool,
    pub(super) slots: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StrategySection {
    pub(super) name: Option<String>,
    pub(super) period_ms: Option<u64>,
    pub(super) latency_threshold: LatencyThresholdSection,
    pub(super) power_of_n: PowerOfNSection,
    pub(super) node: UsageSection,
    pub(super) auction: AuctionSection,
    pub(super) costs: CostsSection,
    pub(super) external: ExternalSection,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UsageSection {
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) power_watts: Option<f64>,
    pub(super) high: Option<Vec<String>>,
    pub(super) low: Option<Vec<String>>,
    pub(super) model: Option<String>,
    pub(super) models_dir: Option<PathBuf>,
    pub(super) forecaster_url: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) idle_watts: Option<f64>,
    pub(super) full_watts: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuctionSection {
    pub(super) value: Option<f64>,
    pub(super) epsilon: Option<f64>,
    pub(super) eta: Option<f64>,
    pub(super) zeta: Option<f64>,
    pub(super) latency_weight: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CostsSection {
    pub(super) energy_weight: f64,
    pub(super) price_weight: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExternalSection {
    pub(super) url: Option<String>,
    pub(super) explore: Option<bool>,
    pub(super) timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LatencyThresholdSection {
    pub(super) limit_ms: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PowerOfNSection {
    pub(super) fanout: Option<usize>,
    pub(super) threshold: Option<u32>,
}

/// The keys of every kind of platform in one, so that a key of another kind can be refused by its name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlatformSection {
    pub(super) kind: Option<String>,
    pub(super) url: Option<String>,
    pub(super) basic_auth_user_file: Option<PathBuf>,
    pub(super) basic_auth_password_file: Option<PathBuf>,
    pub(super) poll_ms: Option<u64>,
    pub(super) listen: Option<String>,
    pub(super) functions: Option<Vec<FunctionSection>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionSection {
    pub(super) name: String,
    pub(super) builtin: String,
    pub(super) ms: Option<u64>,
    pub(super) service: Option<ServiceModel>,
    pub(super) speed: Option<f64>,
    pub(super) seed: Option<u64>,
    pub(super) concurrency: Option<u32>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FunctionsSection {
    pub(super) concurrency: Option<u32>,
    pub(super) learn: Option<bool>,
    pub(super) queue: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsSection {
    pub(super) messages_per_second: Option<u32>,
    pub(super) message_bytes_per_second: Option<u64>,
    pub(super) calls_per_second: Option<u32>,
    pub(super) call_bytes_per_second: Option<u64>,
    pub(super) offered_functions: Option<usize>,
    pub(super) offered_slots: Option<u32>,
    pub(super) offered_rate: Option<f64>,
    pub(super) offered_queue: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TimeoutsSection {
    pub(super) connect_ms: Option<u64>,
    pub(super) request_ms: Option<u64>,
    pub(super) header_ms: Option<u64>,
    pub(super) idle_ms: Option<u64>,
    pub(super) drain_ms: Option<u64>,
    pub(super) notice_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogSection {
    pub(super) filter: Option<String>,
    pub(super) format: Option<String>,
    pub(super) access: Option<String>,
    pub(super) access_file: Option<PathBuf>,
    pub(super) explain_calls: Option<usize>,
}

impl ConfigFile {
    /// Reads a file. Whether its values can be used shows when they are resolved.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, has an unknown key, or has a value of another type than the key's.
    pub fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        ConfigFile::parse(path, &text)
    }

    /// Reads the text of a file; `path` stands in errors.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConfigFile, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        ConfigFile::read(&path)
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_line_and_column() {
        for (text, place, key) in [
            (
                "[ingress]\n\nlisen = \"[::]:1\"",
                "line 3, column 1",
                "`lisen`",
            ),
            (
                "[overlay]\nmdns = true\n  near = 3",
                "line 3, column 3",
                "`near`",
            ),
            (
                "state_dir = \"x\"\n[plattform]\n",
                "line 2, column 2",
                "`plattform`",
            ),
            (
                "[[platform.functions]]\nname = \"a\"\nbuiltin = \"echo\"\npace = 1",
                "line 4, column 1",
                "`pace`",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, ConfigError::Parse { .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains("agent.toml: "), "{message}");
            assert!(message.contains(place), "{message}");
            assert!(
                message.contains(&format!("unknown field {key}")),
                "{message}"
            );
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_line() {
        let message = read("[strategy]\nperiod_ms = -5").unwrap_err().to_string();
        assert!(message.contains("line 2, column 13"), "{message}");
        let message = read("[ingress\n").unwrap_err().to_string();
        assert!(message.contains("line 1"), "{message}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = ConfigFile::read(Path::new("not/there.toml")).unwrap_err();
        assert!(matches!(error, ConfigError::Read { .. }));
        assert!(error.to_string().contains("not/there.toml"), "{error}");
    }
}
