//! Gates under whatever interleavings proptest and threads find.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dfaas_protocol::gate::{Entry, Freed, Gate};
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::policy::Priority;
use dfaas_protocol::queue::Queue;
use dfaas_protocol::{Capacity, Headroom, Slots, Time};
use proptest::prelude::*;

use crate::site::{rate, slots};

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Enter,
    End,
    Leave,
    Resize(u32),
    Refused,
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Start),
        4 => Just(Step::Enter),
        3 => Just(Step::End),
        1 => Just(Step::Leave),
        1 => (1..9u32).prop_map(Step::Resize),
        1 => Just(Step::Refused),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn slots_and_queue_are_never_exceeded_and_the_accounts_balance(
        size in prop_oneof![1..6u32, Just(1_000_000)],
        queue in prop_oneof![0..6u32, Just(u32::MAX)],
        steps in any_steps(),
    ) {
        let mut size = size;
        let gate = Gate::new(slots(size), queue);
        let (mut running, mut waiting) = (0u32, 0u32);
        for step in steps {
            let before = running;
            let free = waiting == 0 && running < size;
            match step {
                Step::Start => {
                    prop_assert_eq!(gate.start(Time::ZERO), free);
                    running += u32::from(free);
                }
                Step::Enter if free => {
                    prop_assert_eq!(gate.enter(Time::ZERO), Entry::Run);
                    running += 1;
                }
                Step::Enter if waiting < queue => {
                    prop_assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
                    waiting += 1;
                }
                Step::Enter => prop_assert_eq!(gate.enter(Time::ZERO), Entry::Full),
                Step::End if waiting > 0 && running <= size && running > 0 => {
                    prop_assert_eq!(gate.end(), Freed::ForNext);
                    prop_assert!(!gate.start(Time::ZERO), "overtakes who waits");
                    prop_assert!(gate.resume(Time::ZERO));
                    gate.settle();
                    waiting -= 1;
                }
                Step::End if running > 0 => {
                    prop_assert_eq!(gate.end(), Freed::Free);
                    running -= 1;
                }
                Step::End => {}
                Step::Leave => {
                    gate.leave();
                    waiting = waiting.saturating_sub(1);
                }
                Step::Resize(to) => {
                    let starting = waiting.min(to.saturating_sub(running));
                    gate.set_slots(Slots::new(to).unwrap());
                    for _ in 0..starting {
                        prop_assert!(gate.resume(Time::ZERO));
                    }
                    prop_assert!(!gate.resume(Time::ZERO));
                    size = to;
                    running += starting;
                    waiting -= starting;
                }
                Step::Refused => {
                    gate.refused_by_platform();
                    size = running.saturating_sub(1).clamp(1, size);
                }
            }
            prop_assert!(waiting <= queue);
            prop_assert!(running <= size.max(before), "one started without a slot");
            prop_assert!(waiting == 0 || running >= size, "waits beside a free slot");
            prop_assert_eq!(gate.capacity(), slots(size));
            prop_assert_eq!(gate.running(), running);
            let free = size as i32 - running as i32 - waiting as i32;
            prop_assert_eq!(gate.headroom(Time::ZERO), Headroom { free, size });
        }
        let mut ran = 0;
        while gate.running() > 0 {
            if gate.end() == Freed::ForNext {
                prop_assert!(gate.resume(Time::ZERO));
            }
            ran += 1;
        }
        prop_assert_eq!(ran, running + waiting, "somebody was lost");
        prop_assert_eq!(gate.headroom(Time::ZERO), Headroom { free: size as i32, size });
    }

    #[test]
    fn a_rate_keeps_its_pace_and_its_queue(
        per_second in prop_oneof![Just(1e-5), Just(1e6), 0.1..1000.0],
        queue in 0..6u32,
        steps in proptest::collection::vec((any::<bool>(), 0..50_000_000u64), 1..200),
    ) {
        let gate = Gate::new(Capacity::Rate(rate(per_second)), queue);
        let burst = gate.headroom(Time::ZERO).size;
        let mut now = Time::ZERO;
        let (mut taken, mut waiting) = (0u32, 0u32);
        for (waits, nanos) in steps {
            now = now + Duration::from_nanos(nanos);
            while gate.resume(now) {
                waiting -= 1;
                taken += 1;
            }
            if waits {
                match gate.enter(now) {
                    Entry::Run => taken += 1,
                    Entry::Wait => {
                        waiting += 1;
                        prop_assert!(gate.next_token(now, || 0) > Some(now));
                    }
                    Entry::Full => prop_assert_eq!(waiting, queue),
                }
            } else if gate.start(now) {
                prop_assert_eq!(waiting, 0);
                taken += 1;
            }
            let free = gate.headroom(now).free;
            prop_assert!(waiting == 0 || free == -(waiting as i32), "{} for {}", free, waiting);
            prop_assert_eq!(gate.running(), taken);
            // Half a nanosecond of rounding in each interval; who waited may be a burst late.
            let seconds = now.since(Time::ZERO).as_secs_f64();
            let most = f64::from(2 * burst) + seconds * per_second * 1.001 + 1e-6;
            prop_assert!(f64::from(taken) <= most, "{} of {}", taken, most);
        }
    }

    #[test]
    fn at_the_end_of_time_nothing_overflows(
        nanos in prop_oneof![Just(u64::MAX), u64::MAX - 1_000_000_000..=u64::MAX],
        per_second in prop_oneof![Just(1e-5), Just(1e6), 0.1..1000.0],
        queue in prop_oneof![0..6u32, Just(u32::MAX)],
    ) {
        let gate = Gate::new(Capacity::Rate(rate(per_second)), queue);
        for now in [0, nanos, 0, nanos].map(Time::from_nanos) {
            let size = gate.headroom(now).size;
            prop_assert!(i64::from(gate.headroom(now).free) <= i64::from(size));
            prop_assert!(gate.next_token(now, || 3) >= Some(now));
            match gate.enter(now) {
                Entry::Run => prop_assert_eq!(gate.end(), Freed::Free),
                Entry::Wait => gate.leave(),
                Entry::Full => prop_assert_eq!(queue, 0),
            }
        }
        prop_assert_eq!(gate.running(), 0);
    }
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
                while self.next(&mut queue) {}
                if leaves && queue.leave(place).is_some() {
                    gate.leave();
                    return Some(false);
                }
                drop(queue);
                let patience = Duration::from_secs(60);
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

