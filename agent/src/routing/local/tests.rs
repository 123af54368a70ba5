use super::*;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use dfaas_protocol::gate::Entry;
use dfaas_protocol::node_slots::NodeSlots;
use dfaas_protocol::{CallRate, Capacity, Slots, Time};

use crate::clock::Clock;

const TERMS: Terms = Terms {
    priority: Priority::HIGHEST,
    deadline: None,
    start_by: None,
};

fn named(name: &str, gate: Gate, waiters: &Arc<Waiters>) -> Arc<LocalFunction> {
    let name = FunctionName::parse(name).unwrap();
    Arc::new(LocalFunction::new(
        name,
        Arc::new(gate),
        Arc::clone(waiters),
    ))
}

fn slots(slots: u32, queue: u32) -> Gate {
    Gate::new(Capacity::Slots(Slots::new(slots).unwrap()), queue)
}

fn function(gate: Gate, clock: Clock) -> Arc<LocalFunction> {
    named("f", gate, &Arc::new(Waiters::new(clock)))
}

#[tokio::test]
async fn those_who_wait_run_in_their_order() {
    let clock = Clock::start();
    let f = function(slots(1, 2), clock);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    let slot = f.running();
    let (first, second) = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
    assert_eq!((first, second), (Entry::Wait, Entry::Wait));
    let mut a = std::pin::pin!(f.turn(&TERMS, None));
    let mut b = std::pin::pin!(f.turn(&TERMS, None));
    assert!(futures::poll!(&mut a).is_pending());
    assert!(futures::poll!(&mut b).is_pending());
    drop(slot);
    assert!(futures::poll!(&mut b).is_pending());
    let slot = a.await.unwrap();
    assert!(futures::poll!(&mut b).is_pending());
    drop(slot);
    drop(b.await.unwrap());
    assert_eq!(f.gate.headroom(clock.now()).free, 1);
    assert_eq!(f.served().0, 3);
}

#[tokio::test]
async fn giving_up_loses_no_slot() {
    let clock = Clock::start();
    let f = function(slots(1, 3), clock);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    let slot = f.running();
    for _ in 0..3 {
        assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
    }
    drop(f.turn(&TERMS, None));
    {
        let mut before = std::pin::pin!(f.turn(&TERMS, None));
        assert!(futures::poll!(&mut before).is_pending());
    }
    {
        let mut after = Box::pin(f.turn(&TERMS, None));
        assert!(futures::poll!(&mut after).is_pending());
        drop(slot);
        // The slot is handed over by now; whoever it was for goes away.
        drop(after);
    }
    assert_eq!(f.gate.headroom(clock.now()).free, 1);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
}

fn of(priority: u8) -> Terms {
    Terms {
        priority: Priority::new(priority).unwrap(),
        ..TERMS
    }
}

#[tokio::test]
async fn higher_priority_goes_first_and_takes_the_place_of_the_last() {
    let clock = Clock::start();
    let f = function(slots(1, 1), clock);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    let slot = f.running();
    assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
    let (low, high) = (of(3), of(7));
    let mut first = std::pin::pin!(f.turn(&low, None));
    assert!(futures::poll!(&mut first).is_pending());
    assert_eq!(f.gate.enter(clock.now()), Entry::Full);
    assert!(!f.displace(low.priority), "not for an equal");
    assert!(f.displace(high.priority));
    let mut second = std::pin::pin!(f.turn(&high, None));
    assert!(futures::poll!(&mut second).is_pending());
    assert!(first.await.is_none(), "it was dropped");
    drop(slot);
    drop(second.await.unwrap());
    assert_eq!(f.gate.headroom(clock.now()).free, 1);
}

#[tokio::test]
async fn the_next_slot_of_a_node_is_for_the_highest_priority_of_all_its_functions() {
    let clock = Clock::start();
    let node = Arc::new(NodeSlots::new(Slots::new(1).unwrap()));
    let waiters = Arc::new(Waiters::new(clock));
    let [a, b] = ["a", "b"].map(|name| {
        let gate = slots(4, 1).sharing(Arc::clone(&node));
        named(name, gate, &waiters)
    });
    assert_eq!(a.gate.enter(clock.now()), Entry::Run);
    let slot = a.running();
    let (low, high) = (of(3), of(7));
    assert_eq!(a.gate.enter(clock.now()), Entry::Wait);
    let mut first = std::pin::pin!(a.turn(&low, None));
    assert_eq!(b.gate.enter(clock.now()), Entry::Wait);
    let mut second = std::pin::pin!(b.turn(&high, None));
    drop(slot);
    let slot = second.as_mut().await.unwrap();
    assert!(futures::poll!(&mut first).is_pending());
    // There is no more room to wait for b, but the node has something to lose of a lower priority.
    assert_eq!(b.gate.enter(clock.now()), Entry::Wait);
    let mut third = std::pin::pin!(b.turn(&high, None));
    assert_eq!(b.gate.enter(clock.now()), Entry::Full);
    assert!(b.displace(high.priority));
    let mut fourth = std::pin::pin!(b.turn(&high, None));
    assert!(first.await.is_none());
    assert!(!b.displace(high.priority), "nothing lower is left");
    drop(slot);
    drop(third.as_mut().await.unwrap());
    drop(fourth.as_mut().await.unwrap());
    assert_eq!((node.running(), node.waiting()), (0, 0));
}

