//! Faults at single nodes, in the order in which they begin.

use std::time::Duration;

use dfaas_protocol::Time;

use super::ScenarioError;
use super::experiment::{Incident, Site, Trouble};
use super::file::{Fault, FaultSection};
use super::select::Selection;

/// The incidents that the sections mean.
pub(super) fn expand(
    sections: &[FaultSection],
    sites: &[Site],
) -> Result<Vec<Incident>, ScenarioError> {
    let named = Selection::new(sites);
    let mut incidents = Vec::new();
    for section in sections {
        let mut begin = |place: usize, what: Trouble| {
            let late = section.stagger_s * place as f64;
            let time = |seconds: f64| Time::ZERO + Duration::from_secs_f64(seconds + late);
            incidents.push(Incident {
                at: time(section.at_s),
                until: section.until_s.map(time),
                what,
            });
        };
        let mut each = |nodes: Vec<usize>, what: &dyn Fn(usize) -> Trouble| {
            for (place, node) in nodes.into_iter().enumerate() {
                begin(place, what(node));
            }
        };
        match &section.what {
            Fault::Crash { nodes } => each(named.some(nodes)?, &Trouble::Crash),
            Fault::Slow { nodes, factor } => {
                each(named.some(nodes)?, &|node| Trouble::Slow(node, *factor));
            }
            Fault::LoseMessages { nodes, share } => {
                let nodes = named.all_or(nodes.as_deref())?;
                each(nodes, &|node| Trouble::LoseMessages(node, *share));
            }
            Fault::Lie { nodes } => each(named.some(nodes)?, &Trouble::Lie),
            Fault::Cordon { nodes } => each(named.some(nodes)?, &Trouble::Cordon),
            Fault::Partition { nodes } => {
                let mut side = named.some(nodes)?;
                side.sort_unstable();
                begin(0, Trouble::Partition(side));
            }
        }
    }
    incidents.sort_by_key(|incident| incident.at);
    Ok(incidents)
}
