//! What a gate counts.

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Freed, Gate};
use crate::node_slots::NodeSlots;
use crate::{CallRate, Capacity, Headroom, Slots, Time};

fn slots(n: u32, queue: u32) -> Gate {
    Gate::new(Capacity::Slots(Slots::new(n).unwrap()), queue)
}

#[test]
fn slots_run_then_wait_then_refuse() {
    let gate = slots(2, 1);
    assert!(gate.start(Time::ZERO) && gate.start(Time::ZERO));
    assert!(!gate.start(Time::ZERO));
    assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
    assert_eq!(gate.enter(Time::ZERO), Entry::Full);
    assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -1, size: 2 });
    gate.wait_in_place_of_another();
    assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -2, size: 2 });
}

#[test]
fn the_slot_of_an_ended_call_is_for_the_one_that_waits() {
    let gate = slots(1, 1);
    assert!(gate.start(Time::ZERO));
    assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
    assert!(!gate.resume(Time::ZERO), "no slot is free");
    assert_eq!(gate.end(), Freed::ForNext);
    assert!(!gate.start(Time::ZERO), "one waits");
    assert!(gate.resume(Time::ZERO));
    gate.settle();
    assert!(!gate.resume(Time::ZERO), "nobody waits any more");
    assert_eq!(gate.end(), Freed::Free);
    assert!(gate.start(Time::ZERO));
}

#[test]
fn a_call_that_is_ready_to_wait_runs_where_it_can() {
    let gate = slots(1, 0);
    assert_eq!(gate.enter(Time::ZERO), Entry::Run);
    assert_eq!(gate.enter(Time::ZERO), Entry::Full);
}

#[test]
fn fewer_slots_let_nothing_start_until_enough_have_ended() {
    let gate = slots(3, 2);
    assert!((0..3).all(|_| gate.start(Time::ZERO)));
    assert_eq!(gate.enter(Time::ZERO), Entry::Wait);
    gate.set_slots(Slots::ONE);
    assert_eq!(gate.headroom(Time::ZERO), Headroom { free: -3, size: 1 });
    assert_eq!([gate.end(), gate.end()], [Freed::Free; 2]);
    assert_eq!(gate.end(), Freed::ForNext);
    assert!(gate.resume(Time::ZERO));
    assert_eq!(gate.end(), Freed::Free);
    assert_eq!(gate.headroom(Time::ZERO), Headroom { free: 1, size: 1 });
}

#[test]
fn more_slots_let_those_start_that_wait() {
    let gate = slots(1, 3);
    for _ in 0..4 {
        let _ = gate.enter(Time::ZERO);
    }
    gate.set_slots(Slots::new(3).unwrap());
    assert!(!gate.start(Time::ZERO), "three wait");
    assert!(gate.resume(Time::ZERO) && gate.resume(Time::ZERO) && !gate.resume(Time::ZERO));
    assert_eq!(gate.running(), 3);
    gate.set_slots(Slots::new(9).unwrap());
    assert!(gate.resume(Time::ZERO));
    assert!(gate.start(Time::ZERO));
}

#[test]
fn a_call_that_the_platform_refuses_takes_its_slot_with_it() {
    let gate = slots(8, 0);
    assert!((0..5).all(|_| gate.start(Time::ZERO)));
    gate.refused_by_platform();
    assert_eq!(gate.end(), Freed::Free);
    assert_eq!(gate.headroom(Time::ZERO), Headroom { free: 0, size: 4 });
    let one = slots(1, 0);
    assert!(one.start(Time::ZERO));
    one.refused_by_platform();
    assert_eq!(one.capacity(), Capacity::Slots(Slots::ONE));
}

#[test]
fn a_rate_is_a_rate_also_for_short_calls() {
    let gate = Gate::new(Capacity::Rate(CallRate::new(100.0).unwrap()), 8);
    let mut ran = 0;
    for i in 0..1100u64 {
        let now = Time::ZERO + Duration::from_micros(i * 1_000_000 / 110);
        if gate.start(now) {
            ran += 1;
            let _ = gate.end();
        }
    }
    assert!((1000..=1010).contains(&ran), "{ran}");
}

#[test]
fn who_waits_for_a_token_goes_before_who_comes() {
    let gate = Gate::new(Capacity::Rate(CallRate::new(10.0).unwrap()), 2);
    let now = Time::ZERO + Duration::from_secs(1);
    assert!(gate.start(now));
    let later = now + Duration::from_millis(100);
    assert_eq!(gate.enter(now), Entry::Wait);
    assert_eq!(gate.enter(now), Entry::Wait);
    assert_eq!(gate.enter(now), Entry::Full);
    assert_eq!(gate.next_token(now, || 0), Some(later));
    assert_eq!(gate.headroom(now).free, -2);
    gate.leave();
    assert_eq!(gate.headroom(now).free, -1);
    assert!(!gate.resume(now), "no token is there");
    assert!(!gate.start(later), "the token is for the one that waits");
    assert!(gate.resume(later) && !gate.resume(later));
    assert_eq!(gate.headroom(later).free, 0);
    assert_eq!(gate.running(), 2);
}

#[test]
fn functions_that_share_a_node_share_its_headroom() {
    let node = Arc::new(NodeSlots::new(Slots::new(4).unwrap()));
    let [a, b] = [3, 3].map(|own| slots(own, 2).sharing(Arc::clone(&node)));
    let free = |gate: &Gate| {
        let Headroom { free, size } = gate.headroom(Time::ZERO);
        (free, size)
    };
    assert_eq!((free(&a), free(&b)), ((3, 3), (3, 3)));
    assert_eq!(a.offered(), a.capacity());
    let most = slots(9, 2).sharing(Arc::clone(&node)).offered();
    assert_eq!(most, Capacity::Slots(node.slots()));
    assert!(a.start(Time::ZERO) && a.start(Time::ZERO));
    // One of three is left to a; two of the node's four are left to b, which are fewer than its own three.
    assert_eq!((free(&a), free(&b)), ((1, 3), (2, 4)));
    assert!(b.start(Time::ZERO) && b.start(Time::ZERO));
    assert!(!a.start(Time::ZERO) && !b.start(Time::ZERO));
    assert_eq!((a.running(), b.running()), (2, 2));
    assert_eq!(b.enter(Time::ZERO), Entry::Wait);
    assert_eq!(b.enter(Time::ZERO), Entry::Wait);
    assert_eq!(b.enter(Time::ZERO), Entry::Full);
    // Nothing is free on the node, and two wait for b.
    assert_eq!((free(&a), free(&b)), ((0, 4), (-2, 4)));
    assert!(!b.resume(Time::ZERO));
    assert_eq!(a.end(), Freed::ForNext);
    assert!(!a.resume(Time::ZERO), "none waits for it");
    assert!(!a.start(Time::ZERO), "the slot is kept for who waits");
    assert!(b.resume(Time::ZERO));
    a.settle();
    assert_eq!(free(&b), (-1, 3));
    assert_eq!(a.end(), Freed::ForNext);
    assert!(
        !b.resume(Time::ZERO),
        "it has all the slots that are its own"
    );
    assert!(!a.start(Time::ZERO), "the slot is still kept");
    a.settle();
    b.leave();
    assert_eq!((free(&a), free(&b)), ((1, 4), (0, 3)));
    assert_eq!((node.running(), node.waiting(), node.free()), (3, 0, 1));
    assert_eq!(b.end(), Freed::Free);
}
