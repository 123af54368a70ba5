//! What an offer may claim. A member may be wrong or hostile: what it says is taken up to here and no further.

use thiserror::Error;

use crate::offer::Offer;
use crate::{CallRate, Capacity, Slots};

/// The most that is believed of an offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClaimLimits {
    /// How many functions it may name; one that names more is refused as a whole.
    pub functions: usize,
    /// How many slots a function may have.
    pub slots: Slots,
    /// How many calls a second it may take.
    pub rate: CallRate,
    /// How many calls of it may wait.
    pub queue: u32,
}

/// An offer that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the offer names {named} functions and {most} are taken: raise limits.offered_functions if the node really has so many"
)]
pub struct TooManyFunctions {
    /// How many it names.
    pub named: usize,
    /// How many may be.
    pub most: usize,
}

impl ClaimLimits {
    /// What is believed where nothing else is said: a thousand functions, of each ten thousand slots or a hundred thousand
    /// calls a second, and as many waiting.
    pub fn generous() -> ClaimLimits {
        // 10,000 and 100,000 are in their ranges.
        let (slots, rate) = (Slots::new(10_000), CallRate::new(100_000.0));
        ClaimLimits {
            functions: 1000,
            slots: slots.expect("slots in their range"),
            rate: rate.expect("a rate in its range"),
            queue: 100_000,
        }
    }

    /// Cuts what an offer claims down to what is believed. Returns of how many functions something was cut.
    ///
    /// # Errors
    /// If it names too many functions.
    pub fn bound(&self, offer: &mut Offer) -> Result<u64, TooManyFunctions> {
        let named = offer.functions.len();
        if named > self.functions {
            let most = self.functions;
            return Err(TooManyFunctions { named, most });
        }
        let mut cut = 0;
        for function in &mut offer.functions {
            let before = function.clone();
            let most = match &mut function.capacity {
                Capacity::Slots(slots) => {
                    *slots = (*slots).min(self.slots);
                    self.slots.get()
                }
                Capacity::Rate(rate) => {
                    *rate = if *rate > self.rate { self.rate } else { *rate };
                    (self.rate.per_second().ceil() as u32).max(1)
                }
            };
            let headroom = &mut function.headroom;
            headroom.size = headroom.size.min(most);
            let size = i32::try_from(headroom.size).unwrap_or(i32::MAX);
            headroom.free = headroom.free.min(size);
            function.queue = function.queue.min(self.queue);
            cut += u64::from(*function != before);
        }
        Ok(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headroom;
    use crate::offer::FunctionOffer;

    fn function(name: &str, capacity: Capacity, free: i32, size: u32) -> FunctionOffer {
        FunctionOffer::example(name, capacity, Headroom { free, size })
    }

    fn slots(n: u32) -> Capacity {
        Capacity::Slots(Slots::new(n).unwrap())
    }

    fn rate(n: f64) -> Capacity {
        Capacity::Rate(CallRate::new(n).unwrap())
    }

    #[test]
    fn what_is_in_bounds_stays_as_it_is() {
        let mut offered = Offer::example([
            function("a", slots(10_000), 10_000, 10_000),
            function("b", rate(100_000.0), -5, 10_000),
        ]);
        let before = offered.clone();
        assert_eq!(ClaimLimits::generous().bound(&mut offered), Ok(0));
        assert_eq!(offered, before);
    }

    #[test]
    fn what_is_above_is_cut_and_counted() {
        let mut offered = Offer::example([
            function("a", slots(1_000_000), i32::MAX, u32::MAX),
            function("b", rate(1e6), 2_000_000, 2_000_000),
            function("c", slots(4), 4, 4),
            FunctionOffer {
                queue: u32::MAX,
                ..function("d", slots(4), -100, 4)
            },
        ]);
        assert_eq!(ClaimLimits::generous().bound(&mut offered), Ok(3));
        let [a, b, c, d] = &offered.functions[..] else {
            panic!("four functions");
        };
        let headroom = |free, size| Headroom { free, size };
        assert_eq!(
            (a.capacity, a.headroom),
            (slots(10_000), headroom(10_000, 10_000))
        );
        assert_eq!(
            (b.capacity, b.headroom),
            (rate(1e5), headroom(100_000, 100_000))
        );
        assert_eq!((c.capacity, c.headroom), (slots(4), headroom(4, 4)));
        assert_eq!((d.queue, d.headroom), (100_000, headroom(-100, 4)));
    }

    #[test]
    fn an_offer_with_too_many_functions_is_refused() {
        let functions = |n: usize| {
            let each = (0..n).map(|n| function(&format!("f{n:04}"), slots(1), 1, 1));
            Offer::example(each)
        };
        let limits = ClaimLimits::generous();
        assert_eq!(limits.bound(&mut functions(1000)), Ok(0));
        let refused = limits.bound(&mut functions(1001)).unwrap_err();
        assert_eq!((refused.named, refused.most), (1001, 1000));
        assert!(refused.to_string().contains("limits.offered_functions"));
    }
}
