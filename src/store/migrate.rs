//! Recognises the files of this program, and migrates their schema.

use std::error::Error as _;
use std::path::Path;
use std::sync::OnceLock;

use refinery::{Migration, Runner, Target};
use rusqlite::{Connection, ErrorCode};

use super::checkpoint::checkpoint;
use super::error::unusable;
use crate::error::{Error, Result};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// A migration after the newest one of this program.
static NEXT_VERSION: OnceLock<&str> = OnceLock::new();

/// Adds a migration after the newest one, so that tests of upgrades can run the next version of the program.
#[doc(hidden)]
pub fn set_next_version(sql: &'static str) {
    NEXT_VERSION.get_or_init(|| sql);
}

/// All migrations, in order.
fn migrations() -> std::result::Result<Vec<Migration>, refinery::Error> {
    let mut migrations = embedded::migrations::runner().get_migrations().clone();
    migrations.sort_unstable_by_key(Migration::version);
    if let (Some(sql), Some(newest)) = (NEXT_VERSION.get(), migrations.last()) {
        let name = format!("V{}__next", newest.version() + 1);
        migrations.push(Migration::unapplied(&name, sql)?);
    }
    Ok(migrations)
}

/// `CHGA` in ASCII: marks a file as this program's (`pragma application_id`).
pub(super) const APPLICATION_ID: i64 = 0x4348_4741;

/// Applies the migrations that a file lacks; a new file lacks all.
///
/// # Errors
/// When the file cannot be written; migrations before the failure stay, each is whole or not there.
pub(super) fn migrate(path: &Path, connection: &mut Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(unusable)?;
    // An index of a hundred million rows does not fit into memory while it is sorted.
    connection.pragma_update(None, "temp_store", "file").map_err(unusable)?;
    let migrations = migrations().map_err(|source| failed(path, &source))?;
    for migration in &migrations {
        // One at a time, so that the migration and its entry in the history are one transaction.
        let target = Target::Version(migration.version());
        let runner = Runner::new(&migrations).set_target(target).set_grouped(true);
        let report = runner.run(connection).map_err(|source| failed(path, &source))?;
        for migration in report.applied_migrations() {
            tracing::debug!(version = migration.version(), name = migration.name(), "migrated");
        }
        if !report.applied_migrations().is_empty() {
            checkpoint(connection, "passive")?;
        }
    }
    connection.pragma_update(None, "temp_store", "memory").map_err(unusable)
}

/// The error of a failed migration, with the remedy for a full disk.
fn failed(path: &Path, error: &refinery::Error) -> Error {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(source) = source.downcast_ref::<rusqlite::Error>()
            && source.sqlite_error_code() == Some(ErrorCode::DiskFull)
        {
            return unusable(path, source);
        }
        cause = source.source();
    }
    Error::database(path, format!("the schema cannot be brought up to date: {error}"))
}

/// The newest schema that this program knows.
pub fn schema_version() -> u32 {
    u32::try_from(supported_version()).unwrap_or(0)
}

pub(super) fn supported_version() -> i64 {
    let newest = migrations().ok().and_then(|migrations| migrations.last().map(Migration::version));
    newest.map_or(0, i64::from)
}

/// Rejects a file with tables that are not this program's, or newer than it; only reads.
///
/// # Errors
/// [`Error::Database`] with the reason.
pub(super) fn check_contents(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.busy_timeout(super::pragmas::BUSY_TIMEOUT).map_err(unusable)?;
    let tables = count_tables(connection).map_err(unusable)?;
    if tables > 0 { check_version(path, connection) } else { Ok(()) }
}

/// Rejects a file that is not this program's, or newer than it.
///
/// # Errors
/// [`Error::Database`] with the reason.
pub(super) fn check_version(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    let application_id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(unusable)?;
    let refuse = |reason: String| Err(Error::database(path, reason));
    if application_id == 0 && path.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        return refuse("not a chatgauge file (it is empty)".to_owned());
    }
    if application_id != APPLICATION_ID {
        return refuse(
            "not a chatgauge file (it is another program's SQLite database); name another file"
                .to_owned(),
        );
    }
    let sql = "select coalesce(max(version), 0) from refinery_schema_history";
    let found: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(unusable)?;
    if found <= supported_version() {
        return Ok(());
    }
    // The schema of programs before the first release began with other tables.
    let sql = "select name <> 'schema' from refinery_schema_history where version = 1";
    let is_unreleased: bool = connection.query_row(sql, [], |row| row.get(0)).map_err(unusable)?;
    if is_unreleased {
        let file = path.display();
        return refuse(format!(
            "a chatgauge from before version 0.1.0 made the file; export its records with that program (chatgauge export \
             --db '{file}') and import them into a new file with this one (chatgauge import)"
        ));
    }
    Err(newer(path, found))
}

pub(super) fn count_tables(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
}

/// The error for a file with a newer schema.
pub(super) fn newer(path: &Path, found: i64) -> Error {
    let supported = supported_version();
    let reason = format!(
        "the file is newer than this program (its schema is version {found}, this program \
         knows {supported}); run a newer chatgauge"
    );
    Error::database(path, reason)
}
