//! Which files are this program's, and bringing the schema of an older one up to date.

use std::error::Error as _;
use std::path::Path;

use refinery::{Migration, Target};
use rusqlite::{Connection, ErrorCode};

use super::checkpoint::checkpoint;
use super::error::unusable;
use crate::error::{Error, Result};

pub(super) mod embedded {
    refinery::embed_migrations!("migrations");
}

/// `CHGA` in ASCII: marks a file as this program's (`pragma application_id`).
pub(super) const APPLICATION_ID: i64 = 0x4348_4741;

/// Brings the schema up to date, or makes it.
///
/// # Errors
/// When the file cannot be written; migrations before the failure stay, each is whole or not there.
pub(super) fn migrate(path: &Path, connection: &mut Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(unusable)?;
    super::recode::register(connection).map_err(unusable)?;
    // An index over a hundred million rows is sorted in files.
    connection.pragma_update(None, "temp_store", "file").map_err(unusable)?;
    let mut versions: Vec<_> =
        embedded::migrations::runner().get_migrations().iter().map(Migration::version).collect();
    versions.sort_unstable();
    for version in versions {
        // A group of one: the migration and the note that it was made are one transaction.
        let target = Target::Version(version);
        let runner = embedded::migrations::runner().set_target(target).set_grouped(true);
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

/// Why the schema was not brought up to date; a full disk says what to do.
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
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// Refuses a file with tables that are not this program's, or too new; only reads.
///
/// # Errors
/// [`Error::Database`] says what it is.
pub(super) fn check_contents(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    connection.busy_timeout(super::pragmas::BUSY_TIMEOUT).map_err(unusable)?;
    let tables: i64 = connection
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .map_err(unusable)?;
    if tables > 0 { check_version(path, connection) } else { Ok(()) }
}

/// Refuses a file that is not this program's, or newer than it.
///
/// # Errors
/// [`Error::Database`] says which.
pub(super) fn check_version(path: &Path, connection: &Connection) -> Result<()> {
    let unusable = |source: rusqlite::Error| unusable(path, &source);
    let application_id: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(unusable)?;
    if application_id == 0 && path.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        return Err(Error::database(path, "not a chatgauge file (it is empty)"));
    }
    if application_id != APPLICATION_ID {
        return Err(Error::database(
            path,
            "not a chatgauge file (it is another program's SQLite database); name another file",
        ));
    }
    let found: i64 = connection
        .query_row("select coalesce(max(version), 0) from refinery_schema_history", [], |row| {
            row.get(0)
        })
        .map_err(unusable)?;
    let supported = supported_version();
    if found > supported { Err(newer(path, found)) } else { Ok(()) }
}

/// Why a file with a newer schema is refused.
pub(super) fn newer(path: &Path, found: i64) -> Error {
    let supported = supported_version();
    Error::database(
        path,
        format!(
            "the file is newer than this program (its schema is version {found}, this program \
             knows {supported}); run a newer chatgauge"
        ),
    )
}
