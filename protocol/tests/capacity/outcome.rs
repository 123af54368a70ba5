//! What comes of learning, beside what comes of the true number.

use std::ops::Range;

use crate::model::{Case, MEAN, Model, Service, Trace};

/// When it must have been learned, and when a run ends, in seconds.
pub(crate) const LEARNED: f64 = 20.0;
pub(crate) const END: f64 = 60.0;

/// What came of a case: the run that learned, beside one that had the true number declared.
pub(crate) struct Outcome {
    pub(crate) learned: Trace,
    pub(crate) declared: Trace,
}

impl Outcome {
    pub(crate) fn of(case: &Case) -> Outcome {
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
    pub(crate) fn share(&self, from: f64) -> f64 {
        self.learned.served(from, END) / self.declared.served(from, END)
    }

    /// The share of the time from `from` to `to` in which the learned number is right.
    pub(crate) fn right(&self, workers: u32, from: f64, to: f64) -> f64 {
        self.learned
            .share(from, to, |learned| is_right(learned, workers))
    }

    /// All that was learned from 20 s on.
    fn numbers(&self) -> impl Iterator<Item = u32> {
        let steps = self.learned.steps.iter().filter(|s| s.at >= LEARNED);
        steps.map(|s| s.learned)
    }
}

fn median(numbers: impl Iterator<Item = u32>) -> u32 {
    let mut all: Vec<u32> = numbers.collect();
    all.sort_unstable();
    all[all.len() / 2]
}

/// A case with several seeds.
pub(crate) struct Many(Vec<Outcome>);

impl Many {
    pub(crate) fn of(seeds: Range<u64>, case: impl Fn(u64) -> Case) -> Many {
        Many(seeds.map(|seed| Outcome::of(&case(seed))).collect())
    }

    pub(crate) fn mean(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        self.0.iter().map(of).sum::<f64>() / self.0.len() as f64
    }

    /// See [`Outcome::share`].
    pub(crate) fn share(&self, from: f64) -> f64 {
        self.mean(|outcome| outcome.share(from))
    }

    /// The same of each seed.
    pub(crate) fn shares(&self, from: f64) -> impl Iterator<Item = f64> {
        self.0.iter().map(move |outcome| outcome.share(from))
    }

    /// The share of the seed that has the least of it.
    pub(crate) fn least(&self, from: f64) -> f64 {
        self.shares(from).fold(f64::INFINITY, f64::min)
    }

    /// The share of the time from 20 s on in which the learned number is right.
    pub(crate) fn right(&self, workers: u32) -> f64 {
        self.mean(|outcome| outcome.right(workers, LEARNED, END))
    }

    /// The least and the greatest of the medians learned.
    pub(crate) fn medians(&self) -> (u32, u32) {
        let medians = self.0.iter().map(|outcome| median(outcome.numbers()));
        medians.fold((u32::MAX, 0), |(low, high), median| {
            (low.min(median), high.max(median))
        })
    }

    /// The median learned from 20 s on, of all seeds together.
    pub(crate) fn median(&self) -> u32 {
        median(self.0.iter().flat_map(Outcome::numbers))
    }
}

/// Within a tenth: below ten slots, exactly.
pub(crate) fn is_right(learned: u32, workers: u32) -> bool {
    learned.abs_diff(workers) * 10 <= workers
}

pub(crate) const MODELS: [Model; 3] = [Model::Fifo, Model::Shared, Model::Refusing];
pub(crate) const SERVICES: [Service; 3] =
    [Service::Exponential, Service::Constant, Service::Lognormal];

pub(crate) fn case(model: Model, service: Service, workers: u32, load: f64, seed: u64) -> Case {
    Case {
        model,
        service,
        workers: vec![(0.0, workers)],
        rate: load * f64::from(workers) / MEAN,
        first: Some(16),
        seed,
    }
}

/// With two workers, then five, then two again, for a minute each: the share of the time from 20 s on in each in which the learned
/// number is right.
pub(crate) fn following(model: Model, service: Service, seed: u64) -> [f64; 3] {
    let case = Case {
        workers: vec![(0.0, 2), (60.0, 5), (120.0, 2)],
        ..case(model, service, 5, 2.0, seed)
    };
    let trace = case.run(180.0);
    [(60.0, 2), (120.0, 5), (180.0, 2)].map(|(until, workers)| {
        let from = until - 60.0 + LEARNED;
        trace.share(from, until, |learned| is_right(learned, workers))
    })
}
