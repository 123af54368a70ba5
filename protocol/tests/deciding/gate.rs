//! Gates under whatever interleavings proptest and threads find.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use dfaas_protocol::gate::{Entry, Freed, Gate, Turn};
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
                    prop_assert_eq!(gate.enter(Time::ZERO), Entry::Wait(Turn::WhenFreed));
                    waiting += 1;
                }
                Step::Enter => prop_assert_eq!(gate.enter(Time::ZERO), Entry::Full),
                Step::End if waiting > 0 && running <= size => {
                    prop_assert_eq!(gate.end(), Freed::HandedOver);
                    waiting -= 1;
                }
                Step::End if running > 0 => {
                    prop_assert_eq!(gate.end(), Freed::Free);
                    running -= 1;
                }
                Step::End => {}
                Step::Leave => {
                    prop_assert_eq!(gate.leave(), waiting > 0);
                    waiting = waiting.saturating_sub(1);
                }
                Step::Resize(to) => {
                    let starting = waiting.min(to.saturating_sub(running));
                    prop_assert_eq!(gate.set_slots(Slots::new(to).unwrap()), starting);
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
            let _ = gate.end();
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
        let mut taken = 0u32;
        for (waits, nanos) in steps {
            now = now + Duration::from_nanos(nanos);
            let mut promised = 0;
            if waits {
                match gate.enter(now) {
                    Entry::Run => taken += 1,
                    Entry::Wait(Turn::At(turn)) => {
                        prop_assert!(turn > now);
                        taken += 1;
                        promised = 1;
                    }
                    Entry::Wait(Turn::WhenFreed) => prop_assert!(false, "a rate frees nothing"),
                    Entry::Full => {}
                }
            } else if gate.start(now) {
                taken += 1;
            }
            let free = gate.headroom(now).free;
            prop_assert!(free >= -(queue as i32), "{} with a queue of {}", free, queue);
            prop_assert!(promised == 0 || free < 0);
            prop_assert_eq!(gate.running(), taken);
            // Half a nanosecond of rounding in each interval.
            let seconds = now.since(Time::ZERO).as_secs_f64();
            let most = f64::from(burst + queue) + seconds * per_second * 1.001 + 1e-6;
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
            if gate.enter(now) != Entry::Full {
                prop_assert!(gate.leave());
            }
        }
        prop_assert_eq!(gate.running(), 0);
    }
}

#[test]
fn threads_conserve_the_counts() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 5_000;
    const SLOTS: u32 = 2;
    let gate = Gate::new(slots(SLOTS), 3);
    let (inside, handed) = (AtomicU32::new(0), AtomicU32::new(0));
    let (ran, left, full) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));

    let run = || {
        assert!(
            inside.fetch_add(1, SeqCst) < SLOTS,
            "more run than there are slots"
        );
        std::thread::yield_now();
        inside.fetch_sub(1, SeqCst);
        if gate.end() == Freed::HandedOver {
            handed.fetch_add(1, SeqCst);
        }
        ran.fetch_add(1, SeqCst);
    };
    let take_over = || {
        let one_less = |n: u32| n.checked_sub(1);
        while handed.fetch_update(SeqCst, SeqCst, one_less).is_err() {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (gate, run, take_over, left, full) = (&gate, &run, &take_over, &left, &full);
            scope.spawn(move || {
                for call in 0..CALLS {
                    match gate.enter(Time::ZERO) {
                        Entry::Run => run(),
                        Entry::Wait(_) if (call + thread) % 3 == 0 && gate.leave() => {
                            left.fetch_add(1, SeqCst);
                        }
                        Entry::Wait(_) => {
                            take_over();
                            run();
                        }
                        Entry::Full => {
                            full.fetch_add(1, SeqCst);
                            std::thread::yield_now();
                        }
                    }
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
    assert_eq!(handed.into_inner(), 0);
    let size = SLOTS;
    let idle = Headroom {
        free: size as i32,
        size,
    };
    assert_eq!(gate.headroom(Time::ZERO), idle);
}

#[test]
fn threads_lose_nobody_while_the_slots_change() {
    const THREADS: u64 = 6;
    const CALLS: u64 = 4_000;
    const MOST: u32 = 5;
    let gate = Gate::new(slots(MOST), 4);
    let (inside, handed) = (AtomicU32::new(0), AtomicU32::new(0));
    let (ran, full, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let run = || {
        assert!(
            inside.fetch_add(1, SeqCst) < MOST,
            "more run than ever had slots"
        );
        std::thread::yield_now();
        inside.fetch_sub(1, SeqCst);
        if gate.end() == Freed::HandedOver {
            handed.fetch_add(1, SeqCst);
        }
        ran.fetch_add(1, SeqCst);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if ended.load(SeqCst) == THREADS {
                    break;
                }
                let starting = gate.set_slots(Slots::new(n % MOST + 1).unwrap());
                handed.fetch_add(starting, SeqCst);
                std::thread::yield_now();
            }
        });
        for _ in 0..THREADS {
            let (gate, run, handed, full, ended) = (&gate, &run, &handed, &full, &ended);
            scope.spawn(move || {
                for _ in 0..CALLS {
                    match gate.enter(Time::ZERO) {
                        Entry::Run => run(),
                        Entry::Wait(_) => {
                            let one_less = |n: u32| n.checked_sub(1);
                            while handed.fetch_update(SeqCst, SeqCst, one_less).is_err() {
                                std::thread::yield_now();
                            }
                            run();
                        }
                        Entry::Full => {
                            full.fetch_add(1, SeqCst);
                            std::thread::yield_now();
                        }
                    }
                }
                ended.fetch_add(1, SeqCst);
            });
        }
    });
    let [ran, full] = [ran, full].map(AtomicU64::into_inner);
    assert_eq!(ran + full, THREADS * CALLS);
    assert!(ran > 0, "{ran} ran, {full} found it full");
    assert_eq!((gate.running(), handed.into_inner()), (0, 0));
}
