//! The last records of one thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use dfaas_protocol::standing::Standing;

use super::locked;
use super::record::{Brief, MOST_CANDIDATES, Record, Step};

/// Records that lie together behind one lock.
const SEGMENT: usize = 16;
/// For so many records at most memory is kept: as many calls as are often under way at one time.
const MOST_SPARE: usize = 64;

/// The last records of one thread, which alone adds to them. The memory of the oldest is in no cache any more, and a call that
/// wrote over it would wait for it. So records are added to a segment that is always the same, and copied in one go when that is full.
#[derive(Debug)]
pub(super) struct Ring {
    /// How many are shown at most.
    most: usize,
    /// The last records.
    current: Mutex<Segment>,
    /// Those before them, with a lock for each segment: who reads holds up nobody for longer than it takes to look at a few.
    full: Box<[Mutex<Segment>]>,
    /// The oldest of these, which is the next to be written over. It changes only while `current` is locked.
    oldest: AtomicUsize,
}

/// Records in the order in which they were kept.
#[derive(Debug, Default)]
struct Segment {
    calls: Vec<Call>,
    /// Those of all its calls, one call after the other.
    steps: Vec<Step>,
    neighbours: Vec<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    brief: Brief,
    /// Where its steps end among those of its segment, and the neighbours that stood.
    steps_end: usize,
    neighbours_end: usize,
}

impl Segment {
    fn add(&mut self, record: &Record) {
        self.steps.extend_from_slice(&record.steps);
        self.neighbours.extend_from_slice(&record.neighbours);
        self.calls.push(Call {
            brief: record.brief,
            steps_end: self.steps.len(),
            neighbours_end: self.neighbours.len(),
        });
    }

    fn clear(&mut self) {
        self.calls.clear();
        self.steps.clear();
        self.neighbours.clear();
        // What calls needed that were tried more often than others is not kept for ever.
        self.steps.shrink_to(SEGMENT);
        self.neighbours.shrink_to(SEGMENT * MOST_CANDIDATES);
    }

    fn copy(&mut self, other: &Segment) {
        self.clear();
        self.calls.extend_from_slice(&other.calls);
        self.steps.extend_from_slice(&other.steps);
        self.neighbours.extend_from_slice(&other.neighbours);
    }

    /// Its records, the last one first.
    fn records(&self) -> impl Iterator<Item = Kept<'_>> {
        (0..self.calls.len()).rev().map(|index| {
            let call = &self.calls[index];
            let before = index.checked_sub(1).map(|before| &self.calls[before]);
            let steps = before.map_or(0, |before| before.steps_end);
            let neighbours = before.map_or(0, |before| before.neighbours_end);
            Kept {
                brief: &call.brief,
                steps: &self.steps[steps..call.steps_end],
                neighbours: &self.neighbours[neighbours..call.neighbours_end],
            }
        })
    }
}

/// A record where it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) brief: &'a Brief,
    pub(super) steps: &'a [Step],
    neighbours: &'a [Standing],
}

impl Kept<'_> {
    pub(super) fn to_record(self) -> Record {
        Record {
            brief: *self.brief,
            steps: self.steps.to_vec(),
            neighbours: self.neighbours.to_vec(),
        }
    }
}

impl Ring {
    /// A ring that shows so many records.
    pub(super) fn new(most: usize) -> Ring {
        let full = most.div_ceil(SEGMENT);
        Ring {
            most,
            current: Mutex::default(),
            full: (0..full).map(|_| Mutex::default()).collect(),
            oldest: AtomicUsize::new(0),
        }
    }

    fn add(&self, record: &Record) {
        let mut current = locked(&self.current);
        if current.calls.len() == SEGMENT {
            let oldest = self.oldest.load(Relaxed);
            locked(&self.full[oldest]).copy(&current);
            self.oldest.store((oldest + 1) % self.full.len(), Relaxed);
            current.clear();
        }
        current.add(record);
    }

    /// Shows all records that are kept, the last one first.
    pub(super) fn read(&self, mut look: impl FnMut(Kept<'_>)) {
        let mut left = self.most;
        let mut show = |segment: &Segment| {
            segment.records().take(left).for_each(&mut look);
            left = left.saturating_sub(segment.calls.len());
        };
        let oldest = {
            let current = locked(&self.current);
            show(&current);
            self.oldest.load(Relaxed)
        };
        let (newer, older) = self.full.split_at(oldest);
        for segment in newer.iter().rev().chain(older.iter().rev()) {
            show(&locked(segment));
        }
    }
}

/// Writes the records of one thread.
#[derive(Debug)]
pub struct Recorder {
    ring: Arc<Ring>,
    /// Records without a call: what is not kept yet is written where others were written just before.
    #[expect(clippy::vec_box, reason = "a call holds its record by a pointer")]
    spare: RefCell<Vec<Box<Record>>>,
}

impl Recorder {
    pub(super) fn new(ring: Arc<Ring>) -> Recorder {
        Recorder {
            ring,
            spare: RefCell::default(),
        }
    }

