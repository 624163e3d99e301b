//! The clock of the service: what ages and alerts go by, and what is said when it deviates.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Chatgauge, Shared};
use crate::error::Result;
use crate::ingest::ClockSkew;
use crate::ingest::wire::RecordContext;
use crate::model::record::limits;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{ClockReading, Source, Timestamp};
use crate::query::status::{ClockSkewStatus, ClockStatus};
use crate::rollup::RetentionReport;
use crate::store::WriteGate;

/// Without commits the clock is stored so often, so that a server that only runs is not taken for one that was stopped.
const STORED_WITHIN: Duration = Duration::from_secs(600);
/// The share of records ahead of the clock from which on it is a problem, in percent.
const SKEW_PROBLEM_PERCENT: u64 = 1;

impl Chatgauge {
    /// Where records that come by `source` stand in time, and who makes their pseudonyms.
    pub(crate) fn record_context(&self, source: Source) -> RecordContext {
        let pseudonymizer = self.shared().pseudonymizer.clone();
        RecordContext {
            latest_start: self.latest_start(),
            ..RecordContext::new(self.now(), source, pseudonymizer)
        }
    }

    /// The current instant, as far as it is trusted: what is forgotten by it has outlived its time.
    pub(crate) fn trusted_now(&self) -> Timestamp {
        self.shared().trusted.read().trusted
    }

    /// The latest start of a record that is accepted now. A clock that is known to be behind does not count.
    pub(crate) fn latest_start(&self) -> Timestamp {
        self.shared().trusted.read().latest.plus_ms(limits::FUTURE_MS)
    }
}

impl Shared {
    /// What alerts and their messages go by: the wall clock, unless it jumped within the last five minutes.
    pub(super) fn steady_now(&self) -> Timestamp {
        self.trusted.read().steady
    }

    /// Deletes everything that has outlived its time.
    pub(super) fn prune(&self) -> Result<RetentionReport> {
        let reading = self.trusted.read();
        self.retention.bound_arrivals(&self.queue, reading.latest)?;
        let by_age = reading.ages_at().is_some();
        self.retention.run(&self.queue, reading.trusted, by_age, &|| !self.is_stopping())
    }

    /// Looks at the clock: logs when it begins or ceases to deviate, and stores it when no commit did for long.
    pub(super) fn watch_clock(&self) {
        let reading = self.trusted.read();
        let problem = clock_problem(&reading);
        let is_problem = problem.is_some();
        if self.is_clock_wrong.swap(is_problem, Ordering::SeqCst) != is_problem {
            match problem {
                Some(problem) => tracing::warn!(clock = %reading.wall, "{problem}"),
                None => tracing::info!(clock = %reading.wall, "the clock is followed again"),
            }
        }
        let gate: &dyn WriteGate = &self.queue;
        if let Err(error) = gate.write(|writer| writer.keep_clock(STORED_WITHIN)) {
            // Why nothing can be written is told where records are refused.
            tracing::debug!(%error, "the clock could not be stored; the next look tries again");
        }
    }

    pub(super) fn clock_status(&self) -> ClockStatus {
        let reading = self.trusted.read();
        ClockStatus {
            ahead_ms: reading.ahead_ms,
            retention_at: reading.trusted,
            retention_paused_ms: u64::try_from(reading.paused_ms).unwrap_or(0),
        }
    }

    pub(super) fn clock_skew_status(&self) -> ClockSkewStatus {
        let ClockSkew { records, ahead_records, ahead_median_ms, .. } = self.skew();
        ClockSkewStatus { records, ahead_records, ahead_median_ms }
    }

    fn skew(&self) -> ClockSkew {
        self.queue.skew(self.clock.monotonic_us())
    }

    /// What is wrong with the clocks, in words.
    pub(super) fn clock_problems(&self) -> Vec<String> {
        let own = clock_problem(&self.trusted.read());
        own.into_iter().chain(skew_problem(&self.skew())).collect()
    }
}

