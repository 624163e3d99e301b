//! What a row leaves out because the rest of it says so.
//!
//! Rows of earlier versions of the schema have these values in full; both forms are read.

use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::model::time::MINUTE_MS;
use crate::model::{LatencyKind, Name, RequestId, RequestRecord, Timestamp};

/// A `UUIDv7` begins with a time in milliseconds of this many bytes.
const TIME_BYTES: usize = 6;
/// A UUID without its time.
const TAIL_BYTES: usize = 16 - TIME_BYTES;

/// The status of nearly all requests, and what stands for it: a number that takes no byte.
const USUAL_STATUS: u16 = 200;
const USUAL_STATUS_STORED: u16 = 0;

/// Up to here the rest of the total is told instead of the LLM latency, in microseconds: two bytes.
const MOST_REST_US: u64 = (1 << 15) - 1;
/// The LLM latency, in SQL.
pub(super) const LLM_LATENCY_US: &str = "case when llm_latency_us < 0
    then total_latency_us - context_latency_us + llm_latency_us + 1 else llm_latency_us end";

/// Arrivals up to this late are kept in milliseconds: three bytes, 2.3 hours.
const LATEST_IN_MS: i64 = (1 << 23) - 1;
/// Later ones are negative whole seconds below this, which is why fewer than `LATEST_IN_MS` milliseconds are not among
/// them. Clocks of senders that are up to a quarter of an hour ahead stay above it, in milliseconds.
const SECONDS_BELOW: i64 = -1_000_000;
/// Clocks that are further ahead are whole minutes below `SECONDS_BELOW`, up to where lateness in seconds begins: 5.8 days.
const AHEAD_MINUTES: i64 = LATEST_IN_MS / 1_000;

/// The time that a UUID would begin with.
fn time_bytes(at: Timestamp) -> Option<[u8; TIME_BYTES]> {
    let bytes = at.as_unix_ms().to_be_bytes();
    let (zeros, time) = bytes.split_first_chunk::<2>()?;
    (*zeros == [0; 2]).then(|| time.try_into().ok()).flatten()
}

/// An id without the start of its request; `None` when it does not begin with it.
pub(super) fn without_time(id: &RequestId, started_at: Timestamp) -> Option<&[u8]> {
    in_part(id).and_then(|(at, tail)| (at == started_at).then_some(tail))
}

/// The one start with which an id is stored without its time, and what is stored then.
pub(super) fn in_part(id: &RequestId) -> Option<(Timestamp, &[u8])> {
    let RequestId::Uuid(bytes) = id else { return None };
    let (time, tail) = bytes.split_first_chunk::<TIME_BYTES>()?;
    let ms = time.iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte));
    Some((Timestamp::from_unix_ms(ms), tail))
}

/// The column of a request's id.
pub(super) struct StoredId<'a>(pub(super) &'a RequestId, pub(super) Timestamp);

impl ToSql for StoredId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match without_time(self.0, self.1) {
            Some(tail) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(tail))),
            None => self.0.to_sql(),
        }
    }
}

impl ToSql for RequestId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// The id of a request that started at `started_at`.
pub(super) fn read_request_id(
    row: &Row<'_>,
    position: usize,
    started_at: Timestamp,
) -> rusqlite::Result<RequestId> {
    Ok(match row.get_ref(position)? {
        ValueRef::Blob(bytes) => match whole_uuid(bytes, started_at) {
            Some(uuid) => RequestId::Uuid(uuid),
            None => RequestId::Text(Name::from(format!("{bytes:02x?}"))),
        },
        ValueRef::Text(text) => RequestId::Text(Name::from_utf8_lossy(text)),
        _ => RequestId::Text(Name::from(row.get::<_, i64>(position)?.to_string())),
    })
}

fn whole_uuid(bytes: &[u8], started_at: Timestamp) -> Option<[u8; 16]> {
    let Ok(tail) = <&[u8; TAIL_BYTES]>::try_from(bytes) else { return bytes.try_into().ok() };
    [&time_bytes(started_at)?[..], tail].concat().try_into().ok()
}

pub(super) fn pack_status(status: Option<u16>) -> Option<u16> {
    status.map(|status| if status == USUAL_STATUS { USUAL_STATUS_STORED } else { status })
}

pub(super) fn unpack_status(stored: Option<u16>) -> Option<u16> {
    stored.map(|stored| if stored == USUAL_STATUS_STORED { USUAL_STATUS } else { stored })
}

/// The LLM latency, or below zero what it and the context leave of the total, when that is shorter.
pub(super) fn pack_llm_latency(record: &RequestRecord) -> Option<i64> {
    let llm_us = record.latency(LatencyKind::Llm)?;
    let rest_us = || {
        let total_us = record.latency(LatencyKind::Total)?;
        total_us.checked_sub(record.latency(LatencyKind::Context)?)?.checked_sub(llm_us)
    };
    match rest_us() {
        Some(rest_us @ 0..=MOST_REST_US) if llm_us > MOST_REST_US => {
            Some(-1 - i64::try_from(rest_us).unwrap_or_default())
        }
        _ => Some(i64::try_from(llm_us).unwrap_or(i64::MAX)),
    }
}

/// The latencies of a row, whose columns begin at `position`: total, context, LLM, time to first token.
pub(super) fn read_latencies(row: &Row<'_>, position: usize) -> rusqlite::Result<[Option<u64>; 4]> {
    let stored = |offset| row.get::<_, Option<i64>>(position + offset);
    let (total, context, mut llm) = (stored(0)?, stored(1)?, stored(2)?);
    if let (Some(total), Some(context), Some(below @ ..0)) = (total, context, llm) {
        llm = Some(total - context + below + 1);
    }
    let unsigned = |us: Option<i64>| us.and_then(|us| u64::try_from(us).ok());
    Ok([unsigned(total), unsigned(context), unsigned(llm), unsigned(stored(3)?)])
}

