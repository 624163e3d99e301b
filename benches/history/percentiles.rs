//! The relative error of percentiles from sketches, against the exact values.

use chatgauge::model::Sketch;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use crate::common::SEED;
use crate::report::Report;

const VALUES: usize = 100_000;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];

/// Adds the error of each percentile on each distribution.
pub(crate) fn measure(report: &mut Report) {
    let mut rng = Pcg64Mcg::seed_from_u64(SEED);
    let mut uniform = move || rng.random::<f64>().max(f64::MIN_POSITIVE);
    let mut normal = {
        let mut uniform = uniform.clone();
        // Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
        move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
    };
    add(report, "lognormal", || (13.5 + 0.8 * normal()).exp());
    let mut second = uniform.clone();
    add(report, "bimodal", || {
        if second() < 0.7 { 2e5 + 2e4 * second() } else { 4e6 + 5e5 * second() }
    });
    add(report, "constant", || 1_234_567.0);
    add(report, "heavy_tailed", || 1e5 / uniform().powf(1.0 / 1.2));
}

fn add(report: &mut Report, name: &str, mut next_us: impl FnMut() -> f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float-to-int cast saturates"
    )]
    let mut values: Vec<u64> = (0..VALUES).map(|_| next_us() as u64).collect();
    let mut sketch = Sketch::default();
    values.iter().for_each(|value| sketch.add(*value));
    values.sort_unstable();
    for (quantile, q) in QUANTILES {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank within the values"
        )]
        let rank = ((q * VALUES as f64).ceil() as usize).max(1) - 1;
        let exact = values[rank] as f64;
        let error = (sketch.quantile(q).unwrap_or(0.0) / exact - 1.0).abs() * 100.0;
        report.add(&format!("error_{name}_{quantile}"), error, "%", Some("<= 1"));
    }
}
