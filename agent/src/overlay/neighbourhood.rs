//! Which nodes we chose as neighbours, and when to open a substream to each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dfaas_protocol::NodeId;
use dfaas_protocol::neighbours::{ChoiceLimits, Known, choose};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;

/// After something changed, more changes are awaited for this long before we choose.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// We choose at least this often.
const PERIOD: Duration = Duration::from_secs(3);
/// Pauses between attempts to open a substream.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A substream that lived this long was no failed attempt.
const SETTLED: Duration = Duration::from_secs(10);

/// The chosen nodes.
pub(super) struct Neighbourhood {
    limits: ChoiceLimits,
    chosen: BTreeMap<NodeId, Chosen>,
    choose_at: Instant,
}

struct Chosen {
    backoff: Backoff,
    substream: Substream,
}

enum Substream {
    None {
        retry_at: Instant,
    },
    Open {
        since: Instant,
        stop: CancellationToken,
        ended: CancellationToken,
    },
}

/// A substream to open now.
pub(super) struct ToOpen {
    pub(super) node: NodeId,
    /// Cancelled when the node is not chosen any more.
    pub(super) stop: CancellationToken,
    /// To be dropped when the substream has ended.
    pub(super) ended: DropGuard,
}

impl Neighbourhood {
    pub(super) fn new(limits: ChoiceLimits, now: Instant) -> Neighbourhood {
        Neighbourhood {
            limits,
            chosen: BTreeMap::new(),
            choose_at: now,
        }
    }

    /// Something changed that may change the choice.
    pub(super) fn soon(&mut self, now: Instant) {
        self.choose_at = self.choose_at.min(now + DEBOUNCE);
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.chosen.contains_key(node)
    }

    /// Whether it is time to choose.
    pub(super) fn choice_is_due(&self, now: Instant) -> bool {
        self.choose_at <= now
    }

    /// Chooses among the candidates. The substreams to those that are not chosen any more are stopped.
    pub(super) fn choose(&mut self, now: Instant, candidates: &[(NodeId, Option<Duration>)]) {
        self.choose_at = now + PERIOD;
        let known: Vec<Known> = candidates
            .iter()
            .map(|(node, round_trip)| Known {
                node: *node,
                round_trip: *round_trip,
                chosen: self.chosen.contains_key(node),
            })
            .collect();
        let choice = choose(&known, self.limits, &mut rand::rng());
        self.chosen.retain(|node, chosen| {
            let stays = choice.contains(node);
            if let Substream::Open { stop, .. } = &chosen.substream
                && !stays
            {
                stop.cancel();
            }
            stays
        });
        for node in choice {
            self.chosen.entry(node).or_insert_with(|| Chosen {
                backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                substream: Substream::None { retry_at: now },
            });
        }
    }

    /// The chosen and connected nodes that have no substream of ours and whose pause is over.
    pub(super) fn due(
        &mut self,
        now: Instant,
        all: &CancellationToken,
        connected: impl Fn(&NodeId) -> bool,
    ) -> Vec<ToOpen> {
        let mut open = Vec::new();
        for (node, chosen) in &mut self.chosen {
            if let Substream::Open { since, ended, .. } = &chosen.substream
                && ended.is_cancelled()
            {
                if now.duration_since(*since) >= SETTLED {
                    chosen.backoff.reset();
                }
                let retry_at = now + chosen.backoff.pause();
                chosen.substream = Substream::None { retry_at };
            }
            if let Substream::None { retry_at } = chosen.substream
                && retry_at <= now
                && connected(node)
            {
                let stop = all.child_token();
                let ended = CancellationToken::new();
                open.push(ToOpen {
                    node: *node,
                    stop: stop.clone(),
                    ended: ended.clone().drop_guard(),
                });
                chosen.substream = Substream::Open {
                    since: now,
                    stop,
                    ended,
                };
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ChoiceLimits = ChoiceLimits {
        nearest: 1,
        random: 0,
    };

    fn candidate(n: u8, ms: u64) -> (NodeId, Option<Duration>) {
        (NodeId::from_key([n; 32]), Some(Duration::from_millis(ms)))
    }

    #[test]
    fn an_ended_substream_is_opened_again_after_a_pause() {
        let now = Instant::now();
        let all = CancellationToken::new();
        let mut neighbourhood = Neighbourhood::new(LIMITS, now);
        neighbourhood.choose(now, &[candidate(1, 5)]);
        let opened = neighbourhood.due(now, &all, |_| true);
        assert_eq!(opened.len(), 1);
        let later = now + Duration::from_secs(1);
        assert!(neighbourhood.due(later, &all, |_| true).is_empty());
        drop(opened);
        assert!(neighbourhood.due(later, &all, |_| true).is_empty());
        let later = later + Duration::from_secs(1);
        assert!(neighbourhood.due(later, &all, |_| false).is_empty());
        assert_eq!(neighbourhood.due(later, &all, |_| true).len(), 1);
    }

    #[test]
    fn a_node_that_is_not_chosen_any_more_is_left() {
        let now = Instant::now();
        let all = CancellationToken::new();
        let mut neighbourhood = Neighbourhood::new(LIMITS, now);
        neighbourhood.choose(now, &[candidate(1, 50)]);
        let opened = neighbourhood.due(now, &all, |_| true);
        neighbourhood.choose(now, &[candidate(1, 50), candidate(2, 1)]);
        assert!(opened[0].stop.is_cancelled());
        let next = neighbourhood.due(now, &all, |_| true);
        assert_eq!(next[0].node, NodeId::from_key([2; 32]));
    }
}
