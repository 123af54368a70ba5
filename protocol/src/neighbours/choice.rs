//! Which of the known peers to have as neighbours: the nearest by round trip, and a few at random.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::NodeId;

/// How many neighbours a node looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceLimits {
    /// The nearest ones.
    pub nearest: usize,
    /// Those taken at random beside them, so that the graph of neighbours does not fall apart into near groups.
    pub random: usize,
}

/// A peer that could be a neighbour.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Who.
    pub node: NodeId,
    /// The round trip, once one has been measured.
    pub round_trip: Option<Duration>,
    /// Whether it is a neighbour already.
    pub chosen: bool,
}

/// A newcomer must be nearer than a neighbour by this factor to take its place, so that noise moves nobody.
const STAY: f64 = 0.8;

/// Chooses neighbours among the known peers. Those that are neighbours already stay in preference to equally good ones;
/// peers with no measured round trip count as far.
pub fn choose(known: &[Known], limits: ChoiceLimits, rng: &mut dyn Rng) -> BTreeSet<NodeId> {
    let mut by_distance: Vec<(f64, NodeId, bool)> = known
        .iter()
        .map(|peer| {
            let seconds = peer.round_trip.map_or(f64::MAX, |d| d.as_secs_f64());
            let weight = if peer.chosen { STAY } else { 1.0 };
            (seconds * weight, peer.node, peer.chosen)
        })
        .collect();
    by_distance.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let rest = by_distance.split_off(limits.nearest.min(by_distance.len()));
    let mut chosen: BTreeSet<NodeId> = by_distance.into_iter().map(|(_, node, _)| node).collect();

    let (stay, mut others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, _, chosen)| *chosen);
    let mut random: Vec<NodeId> = stay.into_iter().map(|(_, node, _)| node).collect();
    random.truncate(limits.random);
    while random.len() < limits.random && !others.is_empty() {
        let index = rng.random_range(0..others.len());
        random.push(others.swap_remove(index).1);
    }
    chosen.extend(random);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn known(n: u8, ms: Option<u64>, chosen: bool) -> Known {
        Known {
            node: NodeId::from_key([n; 32]),
            round_trip: ms.map(Duration::from_millis),
            chosen,
        }
    }

    fn chosen(known: &[Known], nearest: usize, random: usize) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        choose(known, ChoiceLimits { nearest, random }, &mut rng)
            .iter()
            .map(|n| n.key()[0])
            .collect()
    }

    #[test]
    fn takes_the_nearest_and_some_others() {
        let peers: Vec<Known> = (1..=20)
            .map(|n| known(n, Some(u64::from(n)), false))
            .collect();
        let set = chosen(&peers, 6, 2);
        assert_eq!(set.len(), 8);
        assert_eq!(set[..6], [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn takes_all_where_there_are_few() {
        let peers = [known(1, None, false), known(2, Some(5), false)];
        assert_eq!(chosen(&peers, 6, 2), [1, 2]);
        assert_eq!(chosen(&peers, 1, 0), [2]);
    }

    #[test]
    fn noise_moves_nobody_and_a_much_nearer_peer_does() {
        let peers = [known(1, Some(10), true), known(2, Some(9), false)];
        assert_eq!(chosen(&peers, 1, 0), [1]);
        let peers = [known(1, Some(10), true), known(2, Some(5), false)];
        assert_eq!(chosen(&peers, 1, 0), [2]);
    }

    #[test]
    fn random_ones_stay() {
        let mut peers: Vec<Known> = (1..=20)
            .map(|n| known(n, Some(u64::from(n)), false))
            .collect();
        peers[18].chosen = true;
        assert!(chosen(&peers, 2, 1).contains(&19));
    }
}
