//! The audit log: who did what, when.

use rusqlite::Transaction;

use super::columns::{Columns, RowCells, StoredColumns as _, columns, saturated, to_name};
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::{AuditEntry, Name};

columns!(AuditEntry { at: at_ms, actor as (to_name, Name::as_str), action, target, detail });

/// Maximum number of stored entries; the oldest are deleted first.
const KEPT_ENTRIES: i64 = 100_000;

impl Writer {
    /// Appends entries.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn append_audit(&mut self, entries: &[AuditEntry]) -> Result<()> {
        self.write("writing the audit log", |transaction| put_entries(transaction, entries))
    }

    /// Stores the check value of the pseudonym key together with entries of the audit log.
    ///
    /// # Errors
    /// When the transaction failed; nothing was changed then.
    pub fn set_pseudonym_key_check(
        &mut self,
        check: Option<&[u8]>,
        audit: &[AuditEntry],
    ) -> Result<()> {
        self.write("storing the check value of the key", |transaction| {
            transaction.execute("update _store_state set pseudonym_key_check = ?1", [check])?;
            put_entries(transaction, audit)
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
    let sql = format!("insert into audit_log {}", AuditEntry::values());
    let mut insert = transaction.prepare_cached(&sql)?;
    for entry in entries {
        entry.execute(&mut insert)?;
    }
    let oldest = transaction.last_insert_rowid() - KEPT_ENTRIES;
    transaction.execute("delete from audit_log where audit_id <= ?1", [oldest]).map(drop)
}

impl Reader<'_> {
    /// Entries with their ids, newest first, older than the entry `before`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(&self, before: Option<i64>, limit: usize) -> Result<Vec<(i64, AuditEntry)>> {
        let sql = format!(
            "select audit_id, {} from audit_log where audit_id < ?1 order by audit_id desc limit ?2",
            AuditEntry::NAMES.join(", ")
        );
        let values = (before.unwrap_or(i64::MAX), saturated(limit));
        self.rows("reading the audit log", &sql, values, |row| {
            Ok((row.get(0)?, AuditEntry::read(&mut RowCells::after(row, 1))?))
        })
    }
}
