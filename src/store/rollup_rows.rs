//! Rows of plain measures: one for each bucket and group.

use rusqlite::{Connection, Transaction};

use super::rollup_part::{RollupKey, RollupPart, insert_into, key_condition, key_names};
use crate::model::measures::Combine;
use crate::model::{Column, Grouping, PackedMeasures};

/// Merges the rows of a part into the stored ones.
pub(super) fn merge_rows(transaction: &Transaction<'_>, part: &RollupPart) -> rusqlite::Result<()> {
    write(transaction, &upsert_sql(part.grouping), part)
}

/// The rows of a part merged with the stored ones, as [`merge_rows`] would leave them.
pub(super) fn merged_rows(
    connection: &Connection,
    part: &RollupPart,
) -> rusqlite::Result<Vec<(RollupKey, Box<PackedMeasures>)>> {
    let (table, condition) = (part.grouping.table(), key_condition(part.grouping));
    let columns: Vec<&str> = Column::all().map(Column::name).collect();
    let sql = format!("select {} from {table} where {condition}", columns.join(", "));
    let mut select = connection.prepare_cached(&sql)?;
    let mut with_stored = |key: &RollupKey, values: &PackedMeasures| {
        key.bind(&mut select, part)?;
        let mut merged = values.unpack();
        let mut rows = select.raw_query();
        if let Some(stored) = rows.next()? {
            for column in Column::all() {
                let stored: Option<i64> = stored.get(column.index())?;
                let value = &mut merged[column.index()];
                *value = stored.map_or(*value, |stored| column.merge(*value, stored));
            }
        }
        Ok((*key, Box::new(PackedMeasures::of(&merged))))
    };
    part.rows.iter().map(|(key, values)| with_stored(key, values)).collect()
}

/// Writes the rows of a part into a table with the columns of its rollup, e.g. by `insert or replace`.
pub(super) fn write_rows(
    transaction: &Transaction<'_>,
    verb: &str,
    table: &str,
    part: &RollupPart,
) -> rusqlite::Result<()> {
    write(transaction, &insert_into(table, &names(part.grouping), verb), part)
}

fn write(transaction: &Transaction<'_>, sql: &str, part: &RollupPart) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(sql)?;
    let first = 3 + part.grouping.keys().len();
    for (key, values) in &part.rows {
        key.bind(&mut statement, part)?;
        let values = values.unpack();
        for column in Column::all() {
            let value = values[column.index()];
            let known = (value != column.empty() || column.empty() == 0).then_some(value);
            statement.raw_bind_parameter(first + column.index(), known)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn names(grouping: Grouping) -> Vec<&'static str> {
    key_names(grouping).into_iter().chain(Column::all().map(Column::name)).collect()
}

/// `insert ... on conflict do update` of one rollup table, from the names of the columns.
fn upsert_sql(grouping: Grouping) -> String {
    let updates: Vec<String> = Column::all().map(update_of).collect();
    format!(
        "{} on conflict ({}) do update set {}",
        insert_into(grouping.table(), &names(grouping), "insert"),
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
        // A sum beyond 64 bits would become a floating-point number; the cast turns it into the largest integer.
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
        let mut upsert = writer.connected().unwrap().prepare(&upsert_sql(Grouping::All)).unwrap();
        for _ in 0..2 {
            let values = Column::all().map(|_| i64::MAX - 1);
            let row: Vec<i64> = [1_440, 0].into_iter().chain(values).collect();
            upsert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        for column in Column::all().filter(|column| column.combine() == Combine::Sum) {
            let sql = format!("select {} from {}", column.name(), Grouping::All.table());
            let sum: i64 =
                writer.connected().unwrap().query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(sum, i64::MAX, "{}", column.name());
        }
    }
}