#[test]
fn nobody_sleeps_beside_a_free_slot_of_a_node_that_functions_share() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 4_000;
    // A node with one slot, with fewer than its functions have, and with more than one of them has.
    for (slots_of_node, own) in [(1, [1, 1, 1]), (2, [1, 2, 2]), (3, [1, 2, 3])] {
        let shared = Arc::new(NodeSlots::new(Slots::new(slots_of_node).unwrap()));
        let gates = own.map(|n| Gate::new(slots(n), 3).sharing(Arc::clone(&shared)));
        let node = Node::new(gates.into());
        let [ran, left, full, started] = [const { AtomicU64::new(0) }; 4];
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (node, shared, most) = (&node, &shared, &most);
                let (ran, left, full, started) = (&ran, &left, &full, &started);
                scope.spawn(move || {
                    for call in 0..CALLS {
                        let at = ((call + thread) % 3) as usize;
                        most.fetch_max(shared.running(), SeqCst);
                        // One that would go elsewhere if it cannot start here, as strategies do: it wakes nobody.
                        if call % 4 == 0 {
                            if node.gates[at].start(Time::ZERO) {
                                started.fetch_add(1, SeqCst);
                                node.run(at, [own[at], slots_of_node]);
                            } else {
                                full.fetch_add(1, SeqCst);
                            }
                            continue;
                        }
                        let priority = Priority::new((call % 10) as u8).unwrap();
                        let limits = [own[at], slots_of_node];
                        let count = match node.call(at, priority, call % 7 == 0, limits) {
                            Some(true) => ran,
                            Some(false) => left,
                            None => full,
                        };
                        count.fetch_add(1, SeqCst);
                    }
                });
            }
        });
        let sums = [ran, left, full, started].map(AtomicU64::into_inner);
        assert_eq!(sums.iter().sum::<u64>(), THREADS * CALLS);
        assert!(sums.iter().all(|n| *n > 0), "{sums:?}");
        assert!(most.into_inner() <= slots_of_node);
        let counts = (shared.running(), shared.waiting(), shared.free());
        assert_eq!(counts, (0, 0, slots_of_node));
        assert!(node.gates.iter().all(|gate| gate.running() == 0));
        assert!(node.queue.lock().unwrap().is_empty());
    }
}
