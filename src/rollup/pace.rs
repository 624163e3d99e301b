//! Adapts the size of the compactor's steps and the rests between them to the duration of past
//! steps.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Rows of the first step, whose duration is unknown.
const FIRST_ROWS: u32 = 1_000;
/// Smallest step, in rows. In smaller steps the transaction and the rewritten rollup rows would
/// cost more than the rows themselves.
const MIN_ROWS: u32 = 200;
/// Target duration of a merge while no records arrive, in microseconds. Larger steps are cheaper
/// per row, because more rows share a rollup row.
const IDLE_US: u64 = 400_000;
/// Target duration of a merge while records arrive and the compactor keeps up, in microseconds.
const BUSY_US: u64 = 8_000;
/// Largest target duration of a merge when shorter steps do not keep up, in microseconds.
const OUTPACED_US: u64 = 100_000;
/// The compactor keeps up when it rolls up at least this multiple of the arriving records, so that
/// a backlog shrinks.
const HEADROOM: f64 = 1.5;
/// Time without records after which no sender is assumed to wait, in microseconds.
const QUIET_US: u64 = 1_000_000;
/// Time constant of the averages of record rate and writing-thread use, in microseconds.
const AVERAGED_US: f64 = 1e6;
/// Share of the time that the writer thread may be busy before the rests get longer.
const BUSY_SHARE: f64 = 0.7;
/// Rest after a merge while the writer thread has spare time, in percent of the merge's duration.
const SHORT_REST_PERCENT: u64 = 50;
/// Rest after a merge while it has none, in percent: senders get three quarters of the writing
/// thread.
const LONG_REST_PERCENT: u64 = 300;

/// A finished step.
#[derive(Clone, Copy, Debug)]
pub struct StepDone {
    /// Raw rows rolled up.
    pub rows: u32,
    /// Whether there may be more rows.
    pub is_full: bool,
    /// Time that the merge occupied the writer thread, in microseconds.
    pub merge_us: u64,
}

/// The senders' use of the writer thread so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SenderLoad {
    /// Records received.
    pub(crate) records: u64,
    /// Time spent committing them, in microseconds.
    pub(crate) commit_us: u64,
}

/// Adapts the step size: steps must be large enough to keep up, and otherwise as short as possible.
#[derive(Debug, Default)]
pub(super) struct CompactorPace {
    max_rows: u32,
    /// Rows of the next step.
    pub(super) step_rows: u32,
    /// Current target duration of a merge while records arrive.
    target_us: u64,
    step_began_us: u64,
    seen_at_us: u64,
    seen: SenderLoad,
    last_record_us: Option<u64>,
    records_per_us: f64,
    /// The share of the time that the writer thread spends on commits and merges.
    busy_share: f64,
}

impl CompactorPace {
    /// Creates a pace with steps of at most `max_rows` rows.
    pub(super) fn new(max_rows: u32) -> Self {
        let max_rows = max_rows.max(MIN_ROWS);
        let step_rows = FIRST_ROWS.min(max_rows);
        Self { max_rows, step_rows, target_us: BUSY_US, ..Self::default() }
    }

    /// Marks the start of a run of steps.
    pub(super) const fn begin(&mut self, now_us: u64) {
        self.step_began_us = now_us;
    }

    /// Adapts to a finished step; returns how long to rest before the next one.
    pub(super) fn step_done(&mut self, step: StepDone, now_us: u64, load: SenderLoad) -> Duration {
        self.update_averages(now_us, load, step.merge_us);
        if self.last_record_us.is_none_or(|at_us| now_us - at_us > QUIET_US) {
            self.resize(step, IDLE_US);
            self.step_began_us = now_us;
            return Duration::ZERO;
        }
        let rest_us = self.rest_us(step.merge_us);
        if step.is_full {
            let took_us = now_us.saturating_sub(self.step_began_us) + rest_us;
            let rows_per_us = f64::from(step.rows) / took_us.max(1) as f64;
            self.target_us = match rows_per_us < HEADROOM * self.records_per_us {
                true => OUTPACED_US.min(self.target_us + self.target_us / 2),
                false => BUSY_US.max(self.target_us - self.target_us / 8),
            };
        }
        self.resize(step, self.target_us);
        self.step_began_us = now_us + rest_us;
        Duration::from_micros(rest_us)
    }

    fn update_averages(&mut self, now_us: u64, load: SenderLoad, merge_us: u64) {
        let passed_us = now_us.saturating_sub(self.seen_at_us) as f64;
        let records = load.records.saturating_sub(self.seen.records);
        let work_us = load.commit_us.saturating_sub(self.seen.commit_us) + merge_us;
        (self.seen_at_us, self.seen) = (now_us, load);
        if records > 0 {
            self.last_record_us = Some(now_us);
        }
        // An exponentially weighted mean whose weights sum to one over uneven intervals.
        let weight = 1.0 / (passed_us + AVERAGED_US);
        self.records_per_us += weight * (records as f64 - passed_us * self.records_per_us);
        self.busy_share += weight * (work_us as f64 - passed_us * self.busy_share);
    }

    fn rest_us(&self, merge_us: u64) -> u64 {
        let is_busy = self.busy_share > BUSY_SHARE;
        let percent = if is_busy { LONG_REST_PERCENT } else { SHORT_REST_PERCENT };
        merge_us.min(self.target_us) * percent / 100
    }

    fn resize(&mut self, step: StepDone, target_us: u64) {
        let fitting = next_size(step.rows, step.merge_us, target_us, MIN_ROWS..=self.max_rows);
        self.step_rows = if step.is_full {
            fitting
        } else if step.merge_us > target_us {
            self.step_rows.min(fitting)
        } else {
            // A short step tells little about the duration of a full one.
            self.step_rows.min(FIRST_ROWS.max(self.step_rows - self.step_rows / 8))
        };
    }
}

