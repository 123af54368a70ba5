//! The table of neighbours as it hears, forgets and lets in.

use super::*;
use crate::neighbours::{Promise, Watched};
use crate::offer::{FunctionOffer, Period};
use crate::sighting::Sighting;
use crate::{CallRate, Capacity, Headroom, HealthState, NodeLabels, Slots};
use rand::SeedableRng;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn node(n: u8) -> NodeId {
    NodeId::from_key([n; 32])
}

fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap()
}

fn offer(boot: u64, sequence: u64, functions: &[(&str, i32)]) -> Offer {
    let slots = Capacity::Slots(Slots::new(4).unwrap());
    let each = functions.iter().map(|(function, free)| {
        let headroom = Headroom {
            free: *free,
            size: 4,
        };
        FunctionOffer::example(function, slots, headroom)
    });
    Offer {
        boot,
        sequence,
        ..Offer::example(each)
    }
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

#[test]
fn an_entry_expires_after_three_of_its_own_periods() {
    let mut table = Neighbours::new();
    let slow = Offer {
        period: Period::from_duration(Duration::from_secs(20)),
        ..offer(1, 1, &[])
    };
    table.hear_offer(node(1), HOME, offer(1, 1, &[]), at(0));
    table.hear_offer(node(2), HOME, offer(1, 1, &[]), at(2));
    table.hear_offer(node(3), HOME, slow, at(0));
    assert_eq!(table.expire(at(3)), []);
    assert_eq!(table.expire(at(4)), [node(1)]);
    assert_eq!(table.expire(at(60)), [node(2)]);
    assert_eq!(table.expire(at(61)), [node(3)]);
}

#[test]
fn a_round_trip_is_known_to_all_functions_of_the_neighbour() {
    let mut table = Neighbours::new();
    let far = Duration::from_millis(30);
    table.measure(node(1), far);
    table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
    table.measure(node(1), far);
    table.hear_offer(node(1), HOME, offer(1, 2, &[("a", 4), ("b", 4)]), at(0));
    let entry = table.get(node(1)).unwrap();
    for offered in entry.functions.iter() {
        assert_eq!(offered.remote.round_trip(), Some(far));
    }
    assert_eq!(entry.round_trip, Some(far));
}

#[test]
fn other_labels_and_a_cordon_are_news() {
    let mut table = Neighbours::new();
    let labels = NodeLabels::new([("region".to_owned(), "north".to_owned())]).unwrap();
    let labelled = |sequence, cordoned| Offer {
        labels: labels.clone(),
        cordoned,
        ..offer(1, sequence, &[])
    };
    let mut hear = |offer| table.hear_offer(node(1), HOME, offer, at(0));
    assert_eq!(hear(offer(1, 1, &[])), Heard::Changed);
    assert_eq!(hear(labelled(2, false)), Heard::Changed);
    assert_eq!(hear(labelled(3, false)), Heard::Refreshed);
    assert_eq!(hear(labelled(4, true)), Heard::Changed);
    assert!(table.get(node(1)).unwrap().cordoned);
}

#[test]
fn counters_live_through_refreshes_and_follow_the_exact_set() {
    let mut table = Neighbours::new();
    let hear = |table: &mut Neighbours, o| table.hear_offer(node(1), HOME, o, at(0));
    assert_eq!(
        hear(&mut table, offer(1, 1, &[("a", 4), ("b", 4)])),
        Heard::Changed
    );
    let a = Arc::clone(&table.get(node(1)).unwrap().functions[&name("a")].remote);
    assert_eq!(
        hear(&mut table, offer(1, 2, &[("a", 2), ("b", 4)])),
        Heard::Refreshed
    );
    assert_eq!(a.headroom().unwrap().free, 2);
    assert_eq!(
        hear(&mut table, offer(1, 3, &[("a", 2), ("c", 4)])),
        Heard::Changed
    );
    let functions: Vec<_> = table
        .get(node(1))
        .unwrap()
        .functions
        .iter()
        .map(|offered| offered.function.clone())
        .collect();
    assert_eq!(functions, [name("a"), name("c")]);
}

#[test]
fn old_messages_are_stale_until_the_node_boots_anew() {
    let mut table = Neighbours::new();
    table.hear_offer(node(1), HOME, offer(7, 5, &[("a", 4)]), at(0));
    assert_eq!(
        table.hear_offer(node(1), HOME, offer(7, 5, &[]), at(1)),
        Heard::Stale
    );
    assert_eq!(table.get(node(1)).unwrap().heard, at(0));
    assert_eq!(
        table.hear_offer(node(1), HOME, offer(8, 1, &[]), at(1)),
        Heard::Changed
    );
}

#[test]
fn who_comes_and_goes_is_not_let_in_each_time_anew() {
    let mut table = Neighbours::new();
    let hear = |table: &mut Neighbours, sequence, seconds| {
        let offer = offer(1, sequence, &[("a", 4)]);
        table.hear_offer(node(1), HOME, offer, at(seconds));
        let entry = table.get(node(1)).unwrap();
        let remote = &entry.functions[&name("a")].remote;
        (Arc::clone(&entry.health), remote.headroom())
    };
    let (health, _) = hear(&mut table, 1, 0);
    (0..3).for_each(|_| assert_ne!(health.call_failed(at(0), at(0)), Some(HealthState::Healthy)));
    assert!(table.remove(node(1), at(1)));
    assert_eq!(hear(&mut table, 2, 2).1, None);
    assert_eq!(table.expire(at(10)), [node(1)]);
    assert_eq!(hear(&mut table, 3, 20).1, None);
    assert_eq!(table.expire(at(30)), [node(1)]);
    assert_eq!(table.expire(at(1000)), []);
    assert!(hear(&mut table, 4, 1000).1.is_some(), "that is long ago");
}

#[test]
fn grants_replace_those_before_them() {
    let mut table = Neighbours::new();
    let grant = |f: &str, r| Grant {
        function: name(f),
        rate: CallRate::new(r).unwrap(),
    };
    assert_eq!(
        table.hear_grants(node(1), vec![grant("a", 1.0)], at(0)),
        Heard::Stale
    );
    table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
    assert_eq!(
        table.hear_grants(node(1), vec![grant("a", 1.0)], at(0)),
        Heard::Changed
    );
    assert_eq!(
        table.hear_grants(node(1), vec![grant("a", 1.0)], at(1)),
        Heard::Refreshed
    );
    assert_eq!(table.hear_grants(node(1), vec![], at(1)), Heard::Changed);
    assert!(table.get(node(1)).unwrap().grants.is_empty());
}

#[test]
fn what_was_said_before_a_restart_or_a_farewell_is_stale_even_after_it_left() {
    let mut table = Neighbours::new();
    let hear = |table: &mut Neighbours, boot, sequence, seconds| {
        let offer = offer(boot, sequence, &[("a", 4)]);
        table.hear_offer(node(1), HOME, offer, at(seconds))
    };
    assert_eq!(hear(&mut table, 7, 5, 0), Heard::Changed);
    table.remove(node(1), at(1));
    assert_eq!(hear(&mut table, 7, 5, 2), Heard::Stale, "replayed");
    assert!(table.is_empty());
    assert_eq!(hear(&mut table, 7, 6, 2), Heard::Changed);
    assert_eq!(hear(&mut table, 3, 1, 3), Heard::Changed, "a smaller id");
    assert_eq!(hear(&mut table, 7, 7, 3), Heard::Stale);
    assert!(table.farewell(node(1), at(4)));
    assert_eq!(hear(&mut table, 3, 2, 5), Heard::Stale);
    assert!(table.is_empty() && !table.farewell(node(1), at(5)));
    assert_eq!(hear(&mut table, 4, 1, 6), Heard::Changed);
    assert_eq!(table.counts().stale, 3);
}

#[test]
fn an_answer_from_before_a_restart_says_nothing_of_what_is_now() {
    let mut table = Neighbours::new();
    table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
    let remote = |table: &Neighbours| {
        let entry = table.get(node(1)).unwrap();
        Arc::clone(&entry.functions[&name("a")].remote)
    };
    let before = remote(&table);
    table.hear_offer(node(1), HOME, offer(2, 1, &[("a", 1)]), at(1));
    before.report(Headroom { free: 4, size: 4 });
    assert_eq!(remote(&table).reported().free, 1);
}

#[test]
fn who_was_away_is_let_in_step_by_step_and_one_that_was_never_there_is_not() {
    let mut table = Neighbours::new();
    let state = |table: &mut Neighbours, boot, sequence, ms| {
        let now = Time::ZERO + Duration::from_millis(ms);
        table.hear_offer(node(1), HOME, offer(boot, sequence, &[]), now);
        table.get(node(1)).unwrap().health.state()
    };
    assert_eq!(state(&mut table, 1, 1, 0), HealthState::Healthy);
    table.remove(node(1), at(1));
    assert_eq!(
        state(&mut table, 1, 2, 1500),
        HealthState::Healthy,
        "a blink"
    );
    table.remove(node(1), at(2));
    assert_eq!(state(&mut table, 1, 3, 3000), HealthState::Probation);
    let mut table = Neighbours::new();
    state(&mut table, 1, 1, 0);
    assert_eq!(
        state(&mut table, 2, 1, 100),
        HealthState::Probation,
        "it restarted"
    );
}

#[test]
fn standing_is_not_got_back_by_leaving_or_by_offering_anew() {
    let mut table = Neighbours::new();
    let mut sequence = 0;
    let mut hear = |table: &mut Neighbours, functions: &[(&str, i32)]| {
        sequence += 1;
        table.hear_offer(
            node(1),
            HOME,
            offer(sequence / 4, sequence, functions),
            at(0),
        );
        let entry = table.get(node(1)).unwrap();
        let offered = entry.functions.get(&name("a"));
        offered.map(|offered| Arc::clone(&offered.remote))
    };
    let remote = hear(&mut table, &[("a", 4)]).unwrap();
    let lie = Promise::Refused(Some(Headroom { free: 4, size: 4 }));
    (0..50).for_each(|_| remote.judge(lie, || at(0)));
    let before = remote.trust().standing();
    assert!(before < 0.1);
    assert!(hear(&mut table, &[("b", 4)]).is_none());
    for _ in 0..6 {
        let remote = hear(&mut table, &[("a", 4), ("b", 4)]).unwrap();
        assert_eq!(remote.trust().standing(), before);
        table.remove(node(1), at(0));
    }
}

#[test]
fn an_offer_that_claims_too_much_is_cut_or_refused_and_counted() {
    let mut table = Neighbours::new();
    let claims = ClaimLimits {
        functions: 2,
        slots: Slots::ONE,
        ..ClaimLimits::generous()
    };
    table.believe(claims);
    table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4), ("b", 1)]), at(0));
    let entry = table.get(node(1)).unwrap();
    let left = entry.functions[&name("a")].remote.reported();
    assert_eq!(left, Headroom { free: 1, size: 1 });
    let three = offer(1, 2, &[("a", 4), ("b", 1), ("c", 1)]);
    assert_eq!(
        table.hear_offer(node(1), HOME, three, at(1)),
        Heard::Refused
    );
    assert_eq!(table.get(node(1)).unwrap().heard, at(0));
    assert_eq!((table.counts().cut, table.counts().refused), (2, 1));
}

