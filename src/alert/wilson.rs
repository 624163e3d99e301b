//! Confidence intervals of a share of few requests: the Wilson interval.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
//! (1927). It stays within 0..1 and is accurate for few requests, unlike the plain share.

/// The one-sided lower bound of the true share for `events` of `samples`; 0 without samples.
///
/// # Example
/// ```
/// use chatgauge::alert::wilson::{lower_bound, quantile_of};
/// let z = quantile_of(0.95);
/// assert!(lower_bound(5, 20, z) > 0.10);
/// assert!(lower_bound(4, 20, z) < 0.10);
/// ```
pub fn lower_bound(events: u64, samples: u64, z: f64) -> f64 {
    interval(events, samples, z).0
}

/// The one-sided upper bound of the true share; 1 without samples.
pub fn upper_bound(events: u64, samples: u64, z: f64) -> f64 {
    interval(events, samples, z).1
}

/// The lower and the upper bound.
fn interval(events: u64, samples: u64, z: f64) -> (f64, f64) {
    if samples == 0 {
        return (0.0, 1.0);
    }
    let n = as_f64(samples);
    let p = as_f64(events.min(samples)) / n;
    let square = z * z;
    let spread = z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
    let (center, scale) = (p + square / (2.0 * n), 1.0 + square / n);
    (((center - spread) / scale).max(0.0), ((center + spread) / scale).min(1.0))
}

/// The quantile of the standard normal distribution at `confidence`, for `0.5 <= confidence < 1`,
/// with an error below 0.0005 (Abramowitz and Stegun, "Handbook of Mathematical Functions",
/// 26.2.23).
pub fn quantile_of(confidence: f64) -> f64 {
    let tail = (1.0 - confidence).clamp(f64::MIN_POSITIVE, 0.5);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

/// The quantile for a share that is evaluated `looks` times while the same requests are in the
/// window.
///
/// The error probability `1 - confidence` applies to the window, not to each of its overlapping
/// evaluations, so it is divided among them (Bonferroni correction).
pub fn quantile_over(confidence: f64, looks: u32) -> f64 {
    quantile_of(1.0 - (1.0 - confidence) / f64::from(looks.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests, exact up to 2^53")]
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_quantiles() {
        for (confidence, z) in [(0.95, 1.644_854), (0.975, 1.959_964), (0.99, 2.326_348)] {
            assert!((quantile_of(confidence) - z).abs() < 5e-4, "{confidence}");
        }
        assert!((quantile_over(0.95, 10) - 2.575_829).abs() < 5e-4);
    }

    #[test]
    fn fewest_errors_that_prove_more_than_a_tenth() {
        let fewest = |samples, confidence| {
            (0..=samples)
                .find(|events| lower_bound(*events, samples, quantile_of(confidence)) > 0.1)
        };
        assert_eq!([20, 50, 100].map(|n| fewest(n, 0.95)), [Some(5), Some(9), Some(15)]);
    }

    #[test]
    fn the_share_is_within_its_bounds() {
        for samples in [1, 7, 50, 1_000] {
            for events in 0..=samples.min(40) {
                let share = as_f64(events) / as_f64(samples);
                let (low, high) =
                    (lower_bound(events, samples, 1.6), upper_bound(events, samples, 1.6));
                let between = low <= share + 1e-12 && share <= high + 1e-12;
                assert!(between && (0.0..=1.0).contains(&low), "{events} of {samples}");
            }
        }
    }
}
