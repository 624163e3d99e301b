//! Log-normal values from a table, identical on every machine.

use rand::Rng as _;
use rand_pcg::Pcg64Mcg;

/// Number of intervals of the table; a power of two, so that random bits index it.
const INTERVALS: usize = 1 << INTERVAL_BITS;
const INTERVAL_BITS: u32 = 11;
/// The normal distribution is truncated at this many standard deviations.
const MAX_SIGMA: f64 = 4.0;

/// Random factors with a median of 1: `exp(sigma * z)` for a standard normal `z`.
///
/// Interpolates linearly between 2,049 quantiles (16 KiB); `z` is limited to 4 standard deviations.
#[derive(Clone, Debug)]
pub(super) struct LogNormal {
    quantiles: Box<[f64]>,
}

impl LogNormal {
    pub(super) fn new(sigma: f64) -> Self {
        Self { quantiles: normal_quantiles().into_iter().map(|z| exp(sigma * z)).collect() }
    }

    /// A random factor.
    pub(super) fn factor(&self, rng: &mut Pcg64Mcg) -> f64 {
        let bits = rng.next_u64();
        let index = usize::try_from(bits >> (64 - INTERVAL_BITS)).unwrap_or(0);
        let within = as_f64(bits & 0xffff_ffff) / 4_294_967_296.0;
        let low = self.quantiles[index];
        low + (self.quantiles[index + 1] - low) * within
    }

    /// A random value with the given median, rounded down.
    pub(super) fn sample(&self, rng: &mut Pcg64Mcg, median: f64) -> u64 {
        as_u64(median * self.factor(rng))
    }
}

/// Quantiles of the standard normal distribution at `0, 1/INTERVALS, ..., 1`, by numerical
/// integration of its density.
fn normal_quantiles() -> Vec<f64> {
    const STEPS_PER_UNIT: f64 = 1_024.0;
    let density = |z: f64| exp(-z * z / 2.0);
    let steps = as_u64(2.0 * MAX_SIGMA * STEPS_PER_UNIT);
    let area = |step: u64| {
        let z = as_f64(step) / STEPS_PER_UNIT - MAX_SIGMA;
        (density(z) + density(z + 1.0 / STEPS_PER_UNIT)) / 2.0
    };
    let total: f64 = (0..steps).map(area).sum();
    let mut quantiles = vec![-MAX_SIGMA];
    let mut below = 0.0;
    for step in 0..steps {
        let here = area(step);
        while quantiles.len() < INTERVALS {
            let wanted = total * as_f64(quantiles.len() as u64) / as_f64(INTERVALS as u64);
            if wanted > below + here {
                break;
            }
            quantiles.push((as_f64(step) + (wanted - below) / here) / STEPS_PER_UNIT - MAX_SIGMA);
        }
        below += here;
    }
    quantiles.resize(INTERVALS + 1, MAX_SIGMA);
    quantiles
}

/// `e^x` to about 12 digits, with additions and multiplications only: the result of the standard
/// library differs in the last bit between platforms.
fn exp(x: f64) -> f64 {
    const HALVINGS: u32 = 10;
    let small = x / as_f64(1 << HALVINGS);
    let series = (1..=8).rev().fold(1.0, |sum, n| 1.0 + sum * small / f64::from(n));
    (0..HALVINGS).fold(series, |power, _| power * power)
}

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^53")]
pub(super) const fn as_f64(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-int cast saturates, and the values are small and not negative"
)]
pub(super) const fn as_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_function_is_right() {
        for x in [-8.0_f64, -1.0, -0.1, 0.0, 0.5, 1.0, 4.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-11, "{x}");
        }
    }

    #[test]
    fn the_quantiles_are_those_of_the_normal_distribution() {
        let quantiles = normal_quantiles();
        assert_eq!(quantiles.len(), INTERVALS + 1);
        assert!(quantiles.is_sorted());
        // Textbook values at 1/2, 3/4 and 31/32.
        assert!(quantiles[INTERVALS / 2].abs() < 1e-3);
        assert!((quantiles[INTERVALS * 3 / 4] - 0.674_49).abs() < 1e-3);
        assert!((quantiles[INTERVALS * 31 / 32] - 1.862_73).abs() < 1e-3);
    }
}
