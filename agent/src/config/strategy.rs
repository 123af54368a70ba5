//! The section `[strategy]`, from the file's values to checked ones.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use dfaas_protocol::strategy::{
    AuctionSettings, CostSettings, Groups, Limits, LoadGroup, NodeSettings, NodeType,
    PowerOfNSettings, Settings, StrategyName, UsageModel,
};
use dfaas_protocol::{FunctionName, NodeLabels};

use crate::telemetry::machine::EstimatedPower;

use super::file::{
    AuctionSection, ExternalSection, LatencyThresholdSection, PowerOfNSection, StrategySection,
    UsageSection,
};
use super::resolve::PERIOD_MS;
use super::violations::Violations;
use super::{ExternalConfig, StrategyConfig, models, platform};

/// More than any round trip that is of use, in milliseconds.
const MAX_LIMIT_MS: f64 = 60_000.0;
/// How long a program that is asked once a period may take, in milliseconds.
const ANSWER_MS: RangeInclusive<u64> = 1..=60_000;
/// The most watts that a node may draw.
const MAX_WATTS: f64 = 1e6;

/// The section, on a node with those labels.
pub(super) fn resolve(
    v: &mut Violations,
    section: StrategySection,
    labels: &NodeLabels,
) -> StrategyConfig {
    let name = match section.name {
        Some(text) => v.check(
            text.parse()
                .map_err(|error| format!("strategy.name: {error}")),
            StrategyName::default(),
        ),
        None => StrategyName::default(),
    };
    let default = Settings::default();
    let estimated_power = estimated_power(v, &section.node);
    let forecaster_url = section
        .node
        .forecaster_url
        .clone()
        .and_then(|url| base_url(v, "strategy.node.forecaster_url", &url));
    let settings = Settings {
        latency_limit: latency_limit(v, &section.latency_threshold, default.latency_limit),
        power_of_n: power_of_n(&section.power_of_n, default.power_of_n),
        node: node(v, section.node, forecaster_url.is_some(), default.node),
        auction: auction(&section.auction, default.auction),
        costs: CostSettings {
            energy_weight: section.costs.energy_weight,
            price_weight: section.costs.price_weight,
            here: labels.clone(),
        },
    };
    for error in settings.errors() {
        v.add(format!("strategy: {error}"));
    }
    StrategyConfig {
        name,
        period: v.millis("strategy.period_ms", section.period_ms, &PERIOD_MS, 1000),
        settings,
        external: external(v, section.external),
        forecaster_url,
        estimated_power,
    }
}

fn latency_limit(
    v: &mut Violations,
    section: &LatencyThresholdSection,
    default: Duration,
) -> Duration {
    let Some(ms) = section.limit_ms else {
        return default;
    };
    if ms > 0.0 && ms <= MAX_LIMIT_MS {
        return Duration::from_secs_f64(ms / 1e3);
    }
    v.add(format!(
        "strategy.latency_threshold.limit_ms: {ms} is out of range; give a number above 0, at most {MAX_LIMIT_MS}"
    ));
    default
}

fn power_of_n(section: &PowerOfNSection, default: PowerOfNSettings) -> PowerOfNSettings {
    PowerOfNSettings {
        fanout: section.fanout.unwrap_or(default.fanout),
        threshold: section.threshold.unwrap_or(default.threshold),
    }
}

fn auction(section: &AuctionSection, default: AuctionSettings) -> AuctionSettings {
    AuctionSettings {
        value: section.value.unwrap_or(default.value),
        epsilon: section.epsilon.unwrap_or(default.epsilon),
        eta: section.eta.unwrap_or(default.eta),
        zeta: section.zeta.unwrap_or(default.zeta),
        latency_weight: section.latency_weight.unwrap_or(default.latency_weight),
    }
}