fn clock_problem(reading: &ClockReading) -> Option<String> {
    let apart = duration(reading.ahead_ms);
    if reading.paused_ms > 0 {
        let left = duration(reading.paused_ms);
        return Some(format!(
            "the clock is {apart} past the last one stored before the start: nothing is deleted because of its age for \
             {left}; check the clock unless a long stop explains it"
        ));
    }
    if reading.ahead_ms > limits::CLOCK_TOLERANCE_MS {
        return Some(format!(
            "the clock jumped {apart} ahead: ages are counted by the time that has really passed until it has been ahead \
             for a day; check the clock"
        ));
    }
    if reading.ahead_ms < -limits::CLOCK_TOLERANCE_MS {
        return Some(format!(
            "the clock is {apart} behind the stored one and the time that has passed since; check the clock"
        ));
    }
    None
}

fn skew_problem(skew: &ClockSkew) -> Option<String> {
    let ClockSkew { records, ahead_records, ahead_median_ms, ahead_from } = skew;
    let median_ms = ahead_median_ms.and_then(|ms| i64::try_from(ms).ok())?;
    if ahead_records * 100 < records * SKEW_PROBLEM_PERCENT {
        return None;
    }
    let is_majority = ahead_records * 2 > *records;
    let who = match ahead_from {
        _ if is_majority => {
            "most senders agree with each other, so this clock is probably behind".to_owned()
        }
        Some((source, Some(space))) => format!("mostly from source {source}, space {space}"),
        Some((source, None)) => format!("mostly from source {source}"),
        None => String::new(),
    };
    Some(format!(
        "{ahead_records} of the last {records} records are dated {} ahead of this server's clock ({who}); check the clocks",
        duration(median_ms)
    ))
}

/// A length of time for people: its largest unit, and the next one where that matters.
fn duration(ms: i64) -> String {
    let ms = ms.saturating_abs();
    let (days, hours, minutes) = (ms / DAY_MS, ms % DAY_MS / HOUR_MS, ms % HOUR_MS / MINUTE_MS);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", ms / 1_000),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Config;
    use crate::model::{ManualClock, Name};

    #[test]
    fn lengths_of_time_are_readable() {
        for (ms, text) in [
            (59_999, "59 s"),
            (-7 * MINUTE_MS, "7 min"),
            (2 * HOUR_MS, "2 h"),
            (2 * HOUR_MS + 90_000, "2 h 1 min"),
            (DAY_MS, "1 d"),
            (3 * DAY_MS + 5 * HOUR_MS + 1, "3 d 5 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn a_clock_that_lost_years_rejects_no_record_that_is_dated_right() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.path = directory.path().join("chat.db");
        let right = Timestamp::from_unix_ms(1_790_000_000_000);
        let clock = Arc::new(ManualClock::new(right));
        let open = || Chatgauge::open_with_clock(config.clone(), clock.clone()).unwrap();
        open().shutdown().unwrap();
        clock.jump_ms(-2_000 * DAY_MS);
        let gauge = open();
        assert_eq!(
            gauge.record_context(Source::Rest).latest_start,
            right.plus_ms(limits::FUTURE_MS)
        );
        let problems = gauge.status().unwrap().problems;
        assert_eq!(
            problems,
            [
                "the clock is 2000 d behind the stored one and the time that has passed since; check the clock"
            ]
        );
        gauge.shutdown().unwrap();
    }

    #[test]
    fn a_sender_that_is_ahead_is_named_and_a_majority_points_at_this_server() {
        let skew = |ahead_records| ClockSkew {
            records: 1_000,
            ahead_records,
            ahead_median_ms: Some(2 * HOUR_MS.unsigned_abs()),
            ahead_from: Some((Source::Rest, Some(Name::new("acme")))),
        };
        assert_eq!(skew_problem(&ClockSkew::default()), None);
        assert_eq!(skew_problem(&skew(9)), None);
        assert_eq!(
            skew_problem(&skew(10)).unwrap(),
            "10 of the last 1000 records are dated 2 h ahead of this server's clock (mostly from source rest, space \
             acme); check the clocks"
        );
        let majority = skew_problem(&skew(900)).unwrap();
        assert!(majority.contains("this clock is probably behind"), "{majority}");
    }
}
