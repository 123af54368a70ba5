//! Gates under whatever interleavings threads find: nobody is lost, and nobody sleeps beside a free slot. In these tests a
//! thread may be held up after each step of the counts, as two steps follow one another too closely otherwise.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Entry, Freed, Gate};
use crate::node_slots::NodeSlots;
use crate::policy::Priority;
use crate::queue::Queue;
use crate::{Capacity, Headroom, Slots, Time};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Holds a thread up now and then.
pub(crate) fn hold_up() {
    let steps = STEPS
        .get()
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    STEPS.set(steps);
    if (steps >> 33).is_multiple_of(3) {
        std::thread::yield_now();
    }
}

fn slots(n: u32) -> Capacity {
    Capacity::Slots(Slots::new(n).unwrap())
}

/// A node as a driver with threads has it: those who wait sleep until they are told.
struct Node {
    gates: Vec<Arc<Gate>>,
    /// Each with its gate's place and a channel to wake it by.
    queue: Mutex<Queue<(usize, SyncSender<()>)>>,
    inside: Vec<AtomicU32>,
    all: AtomicU32,
}

impl Node {
    fn new(gates: Vec<Gate>) -> Node {
        Node {
            inside: gates.iter().map(|_| AtomicU32::new(0)).collect(),
            gates: gates.into_iter().map(Arc::new).collect(),
            queue: Mutex::default(),
            all: AtomicU32::new(0),
        }
    }

    /// Starts the next one. Whether there was one.
    fn next(&self, queue: &mut Queue<(usize, SyncSender<()>)>) -> bool {
        let next = queue.next(Time::ZERO, |(gate, _)| self.gates[*gate].resume(Time::ZERO));
        let Some(((_, wake), in_time)) = next else {
            return false;
        };
        assert!(in_time);
        wake.send(()).unwrap();
        true
    }

    /// One call at that gate; `leaves` if it does not wait. Whether it ran.
    fn call(&self, at: usize, priority: Priority, leaves: bool, most: [u32; 2]) -> Option<bool> {
        let gate = &self.gates[at];
        match gate.enter(Time::ZERO) {
            Entry::Run => {}
            Entry::Full => return None,
            Entry::Wait => {
                let (wake, woken) = sync_channel(1);
                let mut queue = self.queue.lock().unwrap();
                let place = queue.push(priority, None, (at, wake));
                if gate.is_open() {
                    while self.next(&mut queue) {}
                }
                if leaves && queue.leave(place).is_some() {
                    gate.leave();
                    return Some(false);
                }
                drop(queue);
                let patience = Duration::from_secs(30);
                assert!(woken.recv_timeout(patience).is_ok(), "sleeps for ever");
            }
        }
        self.run(at, most);
        Some(true)
    }

    /// Runs a call that was started at that gate, as one of so many there and so many in all.
    fn run(&self, at: usize, [own, all]: [u32; 2]) {
        let more = |inside: &AtomicU32| inside.fetch_add(1, SeqCst) + 1;
        assert!(more(&self.inside[at]) <= own && more(&self.all) <= all);
        std::thread::yield_now();
        self.inside[at].fetch_sub(1, SeqCst);
        self.all.fetch_sub(1, SeqCst);
        self.end(at);
    }

    fn end(&self, at: usize) {
        if self.gates[at].end() == Freed::ForNext {
            let mut queue = self.queue.lock().unwrap();
            self.next(&mut queue);
            self.gates[at].settle();
            while self.next(&mut queue) {}
        }
    }
}

#[test]
fn threads_conserve_the_counts() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 5_000;
    const SLOTS: u32 = 2;
    let node = Node::new(vec![Gate::new(slots(SLOTS), 3)]);
    let [ran, left, full] = [const { AtomicU64::new(0) }; 3];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (node, ran, left, full) = (&node, &ran, &left, &full);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let priority = Priority::new((call % 10) as u8).unwrap();
                    let leaves = (call + thread) % 3 == 0;
                    let count = match node.call(0, priority, leaves, [SLOTS; 2]) {
                        Some(true) => ran,
                        Some(false) => left,
                        None => full,
                    };
                    count.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let [ran, left, full] = [ran, left, full].map(AtomicU64::into_inner);
    assert_eq!(ran + left + full, THREADS * CALLS);
    assert!(
        ran > 0 && left > 0 && full > 0,
        "{ran} ran, {left} left, {full} found it full"
    );
    let size = SLOTS;
    let idle = Headroom {
        free: size as i32,
        size,
    };
    assert_eq!(node.gates[0].headroom(Time::ZERO), idle);
}