fn node(
    v: &mut Violations,
    section: UsageSection,
    has_forecaster: bool,
    default: NodeSettings,
) -> NodeSettings {
    let limits = Limits {
        cpu_percent: section.cpu_percent.or(default.limits.cpu_percent),
        memory_bytes: section.memory_bytes,
        power_microwatts: section.power_watts.map(|watts| 1e6 * watts),
    };
    let kind = match section.kind.as_deref() {
        Some("heavy") => NodeType::Heavy,
        None | Some("mid") => NodeType::Mid,
        Some("light") => NodeType::Light,
        Some(other) => {
            v.add(format!(
                "strategy.node.type: {other:?} is no type of node; give heavy, mid or light"
            ));
            NodeType::Mid
        }
    };
    let model = match (section.model.as_deref(), section.models_dir) {
        (None | Some("linear"), _) => UsageModel::Linear,
        (Some("lightgbm"), Some(dir)) => v.check(
            models::load(&dir)
                .map(|trees| UsageModel::Trees(Arc::new(trees)))
                .map_err(|error| format!("strategy.node.models_dir: {error:#}")),
            UsageModel::Linear,
        ),
        (Some("lightgbm"), None) => {
            v.add("strategy.node.models_dir: is missing while model is lightgbm; name the directory of the models");
            UsageModel::Linear
        }
        (Some("forecaster"), _) => {
            if !has_forecaster {
                v.add("strategy.node.forecaster_url: is missing while model is forecaster; give http://HOST[:PORT]");
            }
            UsageModel::Forecaster
        }
        (Some(other), _) => {
            v.add(format!(
                "strategy.node.model: {other:?} is no model; give linear, lightgbm or forecaster"
            ));
            UsageModel::Linear
        }
    };
    let mut groups = Groups::new();
    for (key, names, group) in [
        ("high", section.high, LoadGroup::High),
        ("low", section.low, LoadGroup::Low),
    ] {
        for name in names.unwrap_or_default() {
            match FunctionName::parse(&name) {
                Ok(function) => {
                    if groups.insert(function, group).is_some() {
                        v.add(format!(
                            "strategy.node.{key}: {name:?} is in a group already; name each function once"
                        ));
                    }
                }
                Err(error) => v.add(format!("strategy.node.{key}: {name:?}: {error}")),
            }
        }
    }
    NodeSettings {
        limits,
        groups,
        model,
        kind,
    }
}

fn estimated_power(v: &mut Violations, section: &UsageSection) -> Option<EstimatedPower> {
    match (section.idle_watts, section.full_watts) {
        (None, None) => None,
        (Some(idle_watts), Some(full_watts))
            if 0.0 <= idle_watts && idle_watts <= full_watts && full_watts <= MAX_WATTS =>
        {
            Some(EstimatedPower {
                idle_watts,
                full_watts,
            })
        }
        _ => {
            v.add(format!(
                "strategy.node.idle_watts and full_watts: give both, 0 to {MAX_WATTS}, the idle one not above \
                 the full one, or none"
            ));
            None
        }
    }
}

fn external(v: &mut Violations, section: ExternalSection) -> ExternalConfig {
    let url = section.url;
    ExternalConfig {
        url: url.and_then(|url| base_url(v, "strategy.external.url", &url)),
        explore: section.explore.unwrap_or(false),
        timeout: v.millis(
            "strategy.external.timeout_ms",
            section.timeout_ms,
            &ANSWER_MS,
            900,
        ),
    }
}

