//! Capacity that nobody declared, learned on models of platforms in virtual time. The table of all cases is printed by
//! `cargo test -p dfaas-protocol --test capacity -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod model;

use model::{Case, MEAN, Model, Service, Trace};

/// When it must have been learned, and when a run ends, in seconds.
const LEARNED: f64 = 20.0;
const END: f64 = 60.0;

/// What came of a case: the run that learned, beside one that had the true number declared.
struct Outcome {
    learned: Trace,
    declared: Trace,
}

impl Outcome {
    fn of(case: &Case) -> Outcome {
        Outcome {
            learned: case.run(END),
            declared: Case {
                first: None,
                ..case.clone()
            }
            .run(END),
        }
    }

    /// Work served from `from` on, as a share of what the declared number serves.
    fn share(&self, from: f64) -> f64 {
        self.learned.served(from, END) / self.declared.served(from, END)
    }

    /// The share of the time from `from` to `to` in which the learned number is right.
    fn right(&self, workers: u32, from: f64, to: f64) -> f64 {
        let steps = self.learned.steps.iter();
        let steps: Vec<_> = steps.filter(|s| (from..to).contains(&s.at)).collect();
        let right = steps
            .iter()
            .filter(|s| is_right(s.learned, workers))
            .count();
        right as f64 / steps.len() as f64
    }

    /// The median learned from 20 s on.
    fn median(&self) -> u32 {
        let steps = self.learned.steps.iter().filter(|s| s.at >= LEARNED);
        let mut all: Vec<u32> = steps.map(|s| s.learned).collect();
        all.sort_unstable();
        all[all.len() / 2]
    }
}

/// A case with several seeds.
struct Many(Vec<Outcome>);

impl Many {
    fn of(seeds: u64, case: impl Fn(u64) -> Case) -> Many {
        Many((0..seeds).map(|seed| Outcome::of(&case(seed))).collect())
    }

    fn mean(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        self.0.iter().map(of).sum::<f64>() / self.0.len() as f64
    }

    /// See [`Outcome::share`].
    fn share(&self, from: f64) -> f64 {
        self.mean(|outcome| outcome.share(from))
    }

    /// The share of the time from 20 s on in which the learned number is right.
    fn right(&self, workers: u32) -> f64 {
        self.mean(|outcome| outcome.right(workers, LEARNED, END))
    }

    /// The least and the greatest of the medians learned.
    fn medians(&self) -> (u32, u32) {
        let medians = self.0.iter().map(Outcome::median);
        medians.fold((u32::MAX, 0), |(low, high), median| {
            (low.min(median), high.max(median))
        })
    }
}

/// Within a tenth: below ten slots, exactly.
fn is_right(learned: u32, workers: u32) -> bool {
    learned.abs_diff(workers) * 10 <= workers
}

const MODELS: [Model; 3] = [Model::Fifo, Model::Shared, Model::Refusing];
const SERVICES: [Service; 3] = [Service::Exponential, Service::Constant, Service::Lognormal];

fn case(model: Model, service: Service, workers: u32, load: f64, seed: u64) -> Case {
    Case {
        model,
        service,
        workers: vec![(0.0, workers)],
        rate: load * f64::from(workers) / MEAN,
        first: Some(16),
        seed,
    }
}

#[test]
fn at_twice_the_capacity_the_knee_is_found_and_hardly_a_call_is_lost() {
    for model in MODELS {
        for service in SERVICES {
            for workers in [2, 4, 16, 64] {
                let seeds = 5;
                let outcomes: Vec<Outcome> = (0..seeds)
                    .map(|seed| Outcome::of(&case(model, service, workers, 2.0, seed)))
                    .collect();
                let mean = |of: &dyn Fn(&Outcome) -> f64| {
                    outcomes.iter().map(of).sum::<f64>() / seeds as f64
                };
                let right = mean(&|o| o.right(workers, LEARNED, END));
                let share = mean(&|o| o.share(LEARNED));
                let what = format!("{model:?} {service:?} {workers}: {right:.2} {share:.3}");
                // Calls whose times vary that much and that share cores tell little: one in two is a slot off.
                let most_of_the_time = match (model, service) {
                    (Model::Shared, Service::Exponential | Service::Lognormal) => 0.5,
                    (_, Service::Lognormal) => 0.7,
                    _ => 0.8,
                };
                assert!(right >= most_of_the_time, "{what}");
                assert!(share >= 0.975, "{what}");
            }
        }
    }
}

#[test]
fn below_the_capacity_no_call_is_lost_and_the_number_does_not_drift() {
    for model in MODELS {
        for service in SERVICES {
            for workers in [1, 4, 16, 64] {
                let outcome = Outcome::of(&case(model, service, workers, 0.7, 7));
                let share = outcome.share(LEARNED);
                let most = outcome
                    .learned
                    .steps
                    .iter()
                    .map(|s| s.learned)
                    .max()
                    .unwrap();
                let what = format!("{model:?} {service:?} {workers}: {share:.3} {most}");
                assert!(share >= 0.97, "{what}");
                assert!(most <= workers.max(16) * 11 / 10 + 1, "{what}");
            }
        }
    }
}

#[test]
fn it_follows_from_two_replicas_to_five_and_back() {
    for model in [Model::Fifo, Model::Refusing] {
        for service in [Service::Exponential, Service::Constant] {
            let case = Case {
                workers: vec![(0.0, 2), (60.0, 5), (120.0, 2)],
                ..case(model, service, 5, 2.0, 5)
            };
            let trace = case.run(180.0);
            for (until, workers) in [(60.0, 2), (120.0, 5), (180.0, 2)] {
                let from = until - 60.0 + LEARNED;
                let steps = trace.steps.iter();
                let steps: Vec<_> = steps.filter(|s| (from..until).contains(&s.at)).collect();
                let right = steps
                    .iter()
                    .filter(|s| is_right(s.learned, workers))
                    .count();
                let share = right as f64 / steps.len() as f64;
                assert!(share >= 0.8, "{model:?} {service:?}, {workers}: {share}");
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

#[test]
#[ignore = "prints the table of measured cases"]
fn table() {
    const SLOTS: [u32; 7] = [1, 2, 4, 5, 8, 16, 64];
    print!("| platform | service | load |");
    SLOTS.iter().for_each(|slots| print!(" {slots} |"));
    println!(" least served | from the first second |");
    println!("|---|---|---|{}", "---|".repeat(SLOTS.len() + 2));
    for model in MODELS {
        for service in SERVICES {
            for load in [0.7, 1.0, 2.0] {
                print!("| {model:?} | {service:?} | {load} |");
                let (mut least, mut least_at_once) = (f64::INFINITY, f64::INFINITY);
                for workers in SLOTS {
                    let many = Many::of(5, |seed| case(model, service, workers, load, seed));
                    least = many.share(LEARNED).min(least);
                    least_at_once = many.share(0.0).min(least_at_once);
                    let (low, high) = many.medians();
                    print!(" {:.2}, {low} to {high} |", many.right(workers));
                }
                println!(" {least:.3} | {least_at_once:.3} |");
            }
        }
    }
}