#[tokio::test]
async fn tokens_are_for_the_highest_priority_and_come_at_their_rate() {
    let clock = Clock::start();
    let rate = CallRate::new(20.0).unwrap();
    let f = function(Gate::new(Capacity::Rate(rate), 8), clock);
    while f.gate.start(clock.now()) {}
    let mut order = tokio::task::JoinSet::new();
    for priority in [3, 5, 9, 7] {
        assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
        let f = Arc::clone(&f);
        order.spawn(async move {
            let terms = of(priority);
            let slot = f.turn(&terms, None).await.unwrap();
            let at = f.waiters.clock().now();
            drop(slot);
            (at, priority)
        });
        tokio::task::yield_now().await;
    }
    // One that cannot have a token in time does not wait for it.
    assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
    let late = Terms {
        deadline: Some(clock.now() + Duration::from_millis(100)),
        ..of(1)
    };
    assert!(f.turn(&late, None).await.is_none());
    let mut order = order.join_all().await;
    order.sort_unstable();
    assert_eq!(
        order.iter().map(|(_, p)| *p).collect::<Vec<_>>(),
        [9, 7, 5, 3]
    );
    // Three intervals of 50 ms between the first and the last, less what the first may come late.
    let took = order[3].0.since(order[0].0);
    assert!(took > Duration::from_millis(90), "{took:?}");
    assert_eq!(f.waiters.count(), 0);
}

#[tokio::test]
async fn who_keeps_time_may_go() {
    let clock = Clock::start();
    let rate = CallRate::new(50.0).unwrap();
    let f = function(Gate::new(Capacity::Rate(rate), 8), clock);
    while f.gate.start(clock.now()) {}
    assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
    assert_eq!(f.gate.enter(clock.now()), Entry::Wait);
    let (first, second) = (of(1), of(2));
    let mut keeps = Box::pin(f.turn(&first, None));
    let mut stays = std::pin::pin!(f.turn(&second, None));
    assert!(futures::poll!(&mut keeps).is_pending());
    assert!(futures::poll!(&mut stays).is_pending());
    drop(keeps);
    drop(stays.await.unwrap());
    assert_eq!(f.waiters.count(), 0);
}

#[tokio::test]
async fn who_cannot_start_in_time_is_dropped_at_once() {
    let clock = Clock::start();
    let f = function(slots(1, 2), clock);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
    let slot = f.running();
    let _ = (f.gate.enter(clock.now()), f.gate.enter(clock.now()));
    let late = Terms {
        deadline: Some(clock.now() + Duration::from_millis(20)),
        ..TERMS
    };
    let mut patient = std::pin::pin!(f.turn(&TERMS, None));
    assert!(futures::poll!(&mut patient).is_pending());
    assert!(f.turn(&late, None).await.is_none());
    assert!(clock.now() > Time::ZERO + Duration::from_millis(20));
    drop(slot);
    drop(patient.await.unwrap());
    assert_eq!(f.gate.headroom(clock.now()).free, 1);
    assert_eq!(f.gate.enter(clock.now()), Entry::Run);
}

/// So many calls at once over these functions; some give up, the others must run or find it full. How many ran.
async fn crowd(functions: &[Arc<LocalFunction>], calls: u64, most: u32) -> u64 {
    let inside = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..calls)
        .map(|n| {
            let f = Arc::clone(&functions[n as usize % functions.len()]);
            let inside = Arc::clone(&inside);
            tokio::spawn(async move {
                let clock = f.waiters.clock();
                let terms = of((n % 10) as u8);
                let waits = async |gives_up: bool| {
                    let turn = f.turn(&terms, None);
                    if gives_up {
                        let patience = Duration::from_micros(n % 7 * 100);
                        return tokio::time::timeout(patience, turn).await.ok().flatten();
                    }
                    // Dropped by one of higher priority, or run: but not asleep for ever.
                    let patience = Duration::from_secs(60);
                    let turn = tokio::time::timeout(patience, turn).await;
                    turn.expect("nobody sleeps beside a free slot")
                };
                let slot = match f.gate.enter(clock.now()) {
                    Entry::Run => Some(f.running()),
                    Entry::Wait => waits(n % 3 == 0).await,
                    Entry::Full if f.displace(terms.priority) => waits(false).await,
                    Entry::Full => None,
                };
                let Some(slot) = slot else { return 0 };
                assert!(inside.fetch_add(1, SeqCst) < most);
                if n % 5 > 0 {
                    tokio::time::sleep(Duration::from_micros(n % 5 * 50)).await;
                }
                inside.fetch_sub(1, SeqCst);
                drop(slot);
                1
            })
        })
        .collect();
    let mut ran = 0;
    for task in tasks {
        ran += task.await.unwrap();
    }
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_wait_and_give_up_lose_no_slot() {
    let clock = Clock::start();
    let f = function(slots(3, 20), clock);
    let ran = crowd(&[Arc::clone(&f)], 2000, 3).await;
    assert_eq!(f.served().0, ran);
    assert_eq!(f.gate.headroom(clock.now()).free, 3);
    assert_eq!(f.waiters.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_wait_at_functions_that_share_a_node_lose_no_slot() {
    let clock = Clock::start();
    for (all, own) in [(1, [1, 1, 1]), (3, [1, 2, 3])] {
        let node = Arc::new(NodeSlots::new(Slots::new(all).unwrap()));
        let waiters = Arc::new(Waiters::new(clock));
        let functions: Vec<_> = own
            .iter()
            .map(|own| {
                let gate = slots(*own, 20).sharing(Arc::clone(&node));
                named("f", gate, &waiters)
            })
            .collect();
        let ran = crowd(&functions, 3000, all).await;
        assert_eq!(functions.iter().map(|f| f.served().0).sum::<u64>(), ran);
        let counts = (node.running(), node.waiting(), node.free());
        assert_eq!(counts, (0, 0, all));
        assert_eq!(waiters.count(), 0);
    }
}