fn base_url(v: &mut Violations, key: &str, text: &str) -> Option<String> {
    let url = platform::http_url(key, text).map(Some);
    v.check(url, None)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError, ConfigFile};
    use super::*;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        toml::from_str::<ConfigFile>(text).unwrap().resolve()
    }

    #[test]
    fn what_is_given_is_taken() {
        let config = resolve(
            "[strategy.latency_threshold]\nlimit_ms = 2.5\n\
             [strategy.power_of_n]\nfanout = 3\nthreshold = 2\n\
             [strategy.node]\ncpu_percent = 70\nmemory_bytes = 4e9\npower_watts = 12\n\
             high = [\"a\"]\nlow = [\"b.dev\"]\ntype = \"light\"\nidle_watts = 5\nfull_watts = 20\n\
             model = \"forecaster\"\nforecaster_url = \"http://127.0.0.1:8081\"\n\
             [strategy.auction]\nvalue = 2\nepsilon = 0.1\neta = 1\nzeta = 0.5\nlatency_weight = 3\n\
             [strategy.external]\nurl = \"http://127.0.0.1:9000/\"\nexplore = true\ntimeout_ms = 100\n",
        );
        let strategy = config.unwrap().strategy;
        let settings = strategy.settings;
        assert_eq!(settings.latency_limit, Duration::from_micros(2500));
        assert_eq!(
            (settings.power_of_n.fanout, settings.power_of_n.threshold),
            (3, 2)
        );
        let limits = Limits {
            cpu_percent: Some(70.0),
            memory_bytes: Some(4e9),
            power_microwatts: Some(12e6),
        };
        assert_eq!(settings.node.limits, limits);
        let group = |name: &str| {
            settings
                .node
                .groups
                .get(&FunctionName::parse(name).unwrap())
        };
        assert_eq!(
            (group("a"), group("b.dev")),
            (Some(&LoadGroup::High), Some(&LoadGroup::Low))
        );
        assert_eq!(settings.node.model, UsageModel::Forecaster);
        assert_eq!(settings.node.kind, NodeType::Light);
        let auction = AuctionSettings {
            value: 2.0,
            epsilon: 0.1,
            eta: 1.0,
            zeta: 0.5,
            latency_weight: 3.0,
        };
        assert_eq!(settings.auction, auction);
        assert_eq!(
            strategy.external.url.as_deref(),
            Some("http://127.0.0.1:9000")
        );
        assert!(strategy.external.explore);
        assert_eq!(strategy.external.timeout, Duration::from_millis(100));
        assert_eq!(
            strategy.forecaster_url.as_deref(),
            Some("http://127.0.0.1:8081")
        );
        assert_eq!(strategy.estimated_power.unwrap().full_watts, 20.0);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, expected) in [
            (
                "latency_threshold.limit_ms = 0",
                "strategy.latency_threshold.limit_ms",
            ),
            ("power_of_n.fanout = 9", "the fan-out is 9"),
            ("power_of_n.threshold = 0", "the threshold is zero"),
            ("node.cpu_percent = 0", "not above zero"),
            ("node.power_watts = nan", "not above zero"),
            ("node.model = \"oracle\"", "\"oracle\" is no model"),
            ("node.model = \"lightgbm\"", "models_dir: is missing"),
            ("node.model = \"forecaster\"", "forecaster_url: is missing"),
            (
                "node.forecaster_url = \"forecaster\"",
                "strategy.node.forecaster_url",
            ),
            ("node.type = \"huge\"", "strategy.node.type"),
            (
                "node = { high = [\"f\"], low = [\"f\"] }",
                "in a group already",
            ),
            ("node.high = [\"\"]", "strategy.node.high"),
            ("node.idle_watts = 3", "give both"),
            ("node = { idle_watts = 3, full_watts = 2 }", "give both"),
            ("auction.epsilon = 0", "epsilon must be above 0"),
            ("auction.zeta = 1.5", "zeta from 0 to 1"),
            ("external.url = \"ftp://x\"", "strategy.external.url"),
            ("external.timeout_ms = 0", "strategy.external.timeout_ms"),
        ] {
            match resolve(&format!("[strategy]\n{text}\n")) {
                Err(ConfigError::Invalid(sentences)) => {
                    assert_eq!(sentences.len(), 1, "{text}: {sentences:?}");
                    assert!(sentences[0].contains(expected), "{text}: {sentences:?}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