/// The step size that takes `target_us` if a step of `size` took `took_us`, within `sizes`.
///
/// At most doubles the size, so that one unusually fast step does not make the next one too long.
pub(super) fn next_size(
    size: u32,
    took_us: u64,
    target_us: u64,
    sizes: RangeInclusive<u32>,
) -> u32 {
    let size = u64::from(size);
    let fitting = (size.saturating_mul(target_us) / took_us.max(1)).min(size * 2);
    u32::try_from(fitting).unwrap_or(u32::MAX).clamp(*sizes.start(), *sizes.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A simulated pipeline: the cost of rolling up, and records that arrive at a steady rate.
    struct Simulated {
        pace: CompactorPace,
        now_us: u64,
        per_second: u64,
        rolled_up: u64,
        longest_merge_us: u64,
        most_left: u64,
    }

    impl Simulated {
        const COMMIT_US_PER_RECORD: u64 = 6;

        fn new(per_second: u64) -> Self {
            Self {
                pace: CompactorPace::new(100_000),
                now_us: 0,
                per_second,
                rolled_up: 0,
                longest_merge_us: 0,
                most_left: 0,
            }
        }

        fn left(&self) -> u64 {
            self.now_us * self.per_second / 1_000_000 - self.rolled_up
        }

        /// Runs the compactor every 500 ms; a step costs 4 ms plus 10 µs per row on each of the two threads.
        fn run_for(&mut self, seconds: u64) {
            (self.longest_merge_us, self.most_left) = (0, 0);
            let end_us = self.now_us + seconds * 1_000_000;
            while self.now_us < end_us {
                self.pace.begin(self.now_us);
                while self.step() {}
                self.now_us += 500_000;
            }
        }

        fn step(&mut self) -> bool {
            let step_rows = u64::from(self.pace.step_rows);
            let rows = step_rows.min(self.left());
            let merge_us = 4_000 + rows * 10;
            self.now_us += 2 * merge_us;
            self.most_left = self.most_left.max(self.left());
            self.longest_merge_us = self.longest_merge_us.max(merge_us);
            self.rolled_up += rows;
            let records = self.now_us * self.per_second / 1_000_000;
            let load = SenderLoad { records, commit_us: records * Self::COMMIT_US_PER_RECORD };
            let rows = u32::try_from(rows).unwrap();
            let is_full = u64::from(rows) == step_rows;
            let rest = self.pace.step_done(StepDone { rows, is_full, merge_us }, self.now_us, load);
            self.now_us += u64::try_from(rest.as_micros()).unwrap();
            is_full
        }
    }

    #[test]
    fn few_records_are_merged_in_short_steps() {
        let mut simulated = Simulated::new(1_000);
        simulated.run_for(10);
        simulated.run_for(30);
        assert!(simulated.longest_merge_us <= BUSY_US, "{} µs", simulated.longest_merge_us);
        assert!(simulated.most_left < 1_000, "{} rows", simulated.most_left);
    }

    #[test]
    fn steps_grow_until_they_keep_up_with_twenty_thousand_records_a_second() {
        let mut simulated = Simulated::new(20_000);
        simulated.run_for(10);
        simulated.run_for(60);
        assert!(simulated.most_left < 40_000, "more than two seconds: {}", simulated.most_left);
        assert!(simulated.longest_merge_us <= OUTPACED_US, "{} µs", simulated.longest_merge_us);
    }

    #[test]
    fn a_backlog_shrinks_while_records_arrive() {
        let mut simulated = Simulated::new(20_000);
        simulated.now_us = 10_000_000;
        simulated.pace.seen.records = 200_000;
        assert_eq!(simulated.left(), 200_000);
        simulated.run_for(60);
        simulated.run_for(10);
        assert!(simulated.most_left < 40_000, "{} rows", simulated.most_left);
    }

    #[test]
    fn saturating_senders_get_three_quarters_of_the_writing_thread() {
        let mut pace = CompactorPace::new(100_000);
        let (mut now_us, mut commit_us, mut merged_us) = (0, 0, 0);
        for step in 1..200 {
            let merge_us = 50_000;
            now_us += merge_us;
            merged_us += merge_us;
            let load = SenderLoad { records: step * 10_000, commit_us };
            let done = StepDone { rows: 1_000, is_full: true, merge_us };
            let rest_us = u64::try_from(pace.step_done(done, now_us, load).as_micros()).unwrap();
            now_us += rest_us;
            commit_us += rest_us;
        }
        let share = commit_us as f64 / (commit_us + merged_us) as f64;
        assert!((0.7..0.76).contains(&share), "{share}");
    }

    #[test]
    fn steps_grow_to_the_maximum_without_senders() {
        let mut pace = CompactorPace::new(100_000);
        for step in 1..20 {
            let rows = pace.step_rows;
            let done = StepDone { rows, is_full: true, merge_us: u64::from(rows) };
            let rest = pace.step_done(done, step * 100_000, SenderLoad::default());
            assert_eq!(rest, Duration::ZERO);
        }
        assert_eq!(pace.step_rows, 100_000);
    }

    #[test]
    fn steps_shrink_at_once_and_grow_slowly() {
        assert_eq!(next_size(1_000, 100_000, 10_000, 50..=2_000), 100);
        assert_eq!(next_size(1_000, 10, 10_000, 50..=20_000), 2_000);
        assert_eq!(next_size(1_000, 10, 10_000, 50..=1_500), 1_500);
        assert_eq!(next_size(1_000, u64::MAX, 10_000, 50..=2_000), 50);
    }
}
