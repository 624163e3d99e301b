//! Group commit with an adaptive delay: small batches of several senders are committed with one fsync (compare
//! PostgreSQL's `commit_delay`).

use std::time::Duration;

/// Minimum time from the start of one commit to the start of the next, in microseconds, while delays are fruitful.
///
/// A commit costs the processor and the disk nearly the same for one record as for ten. Records more than this apart are
/// never delayed.
const SPACING_US: u64 = 3_000;
/// Maximum credit. Each fruitful delay adds one and each fruitless one takes one; without credit the delay is off. A delay
/// is fruitful if something arrives in its second half: senders that were acknowledged together may return in the first.
const CREDIT_MAX: u32 = 8;
/// While the delay is off, one in this many of the commits that could be delayed is delayed as a trial.
const TRIAL_COMMITS: u32 = 32;
/// Maximum number of commits in a row before which the writer sleeps without polling the queue, at full credit; then it polls
/// once without a sleep, so that arrivals are measured again.
const SLEEPS_MAX: u32 = 16;
/// After the writer was busy for at least [`SPACING_US`], commits are not delayed for this many times as long.
const CATCH_UP: u64 = 3;

/// Decides how long to delay each commit, and learns from the arrivals during a delay whether it is fruitful.
///
/// A sender that waits for each response never sends during a delay, and would only lose time; records of many users
/// arrive at any time.
#[derive(Debug, Default)]
pub(super) struct CommitPace {
    last_start_us: Option<u64>,
    catch_up_until_us: u64,
    /// Fruitful delays minus fruitless ones, from 0 to [`CREDIT_MAX`].
    credit: u32,
    /// Commits that could have been delayed since the last one that was.
    undelayed: u32,
    /// Sleeps since the writer last polled the queue without one.
    sleeps: u32,
}

impl CommitPace {
    /// Sleep before the writer polls the queue; zero for none.
    ///
    /// Waking for the first arrival costs about as much as processing it, so the writer sleeps until the delay has passed.
    pub(super) fn sleep(&mut self, now_us: u64) -> Duration {
        if self.credit < CREDIT_MAX || self.sleeps >= SLEEPS_MAX {
            self.sleeps = 0;
            return Duration::ZERO;
        }
        self.sleeps += 1;
        self.until_due(now_us)
    }

    /// Delay of the commit of a batch that has just arrived; zero for none.
    pub(super) fn delay(&mut self, now_us: u64) -> Duration {
        let until_due = self.until_due(now_us);
        if until_due.is_zero() {
            return Duration::ZERO;
        }
        self.undelayed += 1;
        if self.credit == 0 && self.undelayed < TRIAL_COMMITS {
            return Duration::ZERO;
        }
        self.undelayed = 0;
        until_due
    }

    fn until_due(&self, now_us: u64) -> Duration {
        let due_us = self.last_start_us.map_or(0, |start_us| start_us + SPACING_US);
        let is_due = due_us <= now_us || now_us < self.catch_up_until_us;
        Duration::from_micros(if is_due { 0 } else { due_us - now_us })
    }

    /// Records whether a delay was fruitful.
    pub(super) fn delayed(&mut self, is_fruitful: bool) {
        self.credit = if is_fruitful {
            CREDIT_MAX.min(self.credit + 1)
        } else {
            self.credit.saturating_sub(1)
        };
    }

    /// Records the start of a commit.
    pub(super) const fn commit_starts(&mut self, now_us: u64) {
        self.last_start_us = Some(now_us);
    }

    /// Records that the last command kept the writer busy for `took_us` until now. After a long one, the requests that piled
    /// up at the senders arrive one after the other, and a delay of each would slow the recovery down.
    pub(super) fn was_busy(&mut self, now_us: u64, took_us: u64) {
        if took_us >= SPACING_US {
            self.catch_up_until_us = self.catch_up_until_us.max(now_us + CATCH_UP * took_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates one sender whose next record arrives `gap_us` after each commit of 400 µs; returns the number of delayed
    /// commits.
    fn delayed_with_one_sender(gap_us: u64, commits: u32) -> u32 {
        let mut pace = CommitPace::default();
        let (mut now_us, mut delayed) = (0, 0);
        for _ in 0..commits {
            assert_eq!(pace.sleep(now_us), Duration::ZERO);
            let wait = pace.delay(now_us);
            if !wait.is_zero() {
                delayed += 1;
                pace.delayed(false);
                now_us += as_us(wait);
            }
            pace.commit_starts(now_us);
            now_us += 400 + gap_us;
        }
        delayed
    }

    fn as_us(wait: Duration) -> u64 {
        u64::try_from(wait.as_micros()).unwrap()
    }

    /// Counts the commits of records that arrive every `every_us`, whether or not earlier records are committed.
    fn commits_of_many_senders(every_us: u64, records: u64) -> u64 {
        let mut pace = CommitPace::default();
        let (mut now_us, mut next, mut commits) = (0, 0, 0);
        while next < records {
            let asleep_until_us = now_us + as_us(pace.sleep(now_us));
            now_us = asleep_until_us.max(next * every_us);
            let wait = as_us(pace.delay(now_us));
            if wait > 0 {
                let arrived = |until_us: u64| until_us / every_us;
                pace.delayed(arrived(now_us + wait) > arrived(now_us + wait / 2));
                now_us += wait;
            }
            pace.commit_starts(now_us);
            commits += 1;
            next = (now_us / every_us + 1).max(next + 1);
            now_us += 400;
        }
        commits
    }

    #[test]
    fn rare_records_are_never_delayed() {
        assert_eq!(delayed_with_one_sender(SPACING_US, 1_000), 0);
    }

    #[test]
    fn a_sender_that_waits_for_each_response_is_hardly_ever_delayed() {
        let delayed = delayed_with_one_sender(100, 3_200);
        assert!(delayed <= 3_200 / TRIAL_COMMITS, "{delayed} of 3,200 commits were delayed");
        assert!(delayed > 0, "the delay is tried from time to time");
    }

    #[test]
    fn records_of_many_senders_share_commits() {
        let commits = commits_of_many_senders(1_000, 10_000);
        assert!((3_000..4_500).contains(&commits), "{commits} commits of 10,000 records");
    }

    #[test]
    fn commits_are_not_delayed_after_a_stall() {
        let mut pace = CommitPace::default();
        (0..CREDIT_MAX).for_each(|_| pace.delayed(true));
        pace.commit_starts(0);
        assert_eq!(pace.delay(1_000), Duration::from_micros(SPACING_US - 1_000));
        pace.was_busy(20_000, 10_000);
        pace.commit_starts(20_000);
        assert_eq!(pace.delay(21_000), Duration::ZERO);
        // A shorter one does not end this.
        pace.was_busy(25_000, 4_000);
        pace.commit_starts(45_000);
        assert_eq!(pace.delay(46_000), Duration::ZERO);
        pace.commit_starts(50_000);
        assert_eq!(pace.delay(51_000), Duration::from_micros(SPACING_US - 1_000));
    }
}
