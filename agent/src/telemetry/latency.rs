//! Series of calls by outcome and by status, ours and OpenFaaS's, from the same histograms.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::routing::{BOUNDS, LatencySeries};

/// The latencies of a function's calls.
#[derive(Clone, Debug)]
pub struct FunctionLatency {
    /// `name.namespace`.
    pub function: String,
    /// Calls that arrived.
    pub arrived: u64,
    /// Those that ended, by how.
    pub series: Vec<LatencySeries>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ByCode {
    function_name: String,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ByOutcome {
    function_name: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFunction {
    function_name: String,
}

/// Series that were added up.
#[derive(Clone, Debug, Default)]
struct Sum {
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Sum {
    fn add(&mut self, series: &LatencySeries) {
        for (sum, count) in self.buckets.iter_mut().zip(series.buckets) {
            *sum += count;
        }
        self.seconds += series.seconds;
    }

    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn bounded(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.buckets).collect()
    }
}

fn sums<K: Ord>(
    functions: &[FunctionLatency],
    key: impl Fn(&str, &LatencySeries) -> K,
) -> BTreeMap<K, Sum> {
    let mut sums: BTreeMap<K, Sum> = BTreeMap::new();
    for function in functions {
        for series in &function.series {
            let key = key(&function.function, series);
            sums.entry(key).or_default().add(series);
        }
    }
    sums
}

fn encode_sums<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sums: &BTreeMap<L, Sum>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, sum) in sums {
        metric
            .encode_family(labels)?
            .encode_histogram::<ByFunction>(sum.seconds, sum.count(), &sum.bounded(), None)?;
    }
    Ok(())
}

/// `dfaas_call_seconds`.
#[derive(Debug)]
struct Ours(Vec<FunctionLatency>);

impl Collector for Ours {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let by_outcome = sums(&self.0, |function, series| ByOutcome {
            function_name: function.to_owned(),
            outcome: series.outcome.as_str(),
        });
        let help = "From a call's arrival to the head of its answer, by how it ended.";
        encode_sums(&mut encoder, "call_seconds", help, &by_outcome)
    }
}

/// The series of an OpenFaaS gateway, by their names there (its contract, part 6).
#[derive(Debug)]
struct OpenFaas(Vec<FunctionLatency>);

impl Collector for OpenFaas {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let by_code = sums(&self.0, |function, series| ByCode {
            function_name: function.to_owned(),
            code: series
                .code
                .map_or_else(|| "other".to_owned(), |code| code.to_string()),
        });
        let help = "Calls that clients brought and that ended, by status.";
        let mut metric =
            encoder.encode_descriptor("function_invocation", help, None, MetricType::Counter)?;
        for (labels, sum) in &by_code {
            metric
                .encode_family(labels)?
                .encode_counter::<ByFunction, u64, f64>(&sum.count(), None)?;
        }
        // Its name lacks the suffix that OpenMetrics asks of a counter.
        let help =
            "Calls that clients brought; less those that ended they are the calls in flight.";
        let name = "function_invocation_started";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Unknown)?;
        for function in &self.0 {
            let labels = ByFunction {
                function_name: function.function.clone(),
            };
            metric
                .encode_family(&labels)?
                .encode_gauge(&function.arrived)?;
        }
        let help = "From a call's arrival to the head of its answer, by status.";
        encode_sums(&mut encoder, "functions_seconds", help, &by_code)
    }
}

/// Adds the series to a registry without a prefix.
pub(super) fn register(registry: &mut Registry, functions: &[FunctionLatency]) {
    let ours = Ours(functions.to_vec());
    registry
        .sub_registry_with_prefix("dfaas")
        .register_collector(Box::new(ours));
    let theirs = OpenFaas(functions.to_vec());
    registry
        .sub_registry_with_prefix("gateway")
        .register_collector(Box::new(theirs));
}
