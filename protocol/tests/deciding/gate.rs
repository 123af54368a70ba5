//! Gates under whatever proptest finds.

use std::time::Duration;

use dfaas_protocol::gate::{Entry, Freed, Gate};
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
