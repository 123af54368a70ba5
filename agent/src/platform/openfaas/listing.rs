//! The functions of a gateway, as it lists them (OpenFaaS contract, `/system/functions`).

use std::collections::BTreeMap;

use dfaas_protocol::FunctionName;
use dfaas_protocol::function::FunctionNameError;
use serde::Deserialize;

use crate::platform::DeployedFunction;

/// What a gateway lists.
#[derive(Debug, Default)]
pub struct Listing {
    /// The functions that can be used.
    pub functions: BTreeMap<FunctionName, DeployedFunction>,
    /// The entries that cannot be used, with the reason.
    pub unusable: Vec<String>,
}

impl Listing {
    /// Adds what a gateway answers for a namespace.
    ///
    /// # Errors
    /// If it is no list.
    pub fn add(&mut self, answer: &[u8], namespace: &str) -> serde_json::Result<()> {
        // A gateway without functions may answer null.
        let entries: Option<Vec<serde_json::Value>> = serde_json::from_slice(answer)?;
        for entry in entries.unwrap_or_default() {
            let name = entry["name"]
                .as_str()
                .unwrap_or("without a name")
                .to_owned();
            match FunctionStatus::deserialize(entry) {
                Ok(status) => match status.deployed(namespace) {
                    Ok(function) => {
                        self.functions.insert(function.name.clone(), function);
                    }
                    Err(error) => self.unusable.push(format!("{name:?}: {error}")),
                },
                Err(error) => self.unusable.push(format!("{name:?}: {error}")),
            }
        }
        Ok(())
    }
}

/// What we read of a function's entry. Gateways leave out what is zero or empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionStatus {
    name: String,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    replicas: Option<u64>,
    /// A gateway has it as a floating-point number.
    invocation_count: Option<f64>,
}

impl FunctionStatus {
    fn deployed(self, namespace: &str) -> Result<DeployedFunction, FunctionNameError> {
        let own = self.namespace.filter(|own| !own.is_empty());
        Ok(DeployedFunction {
            name: FunctionName::new(&self.name, own.as_deref().unwrap_or(namespace))?,
            labels: self.labels.unwrap_or_default(),
            replicas: u32::try_from(self.replicas.unwrap_or(0)).unwrap_or(u32::MAX),
            // The cast keeps to the range of the integer.
            invocations: self.invocation_count.unwrap_or(0.0) as u64,
        })
    }
}
