//! The tables of the damaged file, from its schema; if that is damaged, at their root pages in a new file.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use rustc_hash::FxHashMap;

use super::dictionaries::DICTIONARIES;
use super::pages::PageUse;
use super::source::{DamagedFile, SCHEMA, TableId};
use crate::error::Result;

/// A table of the damaged file, or an index that is read like one.
#[derive(Clone, Debug)]
pub(super) struct DamagedTable {
    pub(super) id: TableId,
    pub(super) name: String,
    /// Its first page; `None` if it is unknown.
    pub(super) root: Option<u32>,
    pub(super) layout: RowLayout,
}

/// How the rows of a table are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowLayout {
    /// Names of the columns in the order of a stored row.
    pub(super) columns: Vec<String>,
    /// Whether rows have rowids.
    pub(super) has_rowid: bool,
    /// The column that is the rowid; stored rows have NULL in its place.
    pub(super) rowid_column: Option<usize>,
}

impl RowLayout {
    /// The position of a column in a stored row.
    pub(super) fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// One row of the schema.
struct SchemaRow {
    root: u32,
    sql: String,
}

/// Finds the tables of the file that a new one has too, and the indexes of the dictionaries, which have whole rows: the
/// names, and the id as the rowid.
///
/// # Errors
/// When the new file cannot be read.
pub(super) fn find_tables(
    source: &mut DamagedFile<'_>,
    new: &Connection,
) -> rusqlite::Result<Vec<DamagedTable>> {
    let stored = read_schema(source);
    let reference = roots(new)?;
    let scratch = Connection::open_in_memory()?;
    // `vacuum` moves tables: then their roots in a new file are of no use.
    let is_as_made =
        stored.iter().all(|(name, row)| reference.get(name).is_none_or(|root| *root == row.root));
    let find_root = |source: &mut DamagedFile<'_>, name: &str| {
        let stored_root = stored.get(name).map(|row| row.root);
        let new_root = reference.get(name).copied().filter(|_| is_as_made);
        stored_root.or_else(|| new_root.filter(|root| is_root(source, &stored, *root)))
    };
    let mut tables = Vec::new();
    for name in table_names(new)? {
        let layout = stored
            .get(&name)
            .and_then(|row| layout_of_sql(&scratch, &name, &row.sql))
            .map_or_else(|| layout(new, &name), Ok)?;
        let root = find_root(source, &name);
        tables.push(DamagedTable { id: TableId(0), name, root, layout });
    }
    for (dictionary, ..) in DICTIONARIES {
        let root = find_root(source, &format!("sqlite_autoindex_{dictionary}_1"));
        let mut columns = layout(new, dictionary)?.columns;
        // An index ends with the rowid.
        columns.rotate_left(1);
        let layout = RowLayout { columns, has_rowid: false, rowid_column: None };
        tables.push(DamagedTable { id: TableId(0), name: dictionary.to_owned(), root, layout });
    }
    for (table, id) in tables.iter_mut().zip(SCHEMA.0 + 1..) {
        table.id = TableId(id);
    }
    find_by_shape(source, &stored, &mut tables);
    Ok(tables)
}

/// Whether a page can be a root that no known table has.
fn is_root(source: &mut DamagedFile<'_>, stored: &FxHashMap<String, SchemaRow>, page: u32) -> bool {
    let is_claimed = stored.values().any(|row| row.root == page);
    !is_claimed && matches!(source.pages.use_of(page), Some(PageUse::Root) | None)
}