/// How long after its start a request arrived. What is hours late is kept to the second, what is far ahead to the
/// minute, both rounded up: nobody could know of it earlier.
pub(super) fn pack_arrival(after_ms: i64) -> i64 {
    if after_ms > LATEST_IN_MS {
        SECONDS_BELOW - after_ms.saturating_add(999) / 1_000
    } else if after_ms < SECONDS_BELOW {
        SECONDS_BELOW - (after_ms.saturating_neg() / MINUTE_MS).min(AHEAD_MINUTES)
    } else {
        after_ms
    }
}

pub(super) const fn unpack_arrival(stored: i64) -> i64 {
    let below = SECONDS_BELOW.saturating_sub(stored);
    if below <= 0 {
        stored
    } else if below <= AHEAD_MINUTES {
        -below * MINUTE_MS
    } else {
        below.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_leaves_out_its_time_only_where_the_start_says_it() {
        let id = RequestId::parse("019b768c-1eee-7abc-8def-0123456789ab");
        let at = id.uuid_v7_time().unwrap();
        assert_eq!(without_time(&id, at).map(<[u8]>::len), Some(TAIL_BYTES));
        assert_eq!(without_time(&id, at.plus_ms(1)), None);
        assert_eq!(without_time(&id, Timestamp::from_unix_ms(-1)), None);
        assert_eq!(without_time(&RequestId::parse("r-1"), at), None);
        let RequestId::Uuid(whole) = &id else { panic!("it is a UUID") };
        assert_eq!(whole_uuid(&whole[TIME_BYTES..], at), Some(*whole));
        assert_eq!(whole_uuid(whole, at.plus_ms(1)), Some(*whole), "as earlier versions stored it");
    }

    #[test]
    fn statuses_are_given_back() {
        for status in [None, Some(100), Some(200), Some(499), Some(599)] {
            assert_eq!(unpack_status(pack_status(status)), status);
        }
    }

    #[test]
    fn latencies_are_given_back_from_the_row_and_from_sql() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let source = crate::model::Source::Rest;
        let mut record =
            RequestRecord::new(RequestId::parse("r-1"), Timestamp::from_unix_ms(0), source);
        let (total, day) = (Some(1_200_000), Some(86_400_000_000));
        for (latency_us, stored) in [
            ([total, Some(80_000), Some(1_100_000), Some(5)], Some(-20_001)),
            ([total, Some(100_000), Some(1_100_000), None], Some(-1)),
            ([total, Some(80_000), Some(1_087_233), None], Some(-32_768)),
            ([total, Some(80_000), Some(1_087_232), None], Some(1_087_232)),
            ([Some(40_000), Some(7_000), Some(32_767), None], Some(32_767)),
            // A rounding more than the total.
            ([total, Some(100_001), Some(1_100_000), None], Some(1_100_000)),
            ([day, Some(0), day, day], Some(-1)),
            ([None, Some(80_000), Some(1_100_000), None], Some(1_100_000)),
            ([total, None, Some(1_100_000), None], Some(1_100_000)),
            ([total, Some(80_000), None, None], None),
        ] {
            record.latency_us = latency_us;
            assert_eq!(pack_llm_latency(&record), stored);
            let us =
                |kind: LatencyKind| latency_us[kind.index()].map(|us| i64::try_from(us).unwrap());
            let told = connection.query_row(
                &format!(
                    "select total_latency_us, context_latency_us, llm_latency_us, ?4, {LLM_LATENCY_US}
                     from (select ?1 as total_latency_us, ?2 as context_latency_us, ?3 as llm_latency_us)"
                ),
                (
                    us(LatencyKind::Total),
                    us(LatencyKind::Context),
                    stored,
                    us(LatencyKind::TimeToFirstToken),
                ),
                |row| Ok((read_latencies(row, 0)?, row.get::<_, Option<i64>>(4)?)),
            );
            assert_eq!(told.unwrap(), (latency_us, us(LatencyKind::Llm)));
        }
    }

    #[test]
    fn arrivals_are_exact_for_hours_and_never_told_earlier_than_they_were() {
        for ms in [-300_000, -1, 0, 1, 32_768, LATEST_IN_MS] {
            assert_eq!(unpack_arrival(pack_arrival(ms)), ms);
        }
        for ms in [LATEST_IN_MS + 1, 30 * 86_400_000 + 1, 40 * 366 * 86_400_000] {
            let told = unpack_arrival(pack_arrival(ms));
            assert!((ms..ms + 1_000).contains(&told), "{ms}: {told}");
        }
        assert_eq!(unpack_arrival(pack_arrival(i64::MAX)) / 1_000, i64::MAX / 1_000);
        for ms in [SECONDS_BELOW - 1, -3_600_000, -86_400_000 - 1, -172_800_000] {
            let told = unpack_arrival(pack_arrival(ms));
            assert!((ms..ms + MINUTE_MS).contains(&told), "{ms}: {told}");
        }
        assert_eq!(unpack_arrival(pack_arrival(SECONDS_BELOW)), SECONDS_BELOW);
        assert_eq!(unpack_arrival(pack_arrival(i64::MIN)), -AHEAD_MINUTES * MINUTE_MS);
    }
}
