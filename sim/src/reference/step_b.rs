//! The steps of world B: once a minute each node shares out its rates, then refuses what is too much for it.

use super::instance_b::{FUNCTIONS, InstanceB, NodeType, Rates};
use super::models::Models;
use super::strategies_b::{self as strategies, Shares, draws_too_much, round4};

/// How a node of world B shares out what is too much for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyB {
    /// It keeps everything.
    Base,
    /// Equally among all neighbours.
    Equal,
    /// As the margins of processors, memory and power allow that the neighbours announce.
    NodeMargin,
    /// As the margins of power allow, and no node draws more than a part of its power.
    PowerSaving,
}

impl StrategyB {
    /// All of them.
    pub const ALL: [StrategyB; 4] = [
        StrategyB::Base,
        StrategyB::Equal,
        StrategyB::NodeMargin,
        StrategyB::PowerSaving,
    ];

    /// Its name in the reference's tables, without "_strategy".
    pub fn name(self) -> &'static str {
        match self {
            StrategyB::Base => "base",
            StrategyB::Equal => "equal",
            StrategyB::NodeMargin => "node_margin",
            StrategyB::PowerSaving => "power_saving",
        }
    }
}

/// Whether the reference's faults are mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Every request that a user brings arrives at exactly one node.
    Mended,
    /// As in the reference: weights are rounded and what they say truncated, so that requests vanish; node margin takes only one request
    /// back from a neighbour that refuses several; saving power takes only one off its own load for several that it gives away.
    Kept,
}

/// Requests of one function in one minute, over all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Brought by users.
    pub offered: u64,
    /// Arrived at a node, the users' own or a neighbour.
    pub received: u64,
    /// Refused by the node that they arrived at.
    pub refused: u64,
    /// Sent to a neighbour.
    pub forwarded: u64,
}

/// One minute of all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// The requests of each function.
    pub requests: Rates<Requests>,
    /// The power of each node in microwatts, with what it serves.
    pub power: Vec<f64>,
}

/// The minutes of a run.
pub type MinutesB = Vec<Minute>;

/// What an overloaded node refuses at a time, in percent of what it has left.
const REFUSED_AT_ONCE: u64 = 5;

/// Runs a strategy on all nodes.
pub fn run(instance: &InstanceB, models: &Models, strategy: StrategyB, faults: Faults) -> MinutesB {
    let minutes = instance.minutes.iter();
    minutes
        .map(|rates| {
            let decision = strategies::Minute {
                instance,
                models,
                rates,
                faults,
            };
            serve(&decision, strategy, &decision.shares(strategy))
        })
        .collect()
}

fn serve(decision: &strategies::Minute<'_>, strategy: StrategyB, shares: &[Shares]) -> Minute {
    let nodes = decision.rates.len();
    let mut minute = Minute {
        requests: [Requests::default(); FUNCTIONS.len()],
        power: Vec::with_capacity(nodes),
    };
    let mut received = vec![[0; FUNCTIONS.len()]; nodes];
    for (node, shares) in shares.iter().enumerate() {
        let neighbours = &decision.instance.neighbours[node];
        for (function, requests) in minute.requests.iter_mut().enumerate() {
            let offered = decision.rates[node][function].unwrap_or(0);
            let arriving = |share: u64| match decision.faults {
                Faults::Mended => share,
                Faults::Kept => truncated(share, offered),
            };
            requests.offered += offered;
            received[node][function] += arriving(shares.kept[function]);
            for (neighbour, sent) in neighbours.iter().zip(&shares.sent) {
                let sent = arriving(sent[function]);
                received[*neighbour][function] += sent;
                requests.forwarded += sent;
            }
        }
    }
    for (node, mut rates) in received.into_iter().enumerate() {
        let node_type = decision.instance.types[node];
        for (function, requests) in minute.requests.iter_mut().enumerate() {
            requests.received += rates[function];
            if decision.rates[node][function].is_none() {
                requests.refused += rates[function];
                rates[function] = 0;
            }
        }
        let refused = refuse(decision.models, node_type, strategy, &mut rates);
        for (requests, refused) in minute.requests.iter_mut().zip(refused) {
            requests.refused += refused;
        }
        minute.power.push(decision.models.power(node_type, &rates));
    }
    minute
}

/// Takes away what is too much for such a node, and returns how much of each function that was.
fn refuse(
    models: &Models,
    node_type: NodeType,
    strategy: StrategyB,
    rates: &mut Rates<u64>,
) -> Rates<u64> {
    let arrived = *rates;
    while rates.iter().any(|rate| *rate > 0)
        && (models.is_overloaded(node_type, rates)
            || strategy == StrategyB::PowerSaving && draws_too_much(models, node_type, rates))
    {
        let part = |percent| rates.map(|rate| hundredths_of(rate, percent));
        let mut percent = REFUSED_AT_ONCE;
        let mut refused = part(percent);
        // All of something is refused at last, and that is no longer nothing.
        while refused == [0; FUNCTIONS.len()] {
            percent += 1;
            refused = part(percent);
        }
        for (rate, refused) in rates.iter_mut().zip(refused) {
            *rate -= refused;
        }
    }
    std::array::from_fn(|function| arrived[function] - rates[function])
}

/// So many hundredths of a number, rounded, and halves to the even side.
fn hundredths_of(number: u64, percent: u64) -> u64 {
    let (whole, rest) = (number * percent / 100, number * percent % 100);
    whole + u64::from(rest > 50 || rest == 50 && whole % 2 == 1)
}

