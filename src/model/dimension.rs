//! Dimensions to group by, and filters.

use super::spelling::spelled_enum;
use super::{ErrorType, LatencyKind, Name, Source};

spelled_enum! {
    /// A dimension of a request to group by.
    pub enum Dimension {
        /// Workspace, project or team.
        Space = "space",
        /// Pseudonymous user.
        User = "user",
        /// Model name, independent of the provider.
        Model = "model",
        /// Provider of the model.
        Provider = "provider",
        /// Error type; groups only errors.
        ErrorType = "error_type",
    }
}

/// Name of a missing dimension.
pub const NONE_NAME: &str = "(none)";
/// Name of the group of all values beyond the cardinality limit.
pub const OTHER_NAME: &str = "(other)";

/// Maximum latency bound in milliseconds: longer than any request.
const LATENCY_MS_MAX: f64 = 1e12;

/// Conditions on requests: values of the same field are alternatives, different fields combine with
/// *and*.
///
/// An empty list or `None` does not restrict. Users are given as pseudonyms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Spaces.
    pub spaces: Vec<Name>,
    /// Pseudonyms.
    pub users: Vec<Name>,
    /// Model names.
    pub models: Vec<Name>,
    /// Providers.
    pub providers: Vec<Name>,
    /// Only errors of these types.
    pub error_types: Vec<ErrorType>,
    /// Kinds of outcome: `success`, `error`, `cancelled`.
    pub outcomes: Vec<&'static str>,
    /// Streamed or not; requests for which this is unknown match neither.
    pub streamed: Option<bool>,
    /// Routes by which requests arrive.
    pub sources: Vec<Source>,
    /// Only requests with a known latency within these bounds.
    pub latency: Option<LatencyBounds>,
}

/// A half-open range of one latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LatencyBounds {
    /// The latency.
    pub kind: LatencyKind,
    /// Lower bound in microseconds, inclusive.
    pub min_us: u64,
    /// Upper bound in microseconds, exclusive; `None` for no bound.
    pub max_us: Option<u64>,
}

impl LatencyBounds {
    /// Creates bounds from milliseconds; `None` without any.
    ///
    /// # Errors
    /// Returns the reason if a bound is not a number of at least 0, or the bounds exclude
    /// everything.
    pub fn from_ms(
        kind: LatencyKind,
        min_ms: Option<f64>,
        max_ms: Option<f64>,
    ) -> Result<Option<Self>, &'static str> {
        if min_ms.is_none() && max_ms.is_none() {
            return Ok(None);
        }
        let min_us = min_ms.map_or(Ok(0), whole_us)?;
        let max_us = max_ms.map(whole_us).transpose()?;
        if max_us.is_some_and(|max_us| max_us <= min_us) {
            return Err("must be above the minimum latency");
        }
        Ok(Some(Self { kind, min_us, max_us }))
    }
}

fn whole_us(ms: f64) -> Result<u64, &'static str> {
    let is_amount = ms.is_finite() && (0.0..=LATENCY_MS_MAX).contains(&ms);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a thousand times LATENCY_MS_MAX"
    )]
    let us = (ms * 1_000.0).round() as u64;
    if is_amount { Ok(us) } else { Err("must be a number of milliseconds from 0 to 1e12") }
}

impl Filter {
    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the query needs raw rows, because rollups do not contain the filtered fields.
    pub fn needs_raw_rows(&self) -> bool {
        !self.outcomes.is_empty()
            || !self.error_types.is_empty()
            || !self.sources.is_empty()
            || self.streamed.is_some()
            || self.latency.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_in_microseconds_and_enclose_something() {
        let of = |min, max| LatencyBounds::from_ms(LatencyKind::Llm, min, max);
        assert_eq!(of(None, None), Ok(None));
        let bounds = of(Some(0.5), Some(1_500.25)).unwrap().unwrap();
        assert_eq!((bounds.min_us, bounds.max_us), (500, Some(1_500_250)));
        assert_eq!(of(None, Some(1.0)).unwrap().unwrap().min_us, 0);
        assert_eq!(of(Some(1.0), None).unwrap().unwrap().max_us, None);
        for (min, max) in [(Some(-1.0), None), (Some(f64::NAN), None), (None, Some(2e12))] {
            assert!(of(min, max).is_err(), "{min:?} {max:?}");
        }
        assert!(of(Some(5.0), Some(5.0)).is_err());
    }
}
