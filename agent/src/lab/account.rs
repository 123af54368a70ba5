//! From what clients and agents saw to the simulator's report.

use std::collections::BTreeMap;

use anyhow::ensure;
use dfaas_protocol::strategy::StrategyName;
use dfaas_protocol::{NodeId, Time};
use dfaas_sim::policy::Policy;
use dfaas_sim::report::{Ledger, Report};
use dfaas_sim::scenario::{Experiment, Trouble};

use super::load::{End, Outcome};
use super::site::Counted;

/// Why a call is refused whose node is gone, as in the simulator.
const NODE_DOWN: &str = "node-down";
/// Why the others are: agents do not tell their clients more.
const REFUSED: &str = "refused";

/// What the agents had counted at a time.
pub(super) struct Sample {
    pub(super) at: Time,
    /// By node.
    pub(super) counted: Vec<Counted>,
}

/// All that is known of a run.
pub(super) struct Account<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) strategy: StrategyName,
    /// Who the nodes are.
    pub(super) nodes: Vec<NodeId>,
    pub(super) outcomes: Vec<Outcome>,
    /// The first was taken before the first call, and the last after the last answer.
    pub(super) samples: Vec<Sample>,
}

/// An entry of the ledger.
enum Entry<'a> {
    Offered(&'a Outcome),
    Ended(&'a Outcome),
    Counted(usize),
}

impl Account<'_> {
    /// The report.
    ///
    /// # Errors
    /// If what the agents counted does not fit what the clients saw.
    pub(super) fn close(self) -> anyhow::Result<Report> {
        self.check()?;
        let mut entries: Vec<(Time, Entry<'_>)> = Vec::new();
        for outcome in &self.outcomes {
            entries.push((outcome.due, Entry::Offered(outcome)));
            entries.push((outcome.ended, Entry::Ended(outcome)));
        }
        let samples = self.samples.iter().enumerate();
        entries.extend(samples.map(|(index, sample)| (sample.at, Entry::Counted(index))));
        entries.sort_by_key(|(time, _)| *time);
        let places: BTreeMap<NodeId, usize> = self.nodes.iter().copied().zip(0..).collect();
        let ended = entries.last().map_or(Time::ZERO, |(time, _)| *time);
        let events = entries.len() as u64;
        let mut ledger = Ledger::new(self.experiment);
        for (now, entry) in entries {
            match entry {
                Entry::Offered(outcome) => ledger.offer(outcome.node, outcome.function, now),
                Entry::Ended(outcome) => self.end(&mut ledger, &places, outcome),
                Entry::Counted(index) => self.count(&mut ledger, index),
            }
        }
        // A forward that did not succeed and that nobody refused has reached nobody.
        let refused = self.in_all(|c| c.calls.refused_to_peers);
        let failed = self.in_all(|c| c.calls.forwards_refused);
        for _ in 0..failed.saturating_sub(refused) {
            ledger.unreached();
        }
        let policy = Policy::Strategy(self.strategy);
        Ok(ledger.close(self.experiment, policy, ended, events))
    }

    fn end(&self, ledger: &mut Ledger, places: &BTreeMap<NodeId, usize>, outcome: &Outcome) {
        let (node, now) = (outcome.node, outcome.ended);
        match &outcome.end {
            End::Served { by, ran } => {
                let at = by.and_then(|by| places.get(&by)).copied();
                let ran_at = at.unwrap_or(node);
                let speed = self.experiment.nodes[ran_at].speed;
                ledger.busy(ran_at, ran.unwrap_or(outcome.service / speed));
                ledger.ran(ran_at);
                let of = (node, outcome.function);
                ledger.serve(of, now.since(outcome.due), at.is_some(), now);
            }
            End::Refused => ledger.refuse(node, REFUSED, now),
            End::NodeDown => ledger.refuse(node, NODE_DOWN, now),
            End::Lost(_) => ledger.lose(node, now),
        }
    }

    /// What all agents counted from the first sample to the last.
    fn in_all(&self, of: fn(&Counted) -> u64) -> u64 {
        let at = |sample: &Sample| sample.counted.iter().map(of).sum::<u64>();
        match self.samples.as_slice() {
            [first, .., last] => at(last).saturating_sub(at(first)),
            _ => 0,
        }
    }

    /// What was counted between the sample before this one and this.
    fn count(&self, ledger: &mut Ledger, index: usize) {
        let Some(before) = index.checked_sub(1) else {
            return;
        };
        let sample = &self.samples[index];
        for (node, counted) in sample.counted.iter().enumerate() {
            let earlier = self.samples[before].counted[node];
            let grown = |of: fn(&Counted) -> u64| of(counted).saturating_sub(of(&earlier));
            for _ in 0..grown(|c| c.calls.forwarded + c.calls.forwards_refused) {
                ledger.forward(node, sample.at);
            }
            for _ in 0..grown(|c| c.calls.refused_to_peers) {
                ledger.peer_refusal(node, sample.at);
            }
            let messages = grown(|c| c.messages);
            let bytes = grown(|c| c.message_bytes);
            for message in 0..messages {
                let rest = u64::from(message < bytes % messages);
                ledger.message(node, (bytes / messages + rest) as u32);
            }
        }
    }

    /// Where no call's way ends in between, agents and clients must have seen the same.
    fn check(&self) -> anyhow::Result<()> {
        let gone = |outcome: &&Outcome| matches!(outcome.end, End::Lost(_) | End::NodeDown);
        let lost: Vec<&Outcome> = self.outcomes.iter().filter(gone).collect();
        for outcome in lost.iter().take(3) {
            if let End::Lost(why) = &outcome.end {
                eprintln!("a call was lost: {why}");
            }
        }
        let mut faults = self.experiment.faults.iter();
        let ends_calls = |what: &Trouble| matches!(what, Trouble::Crash(_) | Trouble::Partition(_));
        if faults.any(|fault| ends_calls(&fault.what)) || !lost.is_empty() {
            return Ok(());
        }
        let arrived = self.in_all(|c| c.calls.arrived);
        let executed = self.in_all(|c| c.calls.run_here + c.calls.run_for_peers);
        let sent = self.outcomes.len() as u64;
        let served = self
            .outcomes
            .iter()
            .filter(|o| matches!(o.end, End::Served { .. }));
        let served = served.count() as u64;
        ensure!(
            arrived == sent && executed == served,
            "clients sent {sent} calls and {served} were served, but the agents took in {arrived} and ran {executed}"
        );
        Ok(())
    }
}
