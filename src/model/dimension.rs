//! What an answer can be grouped by, and what it can be filtered by.

use super::{ErrorType, LatencyKind, Name, Source};

/// A dimension of a request that an answer can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Workspace, project or team.
    Space,
    /// Pseudonymous user.
    User,
    /// Model name, whoever runs it.
    Model,
    /// Provider of the model.
    Provider,
    /// Kind of error; groups errors only.
    ErrorType,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] =
        [Self::Space, Self::User, Self::Model, Self::Provider, Self::ErrorType];

    /// The spelling in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::User => "user",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::ErrorType => "error_type",
        }
    }

    /// The dimension with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == text)
    }
}

/// The name shown for a missing dimension.
pub const NONE_NAME: &str = "(none)";
/// The name that takes the distinct values beyond the cap.
pub const OTHER_NAME: &str = "(other)";

/// The greatest bound of a latency, in milliseconds: longer than any request.
const LATENCY_MS_MAX: f64 = 1e12;

/// Conditions on requests: several values of one field are alternatives, fields combine with *and*.
///
/// An empty list or `None` does not restrict. `user` values are pseudonyms.
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
    /// Error types: only such errors.
    pub error_types: Vec<ErrorType>,
    /// Kinds of outcome: `success`, `error`, `cancelled`.
    pub outcomes: Vec<&'static str>,
    /// Streamed or not; requests of which it is unknown match neither.
    pub streamed: Option<bool>,
    /// Routes.
    pub sources: Vec<Source>,
    /// Requests whose latency is known and lies in here.
    pub latency: Option<LatencyBounds>,
}

/// A half-open range of one latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LatencyBounds {
    /// Which latency.
    pub kind: LatencyKind,
    /// The least latency inside, in microseconds.
    pub min_us: u64,
    /// The least latency beyond, in microseconds; `None`: there is none.
    pub max_us: Option<u64>,
}

impl LatencyBounds {
    /// The bounds from milliseconds; `None` without any.
    ///
    /// # Errors
    /// The reason when one is not a number from 0 up or nothing lies between them.
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
            return Err("is not above the least latency, so nothing can match");
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

    /// Whether only single requests know the answer: rollups do not carry what is asked about.
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
