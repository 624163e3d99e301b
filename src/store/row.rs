//! A raw row as the compactor and raw answers read it: numbers only.

use rusqlite::Row;

use crate::model::{Column, Count, KeyColumn, LatencyKind, Measured, Outcome, Tokens};

/// What is read of raw rows besides their order and their start; what is not read counts as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowParts {
    /// Ids of the space, the user and the model.
    pub ids: bool,
    /// How it ended.
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

    /// What these columns are added up from.
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
        let mut columns = String::from("seq, started_at_ms");
        for (is_wanted, part) in [
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
        ] {
            columns.push_str(if is_wanted { part } else { "" });
        }
        columns
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
    outcome: i64,
    cache_hit: bool,
    latency_us: [Option<u64>; 4],
    tokens: Tokens,
    cost_nano_usd: Option<i64>,
    /// How long after its start it arrived, in milliseconds; `None`: it is history that was loaded.
    pub arrived_after_ms: Option<i64>,
}

impl RequestRow {
    pub(super) fn read(row: &Row<'_>, parts: RowParts) -> rusqlite::Result<Self> {
        let mut read = Self { seq: row.get(0)?, started_at_ms: row.get(1)?, ..Self::default() };
        let mut at = 2;
        if parts.ids {
            read.space_id = row.get(at)?;
            read.user_id = row.get(at + 1)?;
            read.model_id = row.get(at + 2)?;
            at += 3;
        }
        if parts.outcome {
            read.outcome = row.get(at)?;
            at += 1;
        }
        if parts.latencies {
            read.latency_us = read_latencies(row, at)?;
            at += 4;
        }
        if parts.usage {
            read.cache_hit = row.get(at)?;
            read.tokens = Tokens {
                prompt: row.get(at + 1)?,
                completion: row.get(at + 2)?,
                cached_prompt: row.get(at + 3)?,
                reasoning: row.get(at + 4)?,
            };
            read.cost_nano_usd = row.get(at + 5)?;
            at += 6;
        }
        if parts.arrival {
            read.arrived_after_ms = row.get(at)?;
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

    /// The code of the outcome.
    pub const fn outcome_code(&self) -> i64 {
        self.outcome
    }
}

/// The latencies of a row in microseconds, whose columns begin at `position`, by [`LatencyKind::index`].
pub(super) fn read_latencies(row: &Row<'_>, position: usize) -> rusqlite::Result<[Option<u64>; 4]> {
    let mut latency_us = [None; 4];
    for kind in LatencyKind::ALL {
        let stored: Option<i64> = row.get(position + kind.index())?;
        latency_us[kind.index()] = stored.and_then(|us| u64::try_from(us).ok());
    }
    Ok(latency_us)
}

impl Measured for RequestRow {
    fn outcome(&self) -> Outcome {
        // Only codes that this program wrote are in the file; a foreign one counts as no error.
        Outcome::from_code(self.outcome).unwrap_or(Outcome::Success)
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
