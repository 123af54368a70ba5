//! The last records of one thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use dfaas_protocol::standing::Standing;

use super::record::{MOST_CANDIDATES, Record, Step};

/// For so many records at most memory is kept: as many calls as are often under way at one time.
const MOST_SPARE: usize = 64;

/// The last records of one thread, which alone adds to them.
#[derive(Debug)]
pub struct Ring {
    /// How many were kept so far, those that were overwritten too.
    kept: AtomicUsize,
    /// A lock for each, so that who reads holds up nobody for longer than it takes to look at one record.
    places: Box<[Mutex<Option<Record>>]>,
    /// What of the memory of records is not in use.
    spare: Mutex<Vec<(Vec<Step>, Vec<Standing>)>>,
}

impl Ring {
    /// A ring for so many records, at least one.
    pub(super) fn new(records: usize) -> Ring {
        Ring {
            kept: AtomicUsize::new(0),
            places: (0..records.max(1)).map(|_| Mutex::default()).collect(),
            spare: Mutex::default(),
        }
    }

    /// Keeps a record in the place of the oldest, whose memory is the next one's: to free what was written so long ago and is in
    /// no cache any more costs more than to write over it.
    pub(super) fn keep(&self, record: Record) {
        let place = self.kept.fetch_add(1, Relaxed) % self.places.len();
        let oldest = self.places[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(record);
        if let Some(oldest) = oldest {
            self.reuse(oldest.steps, oldest.neighbours);
        }
    }

    /// Memory for the steps of a record and for how neighbours stood, which another one has used.
    pub(super) fn spare(&self) -> (Vec<Step>, Vec<Standing>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    fn reuse(&self, mut steps: Vec<Step>, mut neighbours: Vec<Standing>) {
        if steps.capacity() == 0 {
            return;
        }
        steps.clear();
        neighbours.clear();
        // What one call needed that was tried more often than others is not kept for ever.
        steps.shrink_to(1);
        neighbours.shrink_to(MOST_CANDIDATES);
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push((steps, neighbours));
        }
    }

    /// Shows all records that are kept, in no order.
    pub(super) fn read(&self, mut look: impl FnMut(&Record)) {
        for place in &self.places {
            if let Some(record) = &*place.lock().unwrap_or_else(PoisonError::into_inner) {
                look(record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::record::{Ending, FunctionNumber, Short};
    use super::*;
    use dfaas_protocol::Time;

    fn record(id: &str) -> Record {
        let mut record = Record::new(id.as_bytes(), FunctionNumber::nth(0), Time::ZERO, None);
        record.ended(Ending::RunHere, 200, Duration::from_millis(1));
        record
    }

    fn ids(ring: &Ring) -> Vec<String> {
        let mut ids = Vec::new();
        ring.read(|record| ids.push(record.id.to_string()));
        ids
    }

    #[test]
    fn the_oldest_makes_room() {
        let ring = Ring::new(3);
        assert_eq!(ids(&ring), Vec::<String>::new());
        for id in ["a", "b"] {
            ring.keep(record(id));
        }
        assert_eq!(ids(&ring), ["a", "b"]);
        for id in ["c", "d"] {
            ring.keep(record(id));
        }
        assert_eq!(ids(&ring), ["d", "b", "c"]);
        for n in 0..3000 {
            ring.keep(record(&n.to_string()));
        }
        let mut last = ids(&ring);
        last.sort();
        assert_eq!(last, ["2997", "2998", "2999"]);
    }

    #[test]
    fn who_reads_sees_whole_records_while_others_are_kept() {
        let ring = Arc::new(Ring::new(16));
        let keeps = {
            let ring = Arc::clone(&ring);
            std::thread::spawn(move || {
                for n in 0..20_000u32 {
                    let mut whole = record(&format!("{n:05}"));
                    whole.took = Duration::from_nanos(n.into());
                    ring.keep(whole);
                }
            })
        };
        let mut seen = 0u32;
        while !keeps.is_finished() || seen == 0 {
            ring.read(|record| {
                let n: u64 = record.id.to_string().parse().unwrap();
                assert_eq!(record.took, Duration::from_nanos(n));
                seen += 1;
            });
        }
        keeps.join().unwrap();
        let mut last = ids(&ring);
        last.sort();
        let expected: Vec<String> = (19_984..20_000).map(|n| format!("{n:05}")).collect();
        assert_eq!(last, expected);
    }

    #[test]
    fn long_ids_are_cut_and_found_by_the_whole() {
        let long = "x".repeat(500);
        let key = Short::new(long.as_bytes());
        assert_eq!(key.to_string(), "x".repeat(64));
        assert_eq!(key, record(&long).id);
        assert_ne!(key, Short::new(b"x"));
    }
}
