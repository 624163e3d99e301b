//! Runs of failures on disk: they change in the transaction of the states that result from them.

use rusqlite::{Transaction, named_params};

use super::columns::{saturated, unsigned};
use super::read::Reader;
use crate::error::Result;

/// The stored number of consecutive errors of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Ids of the group's values, in the order of the rule's `by`; 0 without.
    pub ids: [i64; 2],
    /// Consecutive errors.
    pub failures: u64,
    /// Start of the latest success, in Unix milliseconds.
    pub succeeded_ms: i64,
    /// Start of the latest request, in Unix milliseconds.
    pub last_ms: i64,
    /// A request arrived since the rule is evaluated.
    pub is_new: bool,
    /// A person closed the incident about these errors.
    pub is_closed: bool,
}

/// The stored runs of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRuns {
    /// The rule.
    pub rule_id: String,
    /// Hash of the parts of the rule that identify it.
    pub identity_hash: Vec<u8>,
    /// The last row that they count.
    pub seen_seq: i64,
    /// By group.
    pub runs: Vec<StoredRun>,
}

/// Changes of the runs of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsChange {
    /// The rule.
    pub rule_id: String,
    /// Identity hash of the rule, and the last counted row; `None` deletes the rule and its runs.
    pub kept: Option<(Vec<u8>, i64)>,
    /// Whether the stored runs are deleted first, because they belong to another definition of the rule.
    pub deletes_stored: bool,
    /// Groups with their runs; `None` deletes a run.
    pub runs: Vec<([i64; 2], Option<StoredRun>)>,
}

pub(super) fn put_runs(transaction: &Transaction<'_>, change: &RunsChange) -> rusqlite::Result<()> {
    let rule_id = &change.rule_id;
    let prepare = |sql| transaction.prepare_cached(sql);
    if change.deletes_stored || change.kept.is_none() {
        prepare("delete from _alert_runs where rule_id = ?1")?.execute([rule_id])?;
    }
    let Some((identity_hash, seen_seq)) = &change.kept else {
        let mut delete = prepare("delete from _alert_run_rules where rule_id = ?1")?;
        return delete.execute([rule_id]).map(drop);
    };
    prepare(
        "insert or replace into _alert_run_rules (rule_id, identity_hash, seen_seq)
         values (?1, ?2, ?3)",
    )?
    .execute((rule_id, identity_hash, seen_seq))?;
    let mut put = prepare(include_str!("sql/put_alert_run.sql"))?;
    let mut delete =
        prepare("delete from _alert_runs where rule_id = ?1 and first_id = ?2 and second_id = ?3")?;
    for ([first_id, second_id], run) in &change.runs {
        match run {
            Some(run) => put.execute(named_params! {
                ":rule_id": rule_id,
                ":first_id": first_id,
                ":second_id": second_id,
                ":failures": saturated(run.failures),
                ":succeeded_ms": run.succeeded_ms,
                ":last_ms": run.last_ms,
                ":is_new": run.is_new,
                ":is_closed": run.is_closed,
            })?,
            None => delete.execute((rule_id, first_id, second_id))?,
        };
    }
    Ok(())
}

impl Reader<'_> {
    /// The stored runs of every rule.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_runs(&self) -> Result<Vec<StoredRuns>> {
        let operation = "reading runs of failures";
        let sql = "select rule_id, identity_hash, seen_seq from _alert_run_rules";
        let mut rules = self.rows(operation, sql, [], |row| {
            let (rule_id, identity_hash) = (row.get(0)?, row.get(1)?);
            Ok(StoredRuns { rule_id, identity_hash, seen_seq: row.get(2)?, runs: Vec::new() })
        })?;
        let sql = "select first_id, second_id, failures, succeeded_ms, last_ms, is_new, is_closed
                   from _alert_runs where rule_id = ?1";
        for rule in &mut rules {
            rule.runs = self.rows(operation, sql, [&rule.rule_id], |row| {
                Ok(StoredRun {
                    ids: [row.get(0)?, row.get(1)?],
                    failures: unsigned(row.get(2)?),
                    succeeded_ms: row.get(3)?,
                    last_ms: row.get(4)?,
                    is_new: row.get(5)?,
                    is_closed: row.get(6)?,
                })
            })?;
        }
        Ok(rules)
    }
}
