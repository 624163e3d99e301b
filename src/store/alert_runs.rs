//! Runs of failures on disk: they change in the transaction of the states that they make.

use rusqlite::{Transaction, named_params, params};

use super::error::storage;
use super::read::Reader;
use crate::error::Result;

/// How many errors in a row one group has, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Ids of the group's values, in the order of the rule's `by`; 0 without.
    pub ids: [i64; 2],
    /// Errors in a row.
    pub failures: u64,
    /// Start of the latest success, in Unix milliseconds.
    pub succeeded_ms: i64,
    /// Start of the latest request, in Unix milliseconds.
    pub last_ms: i64,
    /// Something arrived since the rule is watched.
    pub is_new: bool,
    /// Somebody closed the incident about these errors.
    pub is_closed: bool,
}

/// The stored runs of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRuns {
    /// The rule.
    pub rule_id: String,
    /// What made the rule the same rule.
    pub identity_hash: Vec<u8>,
    /// The last row that they count.
    pub seen_seq: i64,
    /// By group.
    pub runs: Vec<StoredRun>,
}

/// What changes about the runs of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsChange {
    /// The rule.
    pub rule_id: String,
    /// What makes the rule the same rule, and the last row counted; `None`: nothing is kept of it.
    pub kept: Option<(Vec<u8>, i64)>,
    /// What is stored is of another rule and goes first.
    pub is_anew: bool,
    /// Groups, with their run unless it is forgotten.
    pub runs: Vec<([i64; 2], Option<StoredRun>)>,
}

pub(super) fn put_runs(transaction: &Transaction<'_>, change: &RunsChange) -> rusqlite::Result<()> {
    let rule_id = &change.rule_id;
    if change.is_anew || change.kept.is_none() {
        transaction
            .prepare_cached("delete from _alert_runs where rule_id = ?1")?
            .execute([rule_id])?;
    }
    let Some((identity_hash, seen_seq)) = &change.kept else {
        transaction
            .prepare_cached("delete from _alert_run_rules where rule_id = ?1")?
            .execute([rule_id])?;
        return Ok(());
    };
    transaction
        .prepare_cached(
            "insert or replace into _alert_run_rules (rule_id, identity_hash, seen_seq)
             values (?1, ?2, ?3)",
        )?
        .execute(params![rule_id, identity_hash, seen_seq])?;
    let mut put = transaction.prepare_cached(include_str!("sql/put_alert_run.sql"))?;
    let mut delete = transaction.prepare_cached(
        "delete from _alert_runs where rule_id = ?1 and first_id = ?2 and second_id = ?3",
    )?;
    for ([first_id, second_id], run) in &change.runs {
        match run {
            Some(run) => put.execute(named_params! {
                ":rule_id": rule_id,
                ":first_id": first_id,
                ":second_id": second_id,
                ":failures": i64::try_from(run.failures).unwrap_or(i64::MAX),
                ":succeeded_ms": run.succeeded_ms,
                ":last_ms": run.last_ms,
                ":is_new": run.is_new,
                ":is_closed": run.is_closed,
            })?,
            None => delete.execute(params![rule_id, first_id, second_id])?,
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
        let read = || -> rusqlite::Result<Vec<StoredRuns>> {
            let mut rules = self
                .connection()
                .prepare_cached("select rule_id, identity_hash, seen_seq from _alert_run_rules")?;
            let mut found: Vec<StoredRuns> = rules
                .query_map([], |row| {
                    Ok(StoredRuns {
                        rule_id: row.get(0)?,
                        identity_hash: row.get(1)?,
                        seen_seq: row.get(2)?,
                        runs: Vec::new(),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut runs = self.connection().prepare_cached(
                "select first_id, second_id, failures, succeeded_ms, last_ms, is_new, is_closed
                 from _alert_runs where rule_id = ?1",
            )?;
            for rule in &mut found {
                let read_run = |row: &rusqlite::Row<'_>| {
                    let failures: i64 = row.get(2)?;
                    Ok(StoredRun {
                        ids: [row.get(0)?, row.get(1)?],
                        failures: u64::try_from(failures).unwrap_or(0),
                        succeeded_ms: row.get(3)?,
                        last_ms: row.get(4)?,
                        is_new: row.get(5)?,
                        is_closed: row.get(6)?,
                    })
                };
                rule.runs =
                    runs.query_map([&rule.rule_id], read_run)?.collect::<rusqlite::Result<_>>()?;
            }
            Ok(found)
        };
        read().map_err(storage("reading runs of failures"))
    }
}