    /// A record for a call that begins.
    pub(super) fn begin(&self, brief: Brief) -> Box<Record> {
        if let Some(mut record) = self.spare.borrow_mut().pop() {
            record.brief = brief;
            return record;
        }
        Box::new(Record {
            brief,
            steps: Vec::new(),
            neighbours: Vec::new(),
        })
    }

    /// Keeps what is known of a call that has ended.
    pub(super) fn keep(&self, mut record: Box<Record>) {
        self.ring.add(&record);
        record.steps.clear();
        record.neighbours.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::{CameTo, Ending, FunctionNumber, Short, What};
    use super::*;
    use dfaas_protocol::policy::Excluded;
    use dfaas_protocol::{NodeId, Time};

    fn recorder(most: usize) -> Recorder {
        Recorder::new(Arc::new(Ring::new(most)))
    }

    fn brief(id: &str) -> Brief {
        let mut brief = Brief::new(id.as_bytes(), FunctionNumber::nth(0), Time::ZERO, None);
        brief.ended(Ending::RunHere, 200, Duration::from_millis(1));
        brief
    }

    fn keep(recorder: &Recorder, id: &str) {
        recorder.keep(recorder.begin(brief(id)));
    }

    fn ids(ring: &Ring) -> Vec<String> {
        let mut ids = Vec::new();
        ring.read(|kept| ids.push(kept.brief.id.to_string()));
        ids
    }

    fn step(stood: u8) -> Step {
        Step {
            what: What::Wait,
            reason: "wait-here",
            began: Duration::ZERO,
            waited: None,
            took: Duration::ZERO,
            came_to: CameTo::End,
            here: None,
            stood,
            left_out: 0,
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        for most in [1, 3, SEGMENT, SEGMENT + 1, 100] {
            let recorder = recorder(most);
            assert_eq!(ids(&recorder.ring), Vec::<String>::new());
            for n in 0..500 {
                keep(&recorder, &n.to_string());
                let from = (n + 1usize).saturating_sub(most);
                let last: Vec<String> = (from..=n).rev().map(|n| n.to_string()).collect();
                assert_eq!(ids(&recorder.ring), last, "{n} of {most}");
            }
        }
    }

    #[test]
    fn each_record_has_its_own_steps_and_neighbours() {
        let recorder = recorder(40);
        for n in 0..100u8 {
            let mut record = recorder.begin(brief(&n.to_string()));
            for _ in 0..n % 3 {
                record.steps.push(step(n % 2));
            }
            for index in 0..n % 4 {
                let node = NodeId::from_key([index + n; 32]);
                let standing = Standing::excluded(node, Excluded::Cordoned);
                record.neighbours.push(standing);
            }
            recorder.keep(record);
        }
        let mut n = 100;
        recorder.ring.read(|kept| {
            n -= 1;
            let Record {
                brief,
                steps,
                neighbours,
            } = kept.to_record();
            assert_eq!(brief.id.to_string(), n.to_string());
            assert_eq!(steps.len(), usize::from(n % 3));
            assert!(steps.iter().all(|step| step.stood == n % 2));
            let nodes: Vec<_> = neighbours.iter().map(|standing| standing.node).collect();
            let expected = (0..n % 4).map(|index| NodeId::from_key([index + n; 32]));
            assert_eq!(nodes, expected.collect::<Vec<_>>());
        });
        assert_eq!(n, 60);
    }

    #[test]
    fn who_reads_sees_whole_records_while_others_are_kept() {
        let ring = Arc::new(Ring::new(16));
        let keeps = {
            let ring = Arc::clone(&ring);
            std::thread::spawn(move || {
                let recorder = Recorder::new(ring);
                for n in 0..20_000u32 {
                    let mut whole = brief(&format!("{n:05}"));
                    whole.took = Some(Duration::from_nanos(n.into()));
                    recorder.keep(recorder.begin(whole));
                }
            })
        };
        let mut seen = 0u32;
        while !keeps.is_finished() || seen == 0 {
            ring.read(|kept| {
                let n: u64 = kept.brief.id.to_string().parse().unwrap();
                assert_eq!(kept.brief.took, Some(Duration::from_nanos(n)));
                seen += 1;
            });
        }
        keeps.join().unwrap();
        let expected: Vec<String> = (19_984..20_000).rev().map(|n| format!("{n:05}")).collect();
        assert_eq!(ids(&ring), expected);
    }

    #[test]
    fn long_ids_are_cut_and_found_by_the_whole() {
        let long = "x".repeat(500);
        let key = Short::new(long.as_bytes());
        assert_eq!(key.to_string(), "x".repeat(64));
        assert_eq!(key, brief(&long).id);
        assert_ne!(key, Short::new(b"x"));
    }
}
