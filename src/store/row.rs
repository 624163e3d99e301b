//! A raw row as the compactor and raw queries read it: numbers only.

use rusqlite::Row;

use super::columns::{RowCells, known_count};
use crate::model::{Column, Count, KeyColumn, LatencyKind, Measured, Outcome, Tokens};

/// The columns of raw rows to read besides `seq` and the start; the others read as unknown or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowParts {
    /// Ids of the space, the user and the model.
    pub ids: bool,
    /// The outcome.
    pub outcome: bool,
    /// All latencies.
    pub latencies: bool,
    /// Tokens, cost, and whether the cache served it.
    pub usage: bool,
    /// When it arrived.
    pub arrival: bool,
}

impl RowParts {
    /// Everything.
    pub const ALL: Self =
        Self { ids: true, outcome: true, latencies: true, usage: true, arrival: true };

    /// The parts from which these columns are aggregated.
    pub fn of(columns: &[Column]) -> Self {
        let in_range = |first: Count, last: Count| {
            let range = Column::count(first)..=Column::count(last);
            columns.iter().any(|column| range.contains(column))
        };
        let last_count = Column::count(Count::CostNanoUsd);
        Self {
            ids: false,
            outcome: in_range(Count::ErrorsNetwork, Count::Cancelled),
            latencies: columns.iter().any(|column| *column > last_count),
            usage: in_range(Count::CacheHits, Count::CostNanoUsd),
            arrival: false,
        }
    }

    /// The columns that [`RequestRow::read`] expects, in order.
    pub(super) fn columns(self) -> String {
        let parts = [
            (true, "seq, started_at_ms"),
            (self.ids, ", space_id, user_id, model_id"),
            (self.outcome, ", outcome"),
            (
                self.latencies,
                ", total_latency_us, context_latency_us, llm_latency_us, time_to_first_token_us",
            ),
            (
                self.usage,
                ", cache_hit, prompt_tokens, completion_tokens, cached_prompt_tokens, \
                 reasoning_tokens, cost_nano_usd",
            ),
            (self.arrival, ", arrived_after_ms"),
        ];
        parts.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, part)| part).collect()
    }
}

/// The numbers of one stored request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestRow {
    /// Order of arrival.
    pub seq: i64,
    /// Start, in Unix milliseconds.
    pub started_at_ms: i64,
    /// Id in `spaces`.
    pub space_id: i64,
    /// Id in `users`.
    pub user_id: i64,
    /// Id in `models`.
    pub model_id: i64,
    /// The code of the outcome.
    pub outcome_code: i64,
    cache_hit: bool,
    latency_us: [Option<u64>; 4],
    tokens: Tokens,
    cost_nano_usd: Option<i64>,
    /// How long after its start it arrived, in milliseconds; `None` for imported history.
    pub arrived_after_ms: Option<i64>,
}

impl RequestRow {
    pub(super) fn read(row: &Row<'_>, parts: RowParts) -> rusqlite::Result<Self> {
        let mut cells = RowCells::of(row);
        let mut read = Self { seq: cells.next()?, started_at_ms: cells.next()?, ..Self::default() };
        if parts.ids {
            read.space_id = cells.next()?;
            read.user_id = cells.next()?;
            read.model_id = cells.next()?;
        }
        if parts.outcome {
            read.outcome_code = cells.next()?;
        }
        if parts.latencies {
            read.latency_us = read_latencies(&mut cells)?;
        }
        if parts.usage {
            read.cache_hit = cells.next()?;
            read.tokens = Tokens {
                prompt: cells.next()?,
                completion: cells.next()?,
                cached_prompt: cells.next()?,
                reasoning: cells.next()?,
            };
            read.cost_nano_usd = cells.next()?;
        }
        if parts.arrival {
            read.arrived_after_ms = cells.next()?;
        }
        Ok(read)
    }

    /// The id in one key column.
    pub const fn key(&self, column: KeyColumn) -> i64 {
        match column {
            KeyColumn::Space => self.space_id,
            KeyColumn::User => self.user_id,
            KeyColumn::Model => self.model_id,
        }
    }
}

/// Reads the next four columns as latencies in microseconds, by [`LatencyKind::index`].
pub(super) fn read_latencies(cells: &mut RowCells<'_, '_>) -> rusqlite::Result<[Option<u64>; 4]> {
    let mut latency_us = [None; 4];
    for latency_us in &mut latency_us {
        *latency_us = known_count(cells.next()?);
    }
    Ok(latency_us)
}

impl Measured for RequestRow {
    fn outcome(&self) -> Outcome {
        // Only codes that this program wrote are in the file; a foreign one counts as no error.
        Outcome::from_code(self.outcome_code).unwrap_or(Outcome::Success)
    }

    fn cache_hit(&self) -> bool {
        self.cache_hit
    }

    fn tokens(&self) -> Tokens {
        self.tokens
    }

    fn cost_nano_usd(&self) -> Option<i64> {
        self.cost_nano_usd
    }

    fn latency_us(&self, kind: LatencyKind) -> Option<u64> {
        self.latency_us[kind.index()]
    }
}
