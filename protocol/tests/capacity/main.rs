//! Capacity that nobody declared, learned on models of platforms in virtual time. The table of all cases is printed by
//! `cargo run --release -p dfaas-protocol --example capacity`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod model;
#[allow(dead_code, reason = "the example needs more of it")]
mod outcome;

use model::{Model, Service};
use outcome::{LEARNED, MODELS, Many, SERVICES, case, following};

#[test]
fn where_calls_wait_in_the_platform_or_are_refused_it_is_within_a_tenth_after_twenty_seconds() {
    for model in [Model::Fifo, Model::Refusing] {
        for service in [Service::Exponential, Service::Constant] {
            for workers in [2, 5, 16] {
                let many = Many::of(0..3, |seed| case(model, service, workers, 2.0, seed));
                let right = many.right(workers);
                assert!(right >= 0.9, "{model:?} {service:?} {workers}: {right:.2}");
            }
        }
    }
}

#[test]
fn on_shared_cores_it_is_within_a_tenth_where_all_calls_take_as_long() {
    for workers in [2, 5, 16] {
        let many = Many::of(0..2, |seed| {
            case(Model::Shared, Service::Constant, workers, 2.0, seed)
        });
        let right = many.right(workers);
        assert!(right >= 0.9, "{workers}: {right:.2}");
    }
}

#[test]
fn on_shared_cores_with_varying_times_it_is_within_a_tenth_most_of_the_time() {
    for service in [Service::Exponential, Service::Lognormal] {
        for workers in [1, 2, 4, 16] {
            let many = Many::of(0..4, |seed| {
                case(Model::Shared, service, workers, 2.0, seed)
            });
            let right = many.right(workers);
            assert!(right >= 0.8, "{service:?} {workers}: {right:.2}");
        }
    }
}

#[test]
fn below_the_capacity_it_comes_within_a_tenth_as_well() {
    for model in MODELS {
        for service in [Service::Exponential, Service::Constant] {
            for workers in [1, 2, 16, 64] {
                let many = Many::of(0..2, |seed| case(model, service, workers, 0.7, seed));
                let right = many.right(workers);
                assert!(right >= 0.7, "{model:?} {service:?} {workers}: {right:.2}");
            }
        }
    }
}

#[test]
fn hardly_a_call_is_lost_to_learning_at_twice_the_capacity() {
    for model in MODELS {
        for service in SERVICES {
            for workers in [4, 16] {
                let many = Many::of(0..3, |seed| case(model, service, workers, 2.0, seed));
                let (share, at_once) = (many.share(LEARNED), many.share(0.0));
                let what = format!("{model:?} {service:?} {workers}: {share:.3} {at_once:.3}");
                assert!(share >= 0.97, "{what}");
                assert!(at_once >= 0.95, "{what}");
            }
        }
    }
}

#[test]
fn below_the_capacity_no_call_is_lost_and_the_number_does_not_drift() {
    for model in MODELS {
        for service in SERVICES {
            for workers in [1, 4, 16] {
                let many = Many::of(0..2, |seed| case(model, service, workers, 0.7, seed));
                let share = many.share(LEARNED);
                let (_, most) = many.medians();
                let what = format!("{model:?} {service:?} {workers}: {share:.3} {most}");
                assert!(share >= 0.97, "{what}");
                assert!(most <= workers.max(16) * 3 / 2, "{what}");
            }
        }
    }
}

#[test]
fn it_follows_from_two_replicas_to_five_and_back() {
    for model in MODELS {
        for service in [Service::Exponential, Service::Constant] {
            let shares = (0..3).map(|seed| following(model, service, seed));
            let shares: Vec<[f64; 3]> = shares.collect();
            for stage in 0..3 {
                let mean = shares.iter().map(|s| s[stage]).sum::<f64>() / shares.len() as f64;
                assert!(mean >= 0.8, "{model:?} {service:?}: {shares:.2?}");
            }
        }
    }
}

#[test]
fn calls_that_take_longer_are_no_lesser_capacity() {
    for model in [Model::Fifo, Model::Shared] {
        let mut case = case(model, Service::Exponential, 8, 2.0, 3);
        case.rate *= 2.0;
        let trace = case.slower_from(40.0, 2.0).run(80.0);
        let late = trace.steps.iter().filter(|s| s.at >= 60.0);
        let learned: Vec<u32> = late.map(|s| s.learned).collect();
        let right = learned.iter().filter(|l| l.abs_diff(8) <= 1).count();
        assert!(right * 10 >= learned.len() * 8, "{model:?}: {learned:?}");
    }
}
