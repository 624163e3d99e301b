//! When an alert is due: an operator, a threshold, a window, and how often in a row.

use std::time::Duration;

use crate::model::{Aggregation, TimeRange, Timestamp, Tz};

/// How a value is held against its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `>`
    Above,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 5] = [Self::Above, Self::Below, Self::AtLeast, Self::AtMost, Self::Equal];

    /// The spelling in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Equal => "==",
        }
    }

    /// The operator with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == text)
    }

    /// Whether large values violate.
    pub const fn is_upward(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// Whether small values violate.
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

    /// Whether `value` is back where the incident may end.
    pub fn clears(self, value: f64, clear_threshold: f64) -> bool {
        match self {
            Self::Above | Self::AtLeast => value <= clear_threshold,
            Self::Below | Self::AtMost => value >= clear_threshold,
            Self::Equal => !self.holds(value, clear_threshold),
        }
    }
}

/// A calendar period of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// A local day.
    Day,
    /// Seven local days from Monday.
    Week,
    /// A local calendar month.
    Month,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The spelling in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The period with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == text)
    }

    const fn aggregation(self) -> Aggregation {
        match self {
            Self::Day => Aggregation::Daily,
            Self::Week => Aggregation::Weekly,
            Self::Month => Aggregation::Monthly,
        }
    }

    /// The whole period of `tz` that contains `at`.
    pub fn containing(self, at: Timestamp, tz: Tz) -> TimeRange {
        let start = self.aggregation().bucket_start(at, tz);
        TimeRange::new(start, self.aggregation().next_start(start, tz))
    }

    /// Its name, the date it begins with: `2026-11-23`.
    pub fn name(self, at: Timestamp, tz: Tz) -> String {
        let start = self.containing(at, tz).start;
        crate::model::time::local_date(start, tz).to_string()
    }
}

/// Which requests one evaluation looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvaluationWindow {
    /// The last so many milliseconds.
    Rolling(Duration),
    /// From the start of the local period that is running.
    Period(Period),
}

impl EvaluationWindow {
    /// The range that an evaluation at `end` looks at.
    pub fn ending_at(self, end: Timestamp, tz: Tz) -> TimeRange {
        match self {
            Self::Rolling(width) => {
                let width_ms = i64::try_from(width.as_millis()).unwrap_or(i64::MAX);
                TimeRange::new(end.plus_ms(-width_ms), end)
            }
            Self::Period(period) => TimeRange::new(period.containing(end, tz).start, end),
        }
    }

    /// The width of a rolling window in milliseconds.
    pub fn rolling_ms(self) -> Option<i64> {
        match self {
            Self::Rolling(width) => i64::try_from(width.as_millis()).ok(),
            Self::Period(_) => None,
        }
    }
}

/// When an alert is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertCondition {
    /// How the value is held against the threshold.
    pub operator: Operator,
    /// In the unit of the metric; for budgets a share of the limit.
    pub threshold: f64,
    /// The requests that count.
    pub window: EvaluationWindow,
    /// Evaluations in violation, one after the other, until it fires.
    pub consecutive: u32,
    /// Where the value must be back for the incident to end.
    pub clear_threshold: f64,
    /// Evaluations there, one after the other, until it ends.
    pub clear_consecutive: u32,
}

/// Part of the threshold that is left between firing and ending, unless the rule says otherwise.
const CLEAR_SHARE: f64 = 0.8;

impl AlertCondition {
    /// `operator threshold` over the last `window`, `consecutive` times in a row; it ends after ten
    /// evaluations at most 0.8 times the threshold (or, for `<`, at least 1.25 times).
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

    /// The clear threshold that a rule has when it names none.
    pub fn default_clear(operator: Operator, threshold: f64) -> f64 {
        if operator.is_upward() {
            as_written(threshold * CLEAR_SHARE)
        } else if operator.is_downward() {
            as_written(threshold / CLEAR_SHARE)
        } else {
            threshold
        }
    }
}

/// The number that people would write for `value`: 0.8 x 0.35 is 0.28, and a share of 28 of 100 is no
/// more.
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
