//! The audit log: who did what, when.

use rusqlite::{Transaction, named_params};

use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::{AuditAction, AuditEntry, Name, Timestamp};

/// Entries kept; the oldest go first.
const KEPT_ENTRIES: i64 = 100_000;

impl Writer {
    /// Appends entries.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn append_audit(&mut self, entries: &[AuditEntry]) -> Result<()> {
        self.transaction(|transaction| {
            put_entries(transaction, entries).map_err(storage("writing the audit log"))
        })
    }
}

/// Appends entries within a transaction.
pub(super) fn put_entries(
    transaction: &Transaction<'_>,
    entries: &[AuditEntry],
) -> rusqlite::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(include_str!("sql/put_audit.sql"))?;
    for entry in entries {
        insert.execute(named_params! {
            ":at_ms": entry.at.as_unix_ms(),
            ":actor": entry.actor.as_str(),
            ":action": entry.action.as_str(),
            ":target": entry.target,
            ":detail": entry.detail,
        })?;
    }
    let newest = transaction.last_insert_rowid();
    transaction.execute("delete from audit_log where audit_id <= ?1", [newest - KEPT_ENTRIES])?;
    Ok(())
}

impl Reader<'_> {
    /// Entries with their ids, newest first, older than the entry `before`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, AuditEntry)>> {
        let read = || -> rusqlite::Result<Vec<(i64, AuditEntry)>> {
            let mut statement = self.connection().prepare_cached(
                "select audit_id, at_ms, actor, action, target, detail from audit_log
                 where audit_id < ?1 order by audit_id desc limit ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map((before.unwrap_or(i64::MAX), limit), |row| {
                let action: String = row.get(3)?;
                let entry = AuditEntry {
                    at: Timestamp::from_unix_ms(row.get(1)?),
                    actor: Name::from(row.get::<_, String>(2)?),
                    action: AuditAction::parse(&action).unwrap_or(AuditAction::Read),
                    target: row.get(4)?,
                    detail: row.get(5)?,
                };
                Ok((row.get(0)?, entry))
            })?;
            rows.collect()
        };
        read().map_err(storage("reading the audit log"))
    }
}