/// Finds the roots of lost tables whose rows have the shape of no other lost table.
fn find_by_shape(
    source: &mut DamagedFile<'_>,
    stored: &FxHashMap<String, SchemaRow>,
    tables: &mut [DamagedTable],
) {
    let claimed: Vec<u32> = tables.iter().filter_map(|table| table.root).collect();
    if claimed.len() == tables.len() {
        return;
    }
    for page in source.unclaimed_roots() {
        if claimed.contains(&page) || stored.values().any(|row| row.root == page) {
            continue;
        }
        let shape = source.first_row(page, |has_rowid, values| {
            let id_is_absent = values.first().is_some_and(|first| *first == ValueRef::Null);
            (has_rowid, values.len(), id_is_absent)
        });
        let fits = |table: &DamagedTable| {
            let layout = &table.layout;
            let wanted = (layout.has_rowid, layout.columns.len(), layout.rowid_column == Some(0));
            table.root.is_none() && shape == Some(wanted)
        };
        let mut fitting = tables.iter_mut().filter(|table| fits(table));
        if let (Some(table), None) = (fitting.next(), fitting.next()) {
            table.root = Some(page);
        }
    }
}

fn read_schema(source: &mut DamagedFile<'_>) -> FxHashMap<String, SchemaRow> {
    let mut rows = FxHashMap::default();
    let mut sink = |_: i64, values: &[ValueRef<'_>]| -> Result<()> {
        let text = |at: usize| values.get(at).and_then(|value| value.as_str().ok());
        let root = values.get(3).and_then(|value| value.as_i64().ok());
        if let (Some(name), Some(root)) = (text(1), root.and_then(|root| u32::try_from(root).ok()))
            && root > 1
        {
            let sql = text(4).unwrap_or_default().to_owned();
            rows.insert(name.to_owned(), SchemaRow { root, sql });
        }
        Ok(())
    };
    source.roots.insert(1, SCHEMA);
    // The sink never fails.
    drop(source.walk(SCHEMA, true, 1, &mut sink));
    if source.unreadable(SCHEMA).pages > 0 {
        for (page, _) in source.orphans().into_iter().filter(|(_, owner)| *owner == SCHEMA) {
            drop(source.walk(SCHEMA, true, page, &mut sink));
        }
    }
    rows
}

/// The tables with data, by name.
fn table_names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "select name from sqlite_schema
         where type = 'table' and (name = 'sqlite_sequence' or name not like 'sqlite%')
         order by name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn roots(connection: &Connection) -> rusqlite::Result<FxHashMap<String, u32>> {
    let mut statement =
        connection.prepare("select name, rootpage from sqlite_schema where rootpage > 1")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The layout by a `create table` statement of the damaged schema; `None` for any other text.
fn layout_of_sql(scratch: &Connection, name: &str, sql: &str) -> Option<RowLayout> {
    // The text is from a damaged file, so only `create table` is run, in memory.
    let is_table = sql.get(..12).is_some_and(|head| head.eq_ignore_ascii_case("create table"));
    if name.starts_with("sqlite_") || !is_table {
        return None;
    }
    scratch.execute(sql, []).ok()?;
    layout(scratch, name).ok().filter(|layout| !layout.columns.is_empty())
}

fn layout(connection: &Connection, table: &str) -> rusqlite::Result<RowLayout> {
    let sql = "select wr from pragma_table_list where name = ?1";
    let without_rowid: bool = connection.query_row(sql, [table], |row| row.get(0))?;
    let mut statement =
        connection.prepare("select name, pk, type from pragma_table_xinfo(?1) order by cid")?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut columns: Vec<(String, i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
    if without_rowid {
        // The primary key comes first.
        columns.sort_by_key(|(_, key, _)| if *key == 0 { i64::MAX } else { *key });
    }
    let keys = columns.iter().filter(|(_, key, _)| *key > 0).count();
    let is_rowid =
        |(_, key, kind): &(String, i64, String)| *key == 1 && kind.eq_ignore_ascii_case("integer");
    let rowid_column = columns.iter().position(is_rowid).filter(|_| !without_rowid && keys == 1);
    Ok(RowLayout {
        columns: columns.into_iter().map(|(name, _, _)| name).collect(),
        has_rowid: !without_rowid,
        rowid_column,
    })
}
