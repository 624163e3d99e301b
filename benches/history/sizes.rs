//! Bytes on disk per request: raw rows, indexes, rollups and sketches separately.

use std::path::Path;

use rusqlite::Connection;

use crate::Failure;
use crate::report::Report;

/// Adds the bytes per request, by kind of page.
pub(crate) fn measure(path: &Path, requests: u64, report: &mut Report) -> Result<(), Failure> {
    let connection = Connection::open(path)?;
    let mut select = connection.prepare(
        "select case when name = 'requests' then 'disk_rows'
                     when name like 'requests\\_%' escape '\\' then 'disk_indexes'
                     when name like '\\_rollup%' escape '\\' then 'disk_rollups'
                     when name like '\\_sketch%' escape '\\' then 'disk_sketches'
                     else 'disk_other' end as kind,
                sum(pgsize)
         from dbstat('main', 1) group by kind order by kind",
    )?;
    let kinds = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, i64)>, _>>()?;
    for (kind, bytes) in &kinds {
        report.add(kind, *bytes as f64 / requests as f64, "bytes/request", None);
    }
    let bytes = std::fs::metadata(path)?.len();
    report.add("disk", bytes as f64 / requests as f64, "bytes/request", Some("< 170"));
    Ok(())
}