#[test]
fn threads_lose_nobody_while_the_slots_change() {
    const THREADS: u64 = 6;
    const CALLS: u64 = 4_000;
    const MOST: u32 = 5;
    let node = Node::new(vec![Gate::new(slots(MOST), 4)]);
    let [ran, full, ended] = [const { AtomicU64::new(0) }; 3];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if ended.load(SeqCst) == THREADS {
                    break;
                }
                node.gates[0].set_slots(Slots::new(n % MOST + 1).unwrap());
                let mut queue = node.queue.lock().unwrap();
                while node.next(&mut queue) {}
                drop(queue);
                std::thread::yield_now();
            }
        });
        for _ in 0..THREADS {
            let (node, ran, full, ended) = (&node, &ran, &full, &ended);
            scope.spawn(move || {
                for _ in 0..CALLS {
                    let ended = node.call(0, Priority::default(), false, [MOST; 2]);
                    let count = if ended.is_some() { ran } else { full };
                    count.fetch_add(1, SeqCst);
                }
                ended.fetch_add(1, SeqCst);
            });
        }
    });
    let [ran, full] = [ran, full].map(AtomicU64::into_inner);
    assert_eq!(ran + full, THREADS * CALLS);
    assert!(ran > 0, "{ran} ran, {full} found it full");
    assert_eq!(node.gates[0].running(), 0);
}

/// Rounds of a few calls each. Whoever sleeps beside a free slot is found at the end of its round, where nobody else comes
/// whose end would wake it.
#[test]
fn nobody_sleeps_beside_a_free_slot_of_a_node_that_functions_share() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 4_000;
    // A node with one slot, with fewer than its functions have, and with more than one of them has.
    for (slots_of_node, own) in [(1, [1, 1, 1]), (2, [1, 1, 2]), (3, [1, 2, 3])] {
        let shared = Arc::new(NodeSlots::new(Slots::new(slots_of_node).unwrap()));
        let gates = own.map(|n| Gate::new(slots(n), 2).sharing(Arc::clone(&shared)));
        let node = Node::new(gates.into());
        let [ran, left, full, started, arrived] = [const { AtomicU64::new(0) }; 5];
        let (most, failed) = (AtomicU32::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (node, shared, most, failed) = (&node, &shared, &most, &failed);
                let (ran, left, full, started) = (&ran, &left, &full, &started);
                let arrived = &arrived;
                scope.spawn(move || {
                    let told = Told(failed);
                    let mut random = ChaCha8Rng::seed_from_u64(thread);
                    for round in 1..=ROUNDS {
                        most.fetch_max(shared.running(), SeqCst);
                        let at = random.random_range(0..3);
                        let limits = [own[at], slots_of_node];
                        // One in two would go elsewhere if it cannot start here, as strategies do: it wakes nobody.
                        let count = if random.random() {
                            if node.gates[at].start(Time::ZERO) {
                                node.run(at, limits);
                                started
                            } else {
                                full
                            }
                        } else {
                            let priority = Priority::new(random.random_range(0..10)).unwrap();
                            match node.call(at, priority, random.random_range(0..7) == 0, limits) {
                                Some(true) => ran,
                                Some(false) => left,
                                None => full,
                            }
                        };
                        count.fetch_add(1, SeqCst);
                        arrived.fetch_add(1, SeqCst);
                        while arrived.load(SeqCst) < round * THREADS {
                            if failed.load(SeqCst) {
                                return;
                            }
                            std::thread::yield_now();
                        }
                    }
                    std::mem::forget(told);
                });
            }
        });
        let sums = [ran, left, full, started].map(AtomicU64::into_inner);
        assert_eq!(sums.iter().sum::<u64>(), THREADS * ROUNDS);
        assert!(sums.iter().all(|n| *n > 0), "{sums:?}");
        assert!(most.into_inner() <= slots_of_node);
        let counts = (shared.running(), shared.waiting(), shared.free());
        assert_eq!(counts, (0, 0, slots_of_node));
        assert!(node.gates.iter().all(|gate| gate.running() == 0));
        assert!(node.queue.lock().unwrap().is_empty());
    }
}

/// Tells the other threads if this one panics.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
