//! Weights of whatever shares proptest finds.

use dfaas_protocol::strategy::{TOTAL, Weights};
use proptest::prelude::*;

use crate::site::rng;

fn any_share() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..1e6,
        1 => Just(0.0),
        1 => 0.0..1e-300,
        1 => 0.0..1e12,
    ]
}

proptest! {
    #[test]
    fn parts_sum_to_the_total_and_are_near_the_exact_share(
        shares in proptest::collection::vec(any_share(), 0..300),
    ) {
        let weights = Weights::proportional(&shares);
        let parts = weights.parts();
        prop_assert_eq!(parts.len(), shares.len());
        let sum: f64 = shares.iter().sum();
        let total: u32 = parts.iter().copied().map(u32::from).sum();
        prop_assert_eq!(total, if sum > 0.0 { TOTAL } else { 0 });
        for (part, share) in parts.iter().zip(&shares) {
            if sum > 0.0 {
                let exact = share / sum * f64::from(TOTAL);
                prop_assert!((f64::from(*part) - exact).abs() <= 1.0 + 1e-6, "{} of {}", part, exact);
            }
            prop_assert!(*share > 0.0 || *part == 0);
        }
    }

    #[test]
    fn whatever_the_shares_it_draws_only_what_is_open_and_has_a_part(
        shares in proptest::collection::vec(any::<f64>(), 0..20),
        open in proptest::collection::vec(any::<bool>(), 20),
    ) {
        let weights = Weights::proportional(&shares);
        let total: u32 = weights.parts().iter().copied().map(u32::from).sum();
        prop_assert!(total == TOTAL || total == 0);
        let mut rng = rng();
        let may = |index: usize| open[index] && weights.parts()[index] > 0;
        for _ in 0..20 {
            match weights.draw(|index| open[index], &mut rng) {
                Some(index) => prop_assert!(may(index)),
                None => prop_assert!(!(0..shares.len()).any(may)),
            }
        }
    }
}
