//! The one row of `_store_state`: the identities of the file, its write-ahead log and its key, and the server's clock.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction};

use super::columns::{Columns as _, columns};
use super::error::storage;
use super::read::Reader;
use crate::error::Result;
use crate::model::Timestamp;

/// Whether a server has the file open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// The last server closed it cleanly.
    Closed = 0,
    /// A server has it open, or had it open when it died.
    Open = 1,
    /// The same, and the server's session may be in the write-ahead log only.
    Opening = 2,
}

impl FromSql for InUse {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Closed),
            1 => Ok(Self::Open),
            2 => Ok(Self::Opening),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for InUse {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

/// The row of `_store_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreState {
    /// Random, 16 bytes, generated with the file: the write-ahead log of another database contains another one.
    pub store_id: Vec<u8>,
    /// Random, of the server that has, or last had, the file open; empty before the first.
    pub session: Vec<u8>,
    /// The session that the database file alone has while `session` may be in the write-ahead log only.
    pub previous_session: Vec<u8>,
    /// Whether a server has the file open.
    pub in_use: InUse,
    /// The server's clock as last stored with a commit, in Unix milliseconds; 0: never.
    pub clock_ms: i64,
    /// The server's clock at the last commit in the file when a server found its write-ahead log missing: later records
    /// may be missing. `None`: that never happened.
    pub wal_missing_after_ms: Option<i64>,
    /// Check value of the pseudonym key; `None`: not known yet.
    pub pseudonym_key_check: Option<Vec<u8>>,
}

columns!(read StoreState {
    store_id,
    session,
    previous_session,
    in_use,
    clock_ms,
    wal_missing_after_ms,
    pseudonym_key_check,
});

impl StoreState {
    pub(super) fn stored(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!("select {} from _store_state", Self::NAMES.join(", "));
        connection.query_row(&sql, [], Self::of)
    }

    /// Whether this row, read through a write-ahead log, can have come after `alone`, the row of the database file.
    pub(super) fn continues(&self, alone: &Self) -> bool {
        self.session == alone.session
            || self.in_use == InUse::Opening && self.previous_session == alone.session
    }
}

impl Reader<'_> {
    /// The row of `_store_state`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn store_state(&self) -> Result<StoreState> {
        StoreState::stored(self.connection()).map_err(storage("reading the state of the store"))
    }

    /// Check value of the pseudonym key; `None`: no key was used yet.
    pub fn pseudonym_key_check(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.store_state()?.pseudonym_key_check)
    }

    /// The latest reading of the server's clock that was stored; `None`: never.
    pub fn last_clock(&self) -> Result<Option<Timestamp>> {
        let clock_ms = self.store_state()?.clock_ms;
        Ok((clock_ms > 0).then(|| Timestamp::from_unix_ms(clock_ms)))
    }
}

/// Begins a session; `alone` is the session that the database file has without its write-ahead log.
///
/// If that is unknown (`None`), it is the session that the log has, which was in the file when it became *open*. A session
/// that is still *opening* goes on instead, because the file alone may have it or the one before.
pub(super) fn mark_opening(
    transaction: &Transaction<'_>,
    alone: Option<&[u8]>,
    wal_is_missing: bool,
) -> rusqlite::Result<()> {
    let sql = "update _store_state set session = iif(?1 is null and in_use = 2, session, randomblob(16)),
                   previous_session = coalesce(?1, iif(in_use = 2, previous_session, session)), in_use = 2,
                   wal_missing_after_ms = iif(?2, clock_ms, wal_missing_after_ms)";
    transaction.execute(sql, (alone, wal_is_missing)).map(drop)
}

/// Notes that the session is in the database file.
pub(super) fn mark_open(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("update _store_state set in_use = 1 where in_use = 2", []).map(drop)
}

/// Notes a clean close; a session that is not in the database file yet stays *opening*.
pub(super) fn mark_closed(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("update _store_state set in_use = 0 where in_use = 1", []).map(drop)
}

/// Changes the row, so that the commit writes something and the write-ahead log contains the row.
pub(super) fn touch(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut touch = transaction.prepare_cached("update _store_state set touches = touches + 1")?;
    touch.execute([]).map(drop)
}
