//! Realistic requests from a seed, for the demo, simulated traffic, tests and benchmarks.
//!
//! The same seed gives the same records on every machine: random bits come from a portable
//! generator, and everything computed from them uses only integer arithmetic and the four IEEE
//! operations, whose results do not depend on the platform's mathematical library. Records are
//! generated one at a time, ordered by start; only the fixed tables (about 1 MB) are held in
//! memory.
//!
//! - [`Workload`]: an exact number of requests over a range, with daily and weekly patterns, bursts
//!   and incidents.
//! - [`Live`]: the same kind of requests in real time, tick by tick, at a given rate.

mod catalog;
mod lognormal;
mod population;
mod records;
mod rhythm;

use rand_pcg::Pcg64Mcg;

use crate::model::{RequestRecord, TimeRange, Timestamp};
use records::RecordMaker;
use rhythm::{TrafficMinute, TrafficMinutes};

/// An exact number of requests over a range.
///
/// # Example
/// ```
/// use chatgauge::generate::Workload;
/// use chatgauge::model::{TimeRange, Timestamp};
/// let start = Timestamp::from_unix_ms(1_760_000_000_000);
/// let day = TimeRange { start, end: start.plus_ms(86_400_000) };
/// let workload = Workload::new(7, day, 1_000);
/// assert_eq!(workload.records().count(), 1_000);
/// assert!(workload.records().eq(workload.records()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The same seed gives the same records.
    pub seed: u64,
    /// Start of the range, inclusive.
    pub start: Timestamp,
    /// End of the range, exclusive.
    pub end: Timestamp,
    /// Number of requests.
    pub requests: u64,
    /// Also generate provider response ids and, for some requests, tags; this makes records larger.
    pub extras: bool,
}

impl Workload {
    /// `requests` requests over `range`, without extras.
    pub const fn new(seed: u64, range: TimeRange, requests: u64) -> Self {
        Self { seed, start: range.start, end: range.end, requests, extras: false }
    }

    /// The records, ordered by `started_at`; none when the range is empty.
    pub fn records(&self) -> Records {
        let range = TimeRange { start: self.start, end: self.end };
        let minutes = TrafficMinutes::new(self.seed, range);
        let total_weight = minutes.clone().map(|minute| u128::from(minute.weight)).sum();
        Records {
            maker: RecordMaker::new(self.seed, self.extras),
            rng: seeded(self.seed, self.start),
            minutes,
            minute: None,
            requests: if total_weight == 0 { 0 } else { self.requests },
            made: 0,
            made_before_minute: 0,
            made_after_minute: 0,
            weight_so_far: 0,
            total_weight,
        }
    }
}

/// The records of a [`Workload`].
#[derive(Debug)]
pub struct Records {
    maker: RecordMaker,
    rng: Pcg64Mcg,
    minutes: TrafficMinutes,
    minute: Option<TrafficMinute>,
    requests: u64,
    made: u64,
    made_before_minute: u64,
    made_after_minute: u64,
    weight_so_far: u128,
    total_weight: u128,
}

impl Records {
    /// Moves to the next minute that has requests. A minute ends at the rounded-down cumulative share
    /// of the weights, so the counts of all minutes total `requests`.
    fn next_minute(&mut self) -> Option<TrafficMinute> {
        loop {
            let minute = self.minutes.next()?;
            self.weight_so_far += u128::from(minute.weight);
            let upto = u128::from(self.requests) * self.weight_so_far / self.total_weight;
            self.made_before_minute = self.made;
            self.made_after_minute = u64::try_from(upto).unwrap_or(self.requests);
            if self.made_after_minute > self.made {
                self.minute = Some(minute);
                return Some(minute);
            }
        }
    }
}

impl Iterator for Records {
    type Item = RequestRecord;

    fn next(&mut self) -> Option<RequestRecord> {
        if self.made >= self.requests {
            return None;
        }
        let minute = match self.minute {
            Some(minute) if self.made < self.made_after_minute => minute,
            _ => self.next_minute()?,
        };
        let position = self.made - self.made_before_minute;
        let count = self.made_after_minute - self.made_before_minute;
        let at = spread(&mut self.rng, minute.range, position, count);
        self.made += 1;
        Some(self.maker.make(&mut self.rng, at))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.requests - self.made).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}

/// Simulated traffic in real time.
#[derive(Debug)]
pub struct Live {
    seed: u64,
    maker: RecordMaker,
    /// The fraction of a request that is due but not yet generated.
    carry: f64,
}

impl Live {
    /// Traffic of the same users, spaces and models as a [`Workload`] of the same seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, maker: RecordMaker::new(seed, true), carry: 0.0 }
    }

    /// The requests of one tick, ordered by start, at about `per_second` requests per second (the
    /// rate varies by minute, with some bursts). Fractions carry over to the next tick.
    pub fn tick(&mut self, tick: TimeRange, per_second: f64) -> Vec<RequestRecord> {
        let length_ms = tick.end.as_unix_ms().saturating_sub(tick.start.as_unix_ms());
        if length_ms <= 0 || !(per_second > 0.0 && per_second.is_finite()) {
            return Vec::new();
        }
        let activity = rhythm::activity(self.seed, tick.start);
        self.carry += lognormal::as_f64(length_ms.unsigned_abs()) / 1_000.0 * per_second * activity;
        let count = lognormal::as_u64(self.carry);
        self.carry -= lognormal::as_f64(count);
        let mut rng = seeded(self.seed, tick.start);
        (0..count)
            .map(|position| {
                let at = spread(&mut rng, tick, position, count);
                self.maker.make(&mut rng, at)
            })
            .collect()
    }
}

fn seeded(seed: u64, at: Timestamp) -> Pcg64Mcg {
    let high = population::mix(seed, u64::from_le_bytes(at.as_unix_ms().to_le_bytes()));
    Pcg64Mcg::new(u128::from(high) << 64 | u128::from(population::mix(high, seed)))
}

/// A random instant in the `position`-th of `count` equal parts of `range`, so instants increase
/// with the position.
fn spread(rng: &mut Pcg64Mcg, range: TimeRange, position: u64, count: u64) -> Timestamp {
    use rand::Rng as _;
    let length = range.end.as_unix_ms().saturating_sub(range.start.as_unix_ms()).unsigned_abs();
    let jitter = u128::from(rng.next_u64() >> 32);
    let parts = (u128::from(position) << 32 | jitter) * u128::from(length);
    let offset = (parts / u128::from(count.max(1))) >> 32;
    range.start.plus_ms(i64::try_from(offset).unwrap_or(0))
}

#[cfg(test)]
mod tests;
