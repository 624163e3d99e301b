//! When a commit is worth putting off: senders of few records share one, and its wait for the disk.

use std::time::Duration;

/// Time from the start of a commit to the start of the next one, when that brings company.
///
/// A commit costs the processor and the disk nearly the same for one record as for ten. Records that come more rarely
/// than this are never kept waiting.
const SPACING_US: u64 = 3_000;
/// Waits in vain after which there are no more, when those before were worth it.
const MAX_WORTH: u32 = 8;
/// Commits that are not put off between two that are, to see whether it is worth it now.
const TRY_EVERY: u32 = 32;
/// Commits before which the writer sleeps without looking whether somebody is there, when waits have been worth it;
/// then it looks again.
const UNSEEN: u32 = 16;
/// After senders were held up nobody waits for company so many times as long.
const HURRY: u64 = 3;

/// Learns from who came meanwhile whether putting off a commit is worth it.
///
/// Whoever sends a record only after the last one is acknowledged never comes while a commit waits, and would lose by
/// it; records of many users come at any time.
#[derive(Debug, Default)]
pub(super) struct CommitPace {
    last_start_us: Option<u64>,
    hurry_until_us: u64,
    worth: u32,
    /// Commits that were not put off since the last that was.
    passed: u32,
    /// Commits since the last one before which somebody looked who came.
    unseen: u32,
}

impl CommitPace {
    /// How long to sleep before looking for a batch at all; zero: not at all.
    ///
    /// To be woken by the first of those who come costs as much as the rest of its way.
    pub(super) fn sleep(&mut self, now_us: u64) -> Duration {
        if self.worth < MAX_WORTH || self.unseen >= UNSEEN {
            self.unseen = 0;
            return Duration::ZERO;
        }
        self.unseen += 1;
        self.until_due(now_us)
    }

    /// How long to put off the commit of a batch that has just come; zero: not at all.
    pub(super) fn wait(&mut self, now_us: u64) -> Duration {
        let until_due = self.until_due(now_us);
        if until_due.is_zero() {
            return Duration::ZERO;
        }
        self.passed += 1;
        if self.worth == 0 && self.passed < TRY_EVERY {
            return Duration::ZERO;
        }
        self.passed = 0;
        until_due
    }

    fn until_due(&self, now_us: u64) -> Duration {
        let due_us = self.last_start_us.map_or(0, |start_us| start_us + SPACING_US);
        let is_due = due_us <= now_us || now_us < self.hurry_until_us;
        Duration::from_micros(if is_due { 0 } else { due_us - now_us })
    }

    /// Learns whether batches came until the end of a wait.
    pub(super) fn waited(&mut self, have_come: bool) {
        self.worth = match have_come {
            true => MAX_WORTH.min(self.worth + 1),
            false => self.worth.saturating_sub(1),
        };
    }

    /// Notes the start of a commit.
    pub(super) const fn commit_starts(&mut self, now_us: u64) {
        self.last_start_us = Some(now_us);
    }

    /// Notes that senders may have waited for `took_us` until now: what has gathered meanwhile on their side comes one
    /// after the other.
    pub(super) fn held_up(&mut self, now_us: u64, took_us: u64) {
        if took_us >= SPACING_US {
            self.hurry_until_us = now_us + HURRY * took_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits of 400 µs of records that come one at a time, `gap_us` after each commit; counts those put off.
    fn put_off_alone(gap_us: u64, commits: u32) -> u32 {
        let mut pace = CommitPace::default();
        let (mut now_us, mut put_off) = (0, 0);
        for _ in 0..commits {
            assert_eq!(pace.sleep(now_us), Duration::ZERO);
            let wait = pace.wait(now_us);
            if !wait.is_zero() {
                put_off += 1;
                pace.waited(false);
                now_us += as_us(wait);
            }
            pace.commit_starts(now_us);
            now_us += 400 + gap_us;
        }
        put_off
    }

    fn as_us(wait: Duration) -> u64 {
        u64::try_from(wait.as_micros()).unwrap()
    }

    /// Records that come every `every_us`, whatever becomes of those before; counts their commits.
    fn commits_of_many_senders(every_us: u64, records: u64) -> u64 {
        let mut pace = CommitPace::default();
        let (mut now_us, mut next, mut commits) = (0, 0, 0);
        while next < records {
            let asleep_until_us = now_us + as_us(pace.sleep(now_us));
            now_us = asleep_until_us.max(next * every_us);
            let wait = as_us(pace.wait(now_us));
            if wait > 0 {
                let came = |until_us: u64| until_us / every_us;
                pace.waited(came(now_us + wait) > came(now_us + wait / 2));
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
    fn records_that_come_rarely_are_never_kept_waiting() {
        assert_eq!(put_off_alone(SPACING_US, 1_000), 0);
    }

    #[test]
    fn a_sender_who_waits_for_each_answer_is_hardly_ever_kept_waiting() {
        let put_off = put_off_alone(100, 3_200);
        assert!(put_off <= 3_200 / TRY_EVERY, "{put_off} of 3,200 commits were put off");
        assert!(put_off > 0, "whether it is worth it is tried now and then");
    }

    #[test]
    fn records_of_many_senders_share_commits() {
        let commits = commits_of_many_senders(1_000, 10_000);
        assert!((3_000..4_500).contains(&commits), "{commits} commits of 10,000 records");
    }

    #[test]
    fn nobody_waits_for_company_after_senders_were_held_up() {
        let mut pace = CommitPace::default();
        (0..MAX_WORTH).for_each(|_| pace.waited(true));
        pace.commit_starts(0);
        assert_eq!(pace.wait(1_000), Duration::from_micros(SPACING_US - 1_000));
        pace.held_up(20_000, 10_000);
        pace.commit_starts(20_000);
        assert_eq!(pace.wait(21_000), Duration::ZERO);
        pace.commit_starts(50_000);
        assert_eq!(pace.wait(51_000), Duration::from_micros(SPACING_US - 1_000));
    }
}
