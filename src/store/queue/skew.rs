//! How far the latest records are dated ahead of this server's clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use crate::model::record::limits;
use crate::model::{Name, RequestRecord, Source, Timestamp};

/// Maximum number of records in the window.
const REMEMBERED: usize = 1_000;
/// Maximum age of a record in the window, in monotonic microseconds: one hour.
const FRESH_US: u64 = 3_600_000_000;

/// A record that another machine dated.
#[derive(Clone, Debug)]
struct Dated {
    arrived_us: u64,
    ahead: Option<Ahead>,
}

/// A record that is dated ahead of the clock.
#[derive(Clone, Debug)]
struct Ahead {
    ms: u64,
    source: Source,
    space: Option<Name>,
}

/// The clocks of senders against this server's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockSkew {
    /// Number of records of the last hour from other machines; at most the latest 1,000.
    pub records: u64,
    /// Number of these records that start more than five minutes ahead of this server's clock at their arrival.
    pub ahead_records: u64,
    /// Median lead of these records, in milliseconds; `None` without any.
    pub ahead_median_ms: Option<u64>,
    /// Source and space of most of these records.
    pub ahead_from: Option<(Source, Option<Name>)>,
}

/// The latest records that other machines dated.
#[derive(Debug, Default)]
pub(super) struct SkewWindow {
    latest: VecDeque<Dated>,
}

impl SkewWindow {
    /// Adds records that arrived at `now`.
    pub(super) fn note(&mut self, records: &[RequestRecord], now: Timestamp, now_us: u64) {
        let dated = records.iter().rev().filter(|record| is_dated_elsewhere(record));
        let dated = dated.take(REMEMBERED).map(|record| {
            let ahead_ms = record.started_at.as_unix_ms().saturating_sub(now.as_unix_ms());
            let is_ahead = ahead_ms > limits::CLOCK_TOLERANCE_MS;
            Dated {
                arrived_us: now_us,
                ahead: is_ahead.then(|| Ahead {
                    ms: ahead_ms.unsigned_abs(),
                    source: record.source,
                    space: record.space.clone(),
                }),
            }
        });
        self.latest.extend(dated);
        let excess = self.latest.len().saturating_sub(REMEMBERED);
        self.latest.drain(..excess);
    }

    /// The skew at `now_us`.
    pub(super) fn skew(&self, now_us: u64) -> ClockSkew {
        let is_fresh = |dated: &&Dated| now_us.saturating_sub(dated.arrived_us) <= FRESH_US;
        let fresh: Vec<&Dated> = self.latest.iter().filter(is_fresh).collect();
        let ahead: Vec<&Ahead> = fresh.iter().filter_map(|dated| dated.ahead.as_ref()).collect();
        let mut ms: Vec<u64> = ahead.iter().map(|ahead| ahead.ms).collect();
        ms.sort_unstable();
        let mut senders: BTreeMap<(i64, Option<&Name>), (u64, &Ahead)> = BTreeMap::new();
        for ahead in &ahead {
            let key = (ahead.source.code(), ahead.space.as_ref());
            senders.entry(key).or_insert((0, ahead)).0 += 1;
        }
        let most = senders.into_values().min_by_key(|(records, _)| Reverse(*records));
        ClockSkew {
            records: fresh.len() as u64,
            ahead_records: ahead.len() as u64,
            ahead_median_ms: ms.get(ms.len() / 2).copied(),
            ahead_from: most.map(|(_, ahead)| (ahead.source, ahead.space.clone())),
        }
    }
}

/// Whether another machine's clock dated the record recently: this process dates its own, and history is old.
fn is_dated_elsewhere(record: &RequestRecord) -> bool {
    matches!(record.source, Source::Rest | Source::Otlp | Source::Litellm)
        && !record.dated_on_arrival
        && !record.is_history
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RequestId;

    const HOUR_MS: i64 = 3_600_000;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_790_000_000_000)
    }

    fn records(count: usize, ahead_ms: i64, space: &str) -> Vec<RequestRecord> {
        let mut record =
            RequestRecord::new(RequestId::parse("r"), now().plus_ms(ahead_ms), Source::Rest);
        record.space = Some(Name::new(space));
        vec![record; count]
    }

    #[test]
    fn records_ahead_of_the_clock_are_counted_with_their_median_and_where_they_come_from() {
        let mut window = SkewWindow::default();
        window.note(&records(90, -500, "right"), now(), 0);
        window.note(&records(4, 2 * HOUR_MS, "ahead"), now(), 0);
        window.note(&records(3, 5 * HOUR_MS, "ahead"), now(), 0);
        window.note(&records(3, limits::CLOCK_TOLERANCE_MS, "nearly"), now(), 0);
        let expected = ClockSkew {
            records: 100,
            ahead_records: 7,
            ahead_median_ms: Some(2 * HOUR_MS.unsigned_abs()),
            ahead_from: Some((Source::Rest, Some(Name::new("ahead")))),
        };
        assert_eq!(window.skew(0), expected);
    }

    #[test]
    fn only_the_latest_count_and_only_for_an_hour() {
        let mut window = SkewWindow::default();
        window.note(&records(600, HOUR_MS, "a"), now(), 0);
        window.note(&records(600, 0, "a"), now(), 10);
        let skew = window.skew(10);
        assert_eq!((skew.records, skew.ahead_records), (1_000, 400));
        window.note(&records(5_000, 0, "a"), now(), 20);
        assert_eq!(window.skew(20).ahead_records, 0);
        assert_eq!(window.skew(20 + FRESH_US).records, 1_000);
        assert_eq!(window.skew(21 + FRESH_US), ClockSkew::default());
    }

    #[test]
    fn what_this_process_dated_itself_says_nothing() {
        let mut window = SkewWindow::default();
        let [record] = records(1, HOUR_MS, "a").try_into().unwrap();
        for (source, dated_on_arrival, is_history) in [
            (Source::Collector, false, false),
            (Source::Gateway, false, false),
            (Source::Import, false, false),
            (Source::Rest, true, false),
            (Source::Rest, false, true),
        ] {
            let record = RequestRecord { source, dated_on_arrival, is_history, ..record.clone() };
            window.note(&[record], now(), 0);
        }
        assert_eq!(window.skew(0), ClockSkew::default());
    }
}
