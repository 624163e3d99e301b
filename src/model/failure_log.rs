//! Throttles log lines about repeated failures.

use std::time::Duration;

/// Delay between the first and the second log line, in microseconds; it doubles with each line.
const FIRST_DELAY_US: u64 = 10_000_000;
/// Maximum delay between log lines about a continuing failure, in microseconds.
const MAX_DELAY_US: u64 = 300_000_000;
/// Time without failures after which the next one starts a new series, in microseconds.
const QUIET_US: u64 = 60_000_000;
/// The same for periodic work, in intervals.
const QUIET_INTERVALS: u64 = 3;

/// A series of failures of one kind: logs the first one, then a count at growing intervals, and the
/// end. Times are monotonic microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailureLog {
    quiet_us: u64,
    failures: u64,
    since_us: u64,
    last_us: u64,
    next_line_us: u64,
    delay_us: u64,
}

/// A series of failures that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Number of failures.
    pub(crate) failures: u64,
    /// Duration from the first failure to the end, in seconds.
    pub(crate) lasted_s: u64,
}

impl Default for FailureLog {
    fn default() -> Self {
        Self::quiet_after(QUIET_US)
    }
}

impl FailureLog {
    /// For periodic work: failures in consecutive intervals form one series, however long the
    /// interval is.
    pub(crate) fn every(interval: Duration) -> Self {
        let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Self::quiet_after(interval_us.saturating_mul(QUIET_INTERVALS).max(QUIET_US))
    }

    const fn quiet_after(quiet_us: u64) -> Self {
        Self { quiet_us, failures: 0, since_us: 0, last_us: 0, next_line_us: 0, delay_us: 0 }
    }

    /// Records a failure; returns the number of failures in the series if a log line is due.
    pub(crate) fn failed(&mut self, now_us: u64) -> Option<u64> {
        if self.failures == 0 || now_us.saturating_sub(self.last_us) > self.quiet_us {
            (self.failures, self.delay_us) = (0, FIRST_DELAY_US);
            (self.since_us, self.next_line_us) = (now_us, now_us);
        }
        self.failures += 1;
        self.last_us = now_us;
        if now_us < self.next_line_us {
            return None;
        }
        self.next_line_us = now_us.saturating_add(self.delay_us);
        self.delay_us = MAX_DELAY_US.min(self.delay_us * 2);
        Some(self.failures)
    }

    /// Records a success; returns the series of failures that it ended, if any.
    pub(crate) const fn succeeded(&mut self, now_us: u64) -> Option<Ended> {
        if self.failures == 0 {
            return None;
        }
        let lasted_s = now_us.saturating_sub(self.since_us) / 1_000_000;
        let ended = Ended { failures: self.failures, lasted_s };
        self.failures = 0;
        Some(ended)
    }
}

/// Records an outcome in a [`FailureLog`]: logs a failure at the level unless it is throttled, and
/// the first success after failures. A macro, so that the target of the lines is the calling module.
macro_rules! report {
    ($log:expr, $now_us:expr, $outcome:expr, $level:ident: $failure:literal, $recovery:literal) => {
        match $outcome {
            Ok(_) => {
                if let Some(ended) = $log.succeeded($now_us) {
                    let (failures, seconds) = (ended.failures, ended.lasted_s);
                    tracing::info!(failures, seconds, $recovery);
                }
            }
            Err(error) => {
                if let Some(failures) = $log.failed($now_us) {
                    tracing::$level!(%error, failures, $failure);
                }
            }
        }
    };
}
pub(crate) use report;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_failures_logs_a_few_lines_with_counts() {
        let mut log = FailureLog::default();
        let second = 1_000_000;
        // Fifty failures a second.
        let lines: Vec<u64> = (0..75 * 50).filter_map(|n| log.failed(n * second / 50)).collect();
        assert_eq!(lines, [1, 501, 1_501, 3_501]);
        let ended = log.succeeded(75 * second).unwrap();
        assert_eq!(ended, Ended { failures: 3_750, lasted_s: 75 });
        assert_eq!(log.succeeded(76 * second), None);
        assert_eq!(log.failed(77 * second), Some(1), "a new row has a line of its own");
        assert_eq!(log.failed(200 * second), Some(1), "so has one after a quiet minute");
    }

    #[test]
    fn failures_of_several_intervals_are_one_row() {
        let minute = 60_000_000;
        let mut log = FailureLog::every(Duration::from_secs(600));
        let lines: Vec<u64> = (0..4).filter_map(|n| log.failed(n * 10 * minute)).collect();
        assert_eq!(lines, [1, 2, 3, 4], "each is five minutes or more after the line before");
        assert_eq!(log.succeeded(40 * minute), Some(Ended { failures: 4, lasted_s: 2_400 }));
        let mut log = FailureLog::every(Duration::from_secs(15));
        let lines: Vec<u64> = (0..20).filter_map(|n| log.failed(n * minute / 4)).collect();
        assert_eq!(lines, [1, 2, 4, 7, 13]);
    }
}
