//! Alert conditions: operator, threshold, window and number of evaluations.

use std::time::Duration;

use crate::model::spelling::spelled_enum;
use crate::model::{Aggregation, TimeRange, Timestamp, Tz};

spelled_enum! {
    /// Comparison of a value with its threshold.
    pub enum Operator {
        /// `>`
        Above = ">",
        /// `<`
        Below = "<",
        /// `>=`
        AtLeast = ">=",
        /// `<=`
        AtMost = "<=",
        /// `==`
        Equal = "==",
    }
}

impl Operator {
    /// Whether values above the threshold violate.
    pub const fn is_upward(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Whether values below the threshold violate.
    pub const fn is_downward(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }

    /// Whether `value` violates `threshold`.
    ///
    /// # Example
    /// ```
    /// use chatgauge::model::alert::Operator;
    /// assert!(Operator::Above.holds(12.0, 10.0));
    /// assert!(!Operator::Above.holds(10.0, 10.0));
    /// ```
    #[expect(clippy::float_cmp, reason = "`==` means exactly equal")]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::AtMost => value <= threshold,
            Self::Equal => value == threshold,
        }
    }

    /// Whether `value` is back at the clear threshold or within it; for `==` any other value is.
    pub fn clears(self, value: f64, clear_threshold: f64) -> bool {
        match self {
            Self::Above | Self::AtLeast => value <= clear_threshold,
            Self::Below | Self::AtMost => value >= clear_threshold,
            Self::Equal => !self.holds(value, clear_threshold),
        }
    }
}

spelled_enum! {
    /// Calendar period of a budget.
    pub enum Period {
        /// A local day.
        Day = "day",
        /// Seven local days from Monday.
        Week = "week",
        /// A local calendar month.
        Month = "month",
    }
}

impl Period {
    const fn aggregation(self) -> Aggregation {
        match self {
            Self::Day => Aggregation::Daily,
            Self::Week => Aggregation::Weekly,
            Self::Month => Aggregation::Monthly,
        }
    }

    /// The period in `tz` that contains `at`.
    pub fn containing(self, at: Timestamp, tz: Tz) -> TimeRange {
        let start = self.aggregation().bucket_start(at, tz);
        TimeRange::new(start, self.aggregation().next_start(start, tz))
    }

    /// Name of the period in keys of groups: its first local date, e.g. `2026-11-23`.
    pub fn name(self, at: Timestamp, tz: Tz) -> String {
        let start = self.containing(at, tz).start;
        crate::model::time::local_date(start, tz).to_string()
    }
}

/// The range of time that an evaluation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvaluationWindow {
    /// This duration before the evaluation.
    Rolling(Duration),
    /// From the start of the current local period.
    Period(Period),
}

impl EvaluationWindow {
    /// The range that an evaluation at `end` covers.
    pub fn ending_at(self, end: Timestamp, tz: Tz) -> TimeRange {
        match self {
            Self::Rolling(width) => {
                let width_ms = i64::try_from(width.as_millis()).unwrap_or(i64::MAX);
                TimeRange::new(end.plus_ms(-width_ms), end)
            }
            Self::Period(period) => TimeRange::new(period.containing(end, tz).start, end),
        }
    }

    /// Name of the budget period that contains `at`; `None` for a rolling window.
    pub fn period_at(self, at: Timestamp, tz: Tz) -> Option<String> {
        match self {
            Self::Period(period) => Some(period.name(at, tz)),
            Self::Rolling(_) => None,
        }
    }

    /// Width of a rolling window in milliseconds.
    pub fn rolling_ms(self) -> Option<i64> {
        match self {
            Self::Rolling(width) => i64::try_from(width.as_millis()).ok(),
            Self::Period(_) => None,
        }
    }
}

/// The condition of a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertCondition {
    /// Comparison of value and threshold.
    pub operator: Operator,
    /// Threshold in the unit of the metric; a multiple of the limit for budgets and for a `request_rate` with a capacity.
    pub threshold: f64,
    /// The requests that the value covers.
    pub window: EvaluationWindow,
    /// Number of consecutive violations with which it fires.
    pub consecutive: u32,
    /// The value at which an incident may end: apart from the threshold, so that a value near it does not flap.
    pub clear_threshold: f64,
    /// Number of consecutive clear evaluations with which an incident ends.
    pub clear_consecutive: u32,
}

/// Default ratio of the clear threshold to the threshold.
const CLEAR_RATIO: f64 = 0.8;

impl AlertCondition {
    /// The condition `operator threshold` over the last `window`, for `consecutive` evaluations. An incident ends after ten
    /// consecutive evaluations at or below 0.8 times the threshold (`<`, `<=`: at or above 1.25 times; `==`: at any other
    /// value).
    pub fn new(operator: Operator, threshold: f64, window: Duration, consecutive: u32) -> Self {
        Self {
            operator,
            threshold,
            window: EvaluationWindow::Rolling(window),
            consecutive,
            clear_threshold: Self::default_clear(operator, threshold),
            clear_consecutive: 10,
        }
    }

    /// The default clear threshold.
    pub fn default_clear(operator: Operator, threshold: f64) -> f64 {
        if operator.is_upward() {
            as_written(threshold * CLEAR_RATIO)
        } else if operator.is_downward() {
            as_written(threshold / CLEAR_RATIO)
        } else {
            threshold
        }
    }
}

/// Rounds to 14 significant digits: in binary 0.8 x 0.35 is slightly less than 0.28, and a share of 28 in 100 would not be
/// clear.
fn as_written(value: f64) -> f64 {
    format!("{value:.13e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_at_the_clear_threshold_is_clear() {
        for percent in 1..=100_i32 {
            let threshold = f64::from(percent) / 100.0;
            let clear = AlertCondition::default_clear(Operator::Above, threshold);
            let share = f64::from(percent * 8) / 1_000.0;
            assert!(Operator::Above.clears(share, clear), "{share} of {threshold}: {clear}");
            let clear = AlertCondition::default_clear(Operator::Below, threshold);
            let share = f64::from(percent * 125) / 10_000.0;
            assert!(Operator::Below.clears(share, clear), "{share} of {threshold}: {clear}");
        }
        assert_eq!(AlertCondition::default_clear(Operator::Above, 0.0), 0.0);
    }
}
