//! A linear model that is fitted as measurements come in.

/// How much less a measurement counts with each one after it: half of it after about 140.
const FORGETTING: f64 = 0.995;
/// The variance of the weights before anything was measured: large, so that the first measurements decide.
const PRIOR: f64 = 1e3;

/// M outputs that are linear in N inputs, fitted by recursive least squares with exponential forgetting.
///
/// With inputs x, an output y, weights w and the covariance P: k = P·x / (λ + xᵀ·P·x), w += k·(y − wᵀ·x),
/// P = (P − k·xᵀ·P) / λ. Source: Åström and Wittenmark, "Adaptive Control", chapter 2. Nothing is forgotten
/// (λ = 1) while P would grow beyond what it was at the start, as it does where the inputs do not change.
#[derive(Clone, Debug)]
pub struct LinearModel<const N: usize, const M: usize> {
    weights: [[f64; N]; M],
    covariance: [[f64; N]; N],
    learned: u64,
}

impl<const N: usize, const M: usize> Default for LinearModel<N, M> {
    fn default() -> LinearModel<N, M> {
        let mut covariance = [[0.0; N]; N];
        for (i, row) in covariance.iter_mut().enumerate() {
            row[i] = PRIOR;
        }
        LinearModel {
            weights: [[0.0; N]; M],
            covariance,
            learned: 0,
        }
    }
}

impl<const N: usize, const M: usize> LinearModel<N, M> {
    /// Learns one measurement. An output that was not measured keeps its weights; what is no number is ignored.
    pub fn learn(&mut self, inputs: [f64; N], outputs: [Option<f64>; M]) {
        if !inputs.iter().all(|x| x.is_finite()) {
            return;
        }
        // P·x, which is also xᵀ·P, as P is symmetric.
        let spread = self.covariance.map(|row| dot(&row, &inputs));
        let variance = dot(&spread, &inputs);
        let trace: f64 = (0..N).map(|i| self.covariance[i][i]).sum();
        let forgetting = if trace < PRIOR * N as f64 {
            FORGETTING
        } else {
            1.0
        };
        let gain = spread.map(|s| s / (forgetting + variance));
        for (weights, output) in self.weights.iter_mut().zip(outputs) {
            let Some(output) = output.filter(|y| y.is_finite()) else {
                continue;
            };
            let error = output - dot(weights, &inputs);
            for (weight, gain) in weights.iter_mut().zip(gain) {
                *weight += gain * error;
            }
        }
        for (i, row) in self.covariance.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                *value = (*value - gain[i] * spread[j]) / forgetting;
            }
        }
        self.learned += 1;
    }

    /// The outputs for these inputs; zero before anything was learned.
    pub fn predict(&self, inputs: [f64; N]) -> [f64; M] {
        self.weights.map(|weights| dot(&weights, &inputs))
    }

    /// How many measurements were learned.
    pub fn learned(&self) -> u64 {
        self.learned
    }
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn one_measurement_is_worked_out_by_hand() {
        // x = 2, y = 6, P = 1000: k = 2000/(1 + 4000), w = k·6 = 2.99925…, P = 1000 − k·2000 = 0.24993…
        let mut model = LinearModel::<1, 1>::default();
        model.learn([2.0], [Some(6.0)]);
        assert!((model.weights[0][0] - 12_000.0 / 4001.0).abs() < 1e-12);
        assert!((model.covariance[0][0] - 1000.0 / 4001.0).abs() < 1e-9);
        assert!((model.predict([4.0])[0] - 48_000.0 / 4001.0).abs() < 1e-12);
        assert_eq!(model.learned(), 1);
    }

    #[test]
    fn a_plane_is_found_through_noise_and_followed_when_it_moves() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut model = LinearModel::<3, 2>::default();
        let mut learn = |model: &mut LinearModel<3, 2>, slope: f64| {
            let (a, b) = (rng.random_range(0.0..100.0), rng.random_range(0.0..50.0));
            let noise = rng.random_range(-1.0..1.0);
            let first = 5.0 + slope * a + 1.5 * b + noise;
            model.learn([1.0, a, b], [Some(first), Some(2e9 + 1e6 * a)]);
        };
        (0..200).for_each(|_| learn(&mut model, 0.5));
        let [first, second] = model.predict([1.0, 40.0, 10.0]);
        assert!((first - 40.0).abs() < 1.0, "{first}");
        assert!((second - 2.04e9).abs() < 1e6, "{second}");
        // A call costs twice as much from now on.
        (0..1000).for_each(|_| learn(&mut model, 1.0));
        let [first, _] = model.predict([1.0, 40.0, 10.0]);
        assert!((first - 60.0).abs() < 1.5, "{first}");
    }

    #[test]
    fn inputs_that_do_not_change_do_no_harm() {
        let mut model = LinearModel::<2, 1>::default();
        for n in 0..10_000 {
            model.learn([1.0, 10.0], [Some(20.0 + f64::from(n % 2))]);
        }
        let [at, beside] = [model.predict([1.0, 10.0])[0], model.predict([1.0, 11.0])[0]];
        assert!((at - 20.5).abs() < 0.5, "{at}");
        assert!((beside - at).abs() < 3.0, "{beside}");
        model.learn([1.0, f64::NAN], [Some(1.0)]);
        model.learn([1.0, 10.0], [Some(f64::INFINITY)]);
        model.learn([1.0, 10.0], [None]);
        assert!(model.predict([1.0, 10.0])[0].is_finite());
    }
}
