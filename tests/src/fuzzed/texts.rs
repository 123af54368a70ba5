use std::path::Path;

use dfaas_agent::config::ConfigFile;
use dfaas_protocol::estimate::lightgbm::Model;
use dfaas_sim::scenario::Scenario;

/// A configuration: it can be used, or what is wrong is said.
///
/// # Panics
/// If it is refused without a word.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let read = ConfigFile::parse(Path::new("agent.toml"), text);
    if let Err(error) = read.and_then(ConfigFile::resolve) {
        assert!(!error.to_string().is_empty());
    }
}

/// A scenario of the simulator: it can be used, or what is wrong is said.
///
/// # Panics
/// If it is refused without a word.
pub fn scenario(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Err(error) = Scenario::parse("fuzzed", text, &[], Path::new(".")) {
        assert!(!error.to_string().is_empty());
    }
}

/// A model: every row has a prediction, found in as many steps as the trees are deep.
///
/// # Panics
/// If a prediction depends on more than the row.
pub fn lightgbm(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(model) = Model::parse(text) else {
        return;
    };
    let most = model.features().len();
    for value in [0.0, 1.0, -1e300, f64::NAN, f64::INFINITY] {
        for length in [0, most / 2, most, most + 1] {
            let row = vec![value; length];
            let predicted = model.predict(&row);
            assert_eq!(predicted.to_bits(), model.predict(&row).to_bits());
        }
    }
}