/// Three nodes that hear each other, one of which falls silent after ten seconds.
#[test]
fn one_that_falls_silent_is_suspected_then_dead_by_the_word_of_another_and_let_in_when_heard() {
    let mut table = Neighbours::new();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let ms = |ms| Time::ZERO + Duration::from_millis(ms);
    let (mut suspected, mut dead) = (0, 0);
    for now in (0..14_000).step_by(100) {
        for n in [1, 2] {
            if now % 1000 == 0 && (n == 2 || now <= 10_000) {
                let offer = offer(1, now / 1000 + 1, &[("a", 4)]);
                table.hear_offer(node(n), HOME, offer, ms(now));
            }
        }
        let watched = table.watch(ms(now), &mut rng);
        for question in watched.questions {
            assert_eq!((question.ask, question.about), (node(2), node(1)));
            let silent = Some(Duration::from_millis(now - 10_000));
            table.is_told(node(2), Sighting::new(node(1), silent), ms(now + 5));
        }
        for change in watched.changes {
            match change {
                (who, HealthState::Suspected) if who == node(1) => suspected = now,
                (who, HealthState::Ejected) if who == node(1) => dead = now,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((12_000..=12_300).contains(&suspected), "{suspected}");
    assert_eq!(dead, suspected + 100);
    assert!(table.get(node(1)).is_none(), "it expired");
    let back = offer(1, 99, &[("a", 4)]);
    table.hear_offer(node(1), HOME, back, ms(14_000));
    let health = &table.get(node(1)).unwrap().health;
    assert_eq!(
        health.check_passed(ms(14_100)),
        Some(HealthState::Probation)
    );
}

#[test]
fn one_that_answers_calls_or_that_others_hear_is_not_given_up() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let ms = |ms| Time::ZERO + Duration::from_millis(ms);
    let mut table = Neighbours::new();
    for n in [1, 2, 3] {
        table.hear_offer(node(n), HOME, offer(1, 1, &[("a", 4)]), ms(0));
    }
    for now in (0..20_000).step_by(100) {
        // The first answers calls, of the second somebody hears, the third speaks.
        if now % 1000 == 0 {
            let _ = table
                .get(node(1))
                .unwrap()
                .health
                .call_succeeded(|| ms(now));
            table.hear_offer(node(3), HOME, offer(1, now + 2, &[("a", 4)]), ms(now));
        }
        for question in table.watch(ms(now), &mut rng).questions {
            assert_eq!(question.about, node(2));
            let just_now = Some(Duration::from_millis(100));
            table.is_told(question.ask, Sighting::new(node(2), just_now), ms(now));
        }
    }
    let state = |n| table.get(node(n)).map(|entry| entry.health.state());
    assert_eq!(state(1), Some(HealthState::Healthy));
    assert_eq!(state(2), Some(HealthState::Suspected));
    assert_eq!(state(3), Some(HealthState::Healthy));
}

#[test]
fn a_node_that_was_stopped_itself_gives_nobody_up() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut table = Neighbours::new();
    table.hear_offer(node(1), HOME, offer(1, 1, &[("a", 4)]), at(0));
    assert_eq!(table.watch(at(0), &mut rng), Watched::default());
    assert_eq!(table.watch(at(600), &mut rng), Watched::default());
    assert_eq!(table.len(), 1);
}
