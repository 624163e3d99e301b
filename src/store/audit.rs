//! The audit log: who did what, when.

use serde::Serialize;

use super::error::storage;
use super::read::Reader;
use super::writer::Writer;
use crate::error::Result;
use crate::model::Timestamp;

/// Entries kept; the oldest go first.
const KEPT_ENTRIES: i64 = 100_000;

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// `admin`, `key:<id>`, `cli` or `service`.
    pub actor: String,
    /// What, e.g. `key.create`.
    pub action: String,
    /// On what; never a secret, never content.
    pub detail: String,
}

impl Writer {
    /// Appends entries.
    ///
    /// # Errors
    /// When the transaction failed.
    pub fn append_audit(&mut self, entries: &[AuditEntry]) -> Result<()> {
        self.transaction(|transaction| {
            let append = || -> rusqlite::Result<()> {
                let mut insert = transaction.prepare_cached(
                    "insert into audit_log (at_ms, actor, action, detail) values (?1, ?2, ?3, ?4)",
                )?;
                for entry in entries {
                    insert.execute((
                        entry.at.as_unix_ms(),
                        &entry.actor,
                        &entry.action,
                        &entry.detail,
                    ))?;
                }
                let newest = transaction.last_insert_rowid();
                transaction.execute(
                    "delete from audit_log where audit_id <= ?1",
                    [newest - KEPT_ENTRIES],
                )?;
                Ok(())
            };
            append().map_err(storage("writing the audit log"))
        })
    }
}

impl Reader<'_> {
    /// The latest entries, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>> {
        let read = || -> rusqlite::Result<Vec<AuditEntry>> {
            let mut statement = self.connection().prepare_cached(
                "select at_ms, actor, action, detail from audit_log
                 order by audit_id desc limit ?1",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map([limit], |row| {
                Ok(AuditEntry {
                    at: Timestamp::from_unix_ms(row.get(0)?),
                    actor: row.get(1)?,
                    action: row.get(2)?,
                    detail: row.get(3)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(storage("reading the audit log"))
    }
}
