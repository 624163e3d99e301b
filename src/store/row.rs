//! A raw row as the compactor and raw answers read it: numbers only.

use rusqlite::Row;

use super::packed::{read_latencies, unpack_arrival};
use crate::model::Tokens;
use crate::model::{KeyColumn, LatencyKind, Measured, Outcome};

/// The columns that [`RequestRow::read`] expects, in order.
pub(super) const ROW_COLUMNS: &str = "seq, started_at_ms, space_id, user_id, model_id, outcome, \
     cache_hit, total_latency_us, context_latency_us, llm_latency_us, time_to_first_token_us, \
     prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens, cost_nano_usd, \
     arrived_after_ms";

/// The numbers of one stored request.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How long after its start it arrived, in milliseconds, to the second when that is hours; `None`: not known.
    pub arrived_after_ms: Option<i64>,
}

impl RequestRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            started_at_ms: row.get(1)?,
            space_id: row.get(2)?,
            user_id: row.get(3)?,
            model_id: row.get(4)?,
            outcome: row.get(5)?,
            cache_hit: row.get(6)?,
            latency_us: read_latencies(row, 7)?,
            tokens: Tokens {
                prompt: row.get(11)?,
                completion: row.get(12)?,
                cached_prompt: row.get(13)?,
                reasoning: row.get(14)?,
            },
            cost_nano_usd: row.get(15)?,
            arrived_after_ms: row.get::<_, Option<i64>>(16)?.map(unpack_arrival),
        })
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
