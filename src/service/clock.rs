//! The clock of the service: retention, alerts, and reports about clock deviations.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Chatgauge, ServiceCore};
use crate::alert::summary::duration_text;
use crate::error::Result;
use crate::ingest::wire::RecordContext;
use crate::model::record::limits;
use crate::model::{ClockReading, Source, Timestamp};
use crate::query::status::{ClockSkewStatus, ClockStatus};
use crate::rollup::RetentionReport;
use crate::store::ClockSkew;

/// Maximum time without storing the clock, so that an idle server is not mistaken for a stopped
/// one.
const STORE_INTERVAL: Duration = Duration::from_secs(600);
/// Share of records dated ahead of the clock from which it is a problem, in percent.
const SKEW_PROBLEM_PERCENT: u64 = 1;

impl Chatgauge {
    /// The time limits and the pseudonymizer for records from `source`.
    pub(crate) fn record_context(&self, source: Source) -> RecordContext {
        let pseudonymizer = self.shared().pseudonymizer.clone();
        RecordContext {
            latest_start: self.latest_start(),
            ..RecordContext::new(self.now(), source, pseudonymizer)
        }
    }

    /// The current time as far as it is trusted; retention goes by it.
    pub(crate) fn trusted_now(&self) -> Timestamp {
        self.shared().trusted.read().trusted
    }

    /// The latest start that is accepted. If the clock is known to be behind, the stored clock is
    /// used.
    pub(crate) fn latest_start(&self) -> Timestamp {
        self.shared().trusted.read().latest.plus_ms(limits::FUTURE_MS)
    }
}

impl ServiceCore {
    /// The time for alerts and notifications: the wall clock, unless it jumped within the last five
    /// minutes.
    pub(super) fn steady_now(&self) -> Timestamp {
        self.trusted.read().steady
    }

    /// Prunes everything beyond its retention.
    pub(super) fn prune(&self) -> Result<RetentionReport> {
        let reading = self.trusted.read();
        self.retention.bound_arrivals(&self.queue, reading.latest)?;
        let by_age = reading.ages_at().is_some();
        self.retention.run(&self.queue, reading.trusted, by_age, &|| !self.is_stopping())
    }

    /// Logs when the clock starts or stops deviating, and stores it if there was no commit for
    /// long.
    pub(super) fn watch_clock(&self) {
        let reading = self.trusted.read();
        let problem = clock_problem(&reading);
        let is_problem = problem.is_some();
        if self.is_clock_wrong.swap(is_problem, Ordering::SeqCst) != is_problem {
            match problem {
                Some(problem) => tracing::warn!(clock = %reading.wall, "{problem}"),
                None => tracing::info!(clock = %reading.wall, "the clock no longer deviates"),
            }
        }
        if let Err(error) = self.gate().write(|writer| writer.keep_clock(STORE_INTERVAL)) {
            // The reason is reported where records are rejected.
            tracing::debug!(%error, "storing the clock failed; retrying");
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

    /// Problems of the clocks, as texts.
    pub(super) fn clock_problems(&self) -> Vec<String> {
        let own = clock_problem(&self.trusted.read());
        own.into_iter().chain(skew_problem(&self.skew())).collect()
    }
}

fn clock_problem(reading: &ClockReading) -> Option<String> {
    let apart = duration_text(reading.ahead_ms);
    if reading.paused_ms > 0 {
        let left = duration_text(reading.paused_ms);
        return Some(format!(
            "the clock is {apart} ahead of the time stored before startup: retention by age is paused for \
             {left}; check the clock unless a long stop explains it"
        ));
    }
    if reading.ahead_ms > limits::CLOCK_TOLERANCE_MS {
        return Some(format!(
            "the clock jumped {apart} ahead: retention uses the elapsed time until the clock has been ahead \
             for a day; check the clock"
        ));
    }
    if reading.ahead_ms < -limits::CLOCK_TOLERANCE_MS {
        return Some(format!(
            "the clock is {apart} behind the stored time plus the elapsed time; check the clock"
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
        duration_text(median_ms)
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Config;
    use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
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
            assert_eq!(duration_text(ms), text);
        }
    }

    #[test]
    fn a_clock_years_behind_rejects_no_valid_record() {
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
            ["the clock is 2000 d behind the stored time plus the elapsed time; check the clock"]
        );
        gauge.shutdown().unwrap();
    }

    #[test]
    fn a_clock_problem_names_the_sender_or_with_a_majority_this_server() {
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