/// What is left of a share after it was made a weight of four decimals and the weight a number of requests again.
fn truncated(share: u64, of: u64) -> u64 {
    if of == 0 {
        0
    } else {
        (round4(share as f64 / of as f64) * of as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::models::ModelTexts;

    /// A model of one tree: `low` while the rate of the group of low usage is at most `threshold`, else `high`.
    fn model(objective: &str, threshold: f64, low: f64, high: f64) -> String {
        format!(
            "tree\nversion=v4\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective={objective}\n\
             feature_names=a b c d\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nthreshold={threshold}\n\
             decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value={low} {high}\nend of trees\n"
        )
    }

    /// A light node is overloaded above a rate of 100, and draws half of its power up to 50 and too much above.
    fn models() -> Models {
        let inputs = r#""features_scaler": {"scale_": [1, 1, 1, 1], "min_": [0, 0, 0, 0]}"#;
        let output = r#""target_scaler": {"scale_": [1], "min_": [0]}"#;
        let regression = format!("{{{inputs}, {output}}}");
        Models::parse(&ModelTexts {
            overloaded: model("binary sigmoid:1", 100.0, -1.0, 1.0),
            cpu: model("regression", 0.0, 75.0, 75.0),
            ram: model("regression", 0.0, 2.05e9, 2.05e9),
            power: model("regression", 50.0, 0.35e6, 0.8e6),
            scalers: format!(
                r#"{{"feature_order": ["rate_group_HIGH_USAGE", "rate_group_LOW_USAGE", "rate_group_MEDIUM_USAGE",
                    "node_type"], "overloaded_node": {{{inputs}}}, "cpu_usage_node": {regression},
                    "ram_usage_node": {regression}, "power_usage_node": {regression}}}"#
            ),
        })
        .unwrap()
    }

    /// A row of light nodes with those rates of `env`.
    fn row(rates: &[Option<u64>]) -> InstanceB {
        let count = rates.len();
        InstanceB {
            types: vec![NodeType::Light; count],
            neighbours: (0..count)
                .map(|node| (0..count).filter(|n| n.abs_diff(node) == 1).collect())
                .collect(),
            minutes: vec![
                rates
                    .iter()
                    .map(|rate| [None, None, *rate, None, None, None])
                    .collect(),
            ],
        }
    }

    fn env(instance: &InstanceB, strategy: StrategyB, faults: Faults) -> Requests {
        run(instance, &models(), strategy, faults)[0].requests[2]
    }

    #[test]
    fn base_refuses_a_twentieth_at_a_time() {
        // 200, 190, 180 (of 9.5 rounded to the even 10), 171, 162, 154, 146, 139, 132, 125, 119, 113, 107, 102, 97.
        let requests = env(
            &row(&[Some(200), Some(10)]),
            StrategyB::Base,
            Faults::Mended,
        );
        let expected = Requests {
            offered: 210,
            received: 210,
            refused: 103,
            forwarded: 0,
        };
        assert_eq!(requests, expected);
    }

    #[test]
    fn equal_gives_away_what_is_too_much_whatever_the_neighbour_has() {
        // Two at a time from 200 to 100. The neighbour then has 110, and refuses 6 and 5.
        let requests = env(
            &row(&[Some(200), Some(10)]),
            StrategyB::Equal,
            Faults::Mended,
        );
        assert_eq!((requests.forwarded, requests.refused), (100, 11));
        // The neighbour lacks the function.
        let requests = env(&row(&[Some(200), None]), StrategyB::Equal, Faults::Mended);
        assert_eq!((requests.forwarded, requests.refused), (100, 100));
        // There is no neighbour: 103 are refused as with base.
        let requests = env(&row(&[Some(200)]), StrategyB::Equal, Faults::Mended);
        assert_eq!((requests.forwarded, requests.refused), (0, 103));
    }

    #[test]
    fn node_margin_stops_where_a_neighbour_has_used_up_its_margin() {
        // The middle uses half of everything, so it leaves 25 points to each neighbour; above a rate of 50 it would use 100.
        // It gets 40 of the first, two at a time. Of the 160 that are left the first refuses all above 96.
        let world = row(&[Some(200), Some(10), Some(0)]);
        let requests = env(&world, StrategyB::NodeMargin, Faults::Mended);
        assert_eq!((requests.offered, requests.received), (210, 210));
        assert_eq!((requests.forwarded, requests.refused), (40, 64));
        // Of the two that it refused one is taken back, the other arrives though no user brought it.
        let requests = env(&world, StrategyB::NodeMargin, Faults::Kept);
        assert_eq!((requests.forwarded, requests.received), (41, 211));
    }

    #[test]
    fn saving_power_refuses_down_to_a_part_of_it() {
        // 40 are given away likewise; of the 160 left 48 stay.
        let world = row(&[Some(200), Some(10), Some(0)]);
        let run = run(&world, &models(), StrategyB::PowerSaving, Faults::Mended);
        let requests = run[0].requests[2];
        assert_eq!((requests.forwarded, requests.refused), (40, 112));
        assert_eq!(run[0].power, [0.35e6; 3]);
    }

    #[test]
    fn truncation_loses_requests() {
        // Of 3 one is a weight of 0.3333, which is 0.9999 of a request.
        assert_eq!(
            (truncated(1, 3), truncated(2, 3), truncated(3, 3)),
            (0, 2, 3)
        );
        assert_eq!(truncated(0, 0), 0);
    }
}
