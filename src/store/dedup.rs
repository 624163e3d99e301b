//! The same call seen by two routes: recognised by the provider's response id.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use rusqlite::Connection;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::error::storage;
use crate::error::Result;
use crate::model::{LatencyKind, Name, RequestRecord};

/// Response ids remembered: at 1,000 requests a second, more than a minute of them.
const REMEMBERED: usize = 65_536;
/// Sightings of one response id remembered; fakes and relays repeat ids.
const SIGHTINGS: usize = 4;
/// Clocks of two reporters of one call may differ by this much, in milliseconds.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

/// One route's sighting of a call.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    source: i64,
    start_ms: i64,
    end_ms: i64,
}

impl Sighting {
    fn of(record: &RequestRecord) -> Self {
        let start_ms = record.started_at.as_unix_ms();
        let us = record.latency(LatencyKind::Total).or_else(|| record.latency(LatencyKind::Llm));
        let width_ms = i64::try_from(us.unwrap_or(0) / 1_000).unwrap_or(i64::MAX);
        Self { source: record.source.code(), start_ms, end_ms: start_ms.saturating_add(width_ms) }
    }

    /// Another route, at the same time.
    const fn is_same_call(self, other: Self) -> bool {
        self.source != other.source
            && self.start_ms <= other.end_ms + CLOCK_TOLERANCE_MS
            && other.start_ms <= self.end_ms + CLOCK_TOLERANCE_MS
    }
}

/// The response ids of the latest records.
#[derive(Debug, Default)]
pub(super) struct RecentResponses {
    sightings: FxHashMap<u64, VecDeque<Sighting>>,
    order: VecDeque<u64>,
}

impl RecentResponses {
    /// Remembers the record; `true` when another route has reported the same call already.
    pub(super) fn is_repeat(&mut self, record: &RequestRecord) -> bool {
        let Some(response_id) = &record.provider_response_id else { return false };
        let sighting = Sighting::of(record);
        let seen = self.sightings.get(&hash(response_id));
        if seen.is_some_and(|seen| seen.iter().any(|other| other.is_same_call(sighting))) {
            return true;
        }
        self.remember(response_id, sighting);
        false
    }

    fn remember(&mut self, response_id: &str, sighting: Sighting) {
        let key = hash(response_id);
        let seen = self.sightings.entry(key).or_default();
        if seen.len() == SIGHTINGS {
            seen.pop_front();
        }
        seen.push_back(sighting);
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget_one(oldest);
        }
    }

    fn forget_one(&mut self, key: u64) {
        if let Some(seen) = self.sightings.get_mut(&key) {
            seen.pop_front();
            if seen.is_empty() {
                self.sightings.remove(&key);
            }
        }
    }

    /// Reads the latest records back, as at the start and after a rolled-back transaction.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<()> {
        *self = Self::default();
        self.try_reload(connection).map_err(storage("reading the latest response ids"))
    }

    fn try_reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "select provider_response_id, source, started_at_ms,
                    coalesce(total_latency_us, llm_latency_us, 0) / 1000
             from (select * from requests order by seq desc limit ?1)
             where provider_response_id is not null order by seq",
        )?;
        let mut rows = statement.query([i64::try_from(REMEMBERED).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let response_id: String = row.get(0)?;
            let start_ms: i64 = row.get(2)?;
            let end_ms = start_ms.saturating_add(row.get(3)?);
            self.remember(&response_id, Sighting { source: row.get(1)?, start_ms, end_ms });
        }
        Ok(())
    }
}

fn hash(response_id: &str) -> u64 {
    FxBuildHasher.hash_one(Name::new(response_id))
}
