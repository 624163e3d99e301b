//! Rows of plain measures: one for each bucket and group.

use rusqlite::{CachedStatement, Connection, Transaction};

use super::rollups::{RollupKey, RollupPart, bind_key, insert_into, key_condition, key_names};
use crate::model::measures::Combine;
use crate::model::{Column, Grouping, PackedMeasures};

/// Adds the rows of a part to those that are stored.
pub(super) fn merge_rows(transaction: &Transaction<'_>, part: &RollupPart) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(&upsert_sql(part.grouping))?;
    write_all(&mut upsert, part, &part.rows)
}

/// The rows of a part with those that are stored, as [`merge_rows`] would leave them.
pub(super) fn merged_rows(
    connection: &Connection,
    part: &RollupPart,
) -> rusqlite::Result<Vec<(RollupKey, Box<PackedMeasures>)>> {
    let mut select = connection.prepare_cached(&select_sql(part.grouping))?;
    let mut with_stored = |key: &RollupKey, values: &PackedMeasures| {
        bind_key(&mut select, part.level, key, part.grouping.keys().len())?;
        let mut together = values.unpack();
        let mut rows = select.raw_query();
        if let Some(stored) = rows.next()? {
            for column in Column::all() {
                let stored: Option<i64> = stored.get(column.index())?;
                let value = &mut together[column.index()];
                *value = stored.map_or(*value, |stored| column.merge(*value, stored));
            }
        }
        Ok((*key, Box::new(PackedMeasures::of(&together))))
    };
    part.rows.iter().map(|(key, values)| with_stored(key, values)).collect()
}

/// Writes the rows that were merged beforehand.
pub(super) fn replace_rows(
    transaction: &Transaction<'_>,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    let sql = insert_sql(part.grouping, "insert or replace");
    let mut replace = transaction.prepare_cached(&sql)?;
    write_all(&mut replace, part, &part.foreseen_rows)
}

/// Writes the rows of a part into a table of the same columns.
pub(super) fn write_rows_into(
    transaction: &Transaction<'_>,
    table: &str,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached(&insert_into(table, &names(part.grouping), "insert"))?;
    write_all(&mut insert, part, &part.rows)
}

fn write_all(
    statement: &mut CachedStatement<'_>,
    part: &RollupPart,
    rows: &[(RollupKey, Box<PackedMeasures>)],
) -> rusqlite::Result<()> {
    let keys = part.grouping.keys().len();
    for (key, values) in rows {
        bind_key(statement, part.level, key, keys)?;
        let values = values.unpack();
        for column in Column::all() {
            let value = values[column.index()];
            let known = (value != column.empty() || column.empty() == 0).then_some(value);
            statement.raw_bind_parameter(3 + keys + column.index(), known)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn select_sql(grouping: Grouping) -> String {
    let columns: Vec<&str> = Column::all().map(Column::name).collect();
    format!(
        "select {} from {} where {}",
        columns.join(", "),
        grouping.table(),
        key_condition(grouping)
    )
}

fn names(grouping: Grouping) -> Vec<&'static str> {
    key_names(grouping).into_iter().chain(Column::all().map(Column::name)).collect()
}

fn insert_sql(grouping: Grouping, verb: &str) -> String {
    insert_into(grouping.table(), &names(grouping), verb)
}

/// `insert ... on conflict do update` of one rollup table, from the names of the columns.
fn upsert_sql(grouping: Grouping) -> String {
    let updates: Vec<String> = Column::all().map(update_of).collect();
    format!(
        "{} on conflict ({}) do update set {}",
        insert_sql(grouping, "insert"),
        key_names(grouping).join(", "),
        updates.join(", ")
    )
}

fn update_of(column: Column) -> String {
    let name = column.name();
    let extreme = |function: &str| {
        format!(
            "{name} = {function}(ifnull({name}, excluded.{name}), ifnull(excluded.{name}, {name}))"
        )
    };
    match column.combine() {
        // A sum beyond 64 bits would become a number that is not whole; as an integer it is the greatest one.
        Combine::Sum => format!("{name} = cast({name} + excluded.{name} as integer)"),
        Combine::Min => extreme("min"),
        Combine::Max => extreme("max"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_stored_sum_beyond_64_bits_is_the_greatest_whole_number() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::Config::default().store;
        config.path = directory.path().join("chat.db");
        let (_store, writer) = Store::open(&config).unwrap();
        let mut upsert = writer.connection().prepare(&upsert_sql(Grouping::All)).unwrap();
        for _ in 0..2 {
            let values = Column::all().map(|_| i64::MAX - 1);
            let row: Vec<i64> = [1_440, 0].into_iter().chain(values).collect();
            upsert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        for column in Column::all().filter(|column| column.combine() == Combine::Sum) {
            let sql = format!("select {} from {}", column.name(), Grouping::All.table());
            let sum: i64 = writer.connection().query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(sum, i64::MAX, "{}", column.name());
        }
    }
}
