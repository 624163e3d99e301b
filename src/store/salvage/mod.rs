//! Reading what can be read of a damaged file into a new one.
//!
//! SQLite never opens the damaged file: it would recover its log, lock it, and give up a whole part of a tree for one
//! page. Pages are read one by one, with the newest committed version of each from the write-ahead log. A page is found
//! by the way from its table's root, and where a page of that way is damaged, by the pointer map that every file of this
//! program has (`auto_vacuum`), which names the parent of each page. So a damaged page costs its own rows only.

mod btree;
mod days;
mod dictionaries;
mod insert;
mod pages;
mod record;
mod report;
mod schema;
mod source;
mod target;
mod wal;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use rustc_hash::FxHashMap;

use self::days::Days;
use self::dictionaries::SeenIds;
use self::insert::{Batches, Inserter};
use self::pages::Pages;
pub use self::report::{SalvageReport, SalvagedDay, SalvagedTable};
use self::schema::{SourceTable, find_tables};
use self::source::{Source, TableId};
pub use self::target::SalvageTarget;
use super::error::storage;
use super::read::{DayRow, Reader};
use super::writer::Writer;
use crate::error::Result;
use crate::model::time::DAY_MS;
use crate::model::{ROLLUPS, Timestamp};

const OPERATION: &str = "writing what was read";

/// What to read.
#[derive(Clone, Debug)]
pub struct SalvageSource {
    /// The damaged file.
    pub path: PathBuf,
    /// Its write-ahead log; `None` reads the file without one.
    pub wal_path: Option<PathBuf>,
}

impl SalvageSource {
    /// A damaged file with the write-ahead log that lies beside it, if one does.
    pub fn beside(path: &Path) -> Self {
        let mut wal_path = path.as_os_str().to_owned();
        wal_path.push("-wal");
        let wal_path = PathBuf::from(wal_path);
        Self { path: path.to_owned(), wal_path: wal_path.exists().then_some(wal_path) }
    }
}

/// What was read, and which rollups are left to recompute.
#[derive(Debug)]
pub struct Salvaged {
    /// What was read, and what is missing.
    pub report: SalvageReport,
    /// Days whose rollups are to be recomputed from their requests.
    pub recompute: Vec<DayRow>,
}

impl Writer {
    /// Fills a new file with what can be read of a damaged one; rollups of days that keep their requests are left out.
    ///
    /// `progress` hears how many of the damaged file's pages were read.
    ///
    /// # Errors
    /// When the damaged file cannot be opened at all, or the new file cannot be written.
    pub fn salvage_from(
        &mut self,
        source: &SalvageSource,
        now: Timestamp,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Salvaged> {
        let pages = Pages::open(&source.path, source.wal_path.as_deref())?;
        let source = Source::new(pages, progress);
        let salvaged = Salvage::begin(self.connected()?, source)?.run(now)?;
        self.forget_uncommitted()?;
        Ok(salvaged)
    }
}

/// A salvage that is running.
struct Salvage<'c, 'p> {
    connection: &'c Connection,
    source: Source<'p>,
    tables: Vec<SourceTable>,
    batches: Batches<'c>,
    days: Days,
    seen: SeenIds,
    watermark_seq: Option<i64>,
    clock_ms: Option<i64>,
    key_check: Option<Vec<u8>>,
    /// The greatest `seq` that was ever given, and the requests after the watermark.
    last_seq: i64,
    tail_rows: u64,
    /// Rows that a table of the new file does not accept.
    refused: FxHashMap<TableId, u64>,
}

/// Tables that say something about others, in the order in which they are read; then the dictionaries, the requests, and
/// everything else.
const FIRST: [&str; 4] = ["days", "rollup_state", "store_state", "sqlite_sequence"];
const REQUESTS: &str = "requests";

fn is_rollup(table: &str) -> bool {
    ROLLUPS.iter().any(|rollup| {
        table == rollup.grouping.table()
            || (rollup.sketches && table == rollup.grouping.sketch_table())
    })
}

impl<'c, 'p> Salvage<'c, 'p> {
    fn begin(connection: &'c Connection, mut source: Source<'p>) -> Result<Self> {
        let tables = find_tables(&mut source, connection).map_err(storage("reading the schema"))?;
        Ok(Self {
            batches: Batches::begin(connection)?,
            connection,
            source,
            tables,
            days: Days::default(),
            seen: SeenIds::default(),
            watermark_seq: None,
            clock_ms: None,
            key_check: None,
            last_seq: 0,
            tail_rows: 0,
            refused: FxHashMap::default(),
        })
    }

    fn run(mut self, now: Timestamp) -> Result<Salvaged> {
        let rank = |table: &SourceTable| match table.name.as_str() {
            name if FIRST.contains(&name) => 0,
            REQUESTS => 2,
            name if is_rollup(name) => 3,
            _ => 1,
        };
        let mut order = self.tables.clone();
        order.sort_by_key(rank);
        // Where a page of a table that says something about others is an orphan, it is read before them.
        for wanted in 0..=3 {
            for table in order.iter().filter(|table| rank(table) == wanted) {
                self.read_table(table)?;
            }
            self.read_orphans(&order, |table| rank(table) == wanted)?;
            match wanted {
                0 => self.watermark_seq = self.watermark_seq.or_else(|| self.days.last_change()),
                2 => self.read_strays(&order)?,
                _ => {}
            }
        }
        self.finish(now)
    }

    fn read_table(&mut self, table: &SourceTable) -> Result<()> {
        let Some(root) = table.root else { return Ok(()) };
        self.read_rows(table, Way::Root(root))
    }

    fn read_orphans(
        &mut self,
        order: &[SourceTable],
        is_wanted: impl Fn(&SourceTable) -> bool,
    ) -> Result<()> {
        for (page, owner) in self.source.orphans() {
            let table = order.iter().find(|table| table.id == owner && is_wanted(table));
            if let Some(table) = table {
                self.read_rows(table, Way::Orphan(page))?;
            }
        }
        Ok(())
    }

    /// Reads requests from pages that nothing leads to and whose entry of the pointer map is damaged too. They may be
    /// of the past: what was deleted since stays deleted where a day says so.
    fn read_strays(&mut self, order: &[SourceTable]) -> Result<()> {
        let Some(table) = order.iter().find(|table| table.name == REQUESTS) else { return Ok(()) };
        for page in self.source.strays() {
            let columns = table.layout.columns.len();
            let looks_right = self.source.first_row(page, |has_rowid, values| {
                let is_number = |at: usize| matches!(values.get(at), Some(ValueRef::Integer(_)));
                let length = columns.saturating_sub(1)..=columns;
                has_rowid
                    && length.contains(&values.len())
                    && values.first() == Some(&ValueRef::Null)
                    && (3..10).all(is_number)
            });
            if looks_right == Some(true) {
                self.read_rows(table, Way::Stray(page))?;
            }
        }
        Ok(())
    }

    fn read_rows(&mut self, table: &SourceTable, way: Way) -> Result<()> {
        let verb = if is_one_row(&table.name) { "insert or replace" } else { "insert or ignore" };
        let mut inserter = Inserter::new(self.connection, &table.name, &table.layout, verb)
            .map_err(storage(OPERATION))?;
        let positions = Positions::of(table);
        // The source is borrowed by the walk, everything else by what takes its rows.
        let Self { source, batches, .. } = self;
        let mut refused = 0;
        let mut state = RowState {
            days: &mut self.days,
            seen: &mut self.seen,
            watermark_seq: &mut self.watermark_seq,
            clock_ms: &mut self.clock_ms,
            key_check: &mut self.key_check,
            last_seq: &mut self.last_seq,
            tail_rows: &mut self.tail_rows,
        };
        let is_stray = matches!(way, Way::Stray(_));
        let mut sink = |rowid: i64, values: &[ValueRef<'_>]| -> Result<()> {
            if !state.takes(&table.name, &positions, rowid, values, is_stray) {
                return Ok(());
            }
            match inserter.insert(rowid, values).map_err(storage(OPERATION))? {
                Some(true) => state.note(&table.name, &positions, rowid, values),
                Some(false) => {}
                None => refused += 1,
            }
            batches.row_done()
        };
        let has_rowid = table.layout.has_rowid;
        match way {
            Way::Root(root) => source.walk(table.id, has_rowid, root, &mut sink)?,
            Way::Orphan(page) | Way::Stray(page) => {
                source.walk_orphan(table.id, has_rowid, page, &mut sink)?;
            }
        }
        *self.refused.entry(table.id).or_default() += refused;
        Ok(())
    }

    fn finish(self, now: Timestamp) -> Result<Salvaged> {
        // Without a watermark everything that was read counts as rolled up.
        let watermark_seq = self.watermark_seq.unwrap_or(self.last_seq);
        let lost_names = self.seen.name_the_lost(self.connection).map_err(storage(OPERATION))?;
        let written = self.days.write(self.connection, now).map_err(storage(OPERATION))?;
        self.write_state(watermark_seq).map_err(storage(OPERATION))?;
        let mut report = SalvageReport {
            pages: u64::from(self.source.pages.count()),
            wal_frames: self.source.pages.wal_frames(),
            days: self.lost_days(),
            days_recomputed: written.recomputed.len(),
            days_copied: written.copied,
            lost_names,
            ..SalvageReport::default()
        };
        let tail = u64::try_from(self.last_seq.saturating_sub(watermark_seq)).unwrap_or(0);
        report.tail_lost = tail.saturating_sub(self.tail_rows);
        if self.watermark_seq.is_none() {
            report.notes.push("the watermark is lost: all requests count as rolled up".to_owned());
        }
        self.tell_tables(&mut report);
        self.batches.finish()?;
        Ok(Salvaged { report, recompute: written.recomputed })
    }

    /// Writes what is one row: the watermark, the last `seq` ever given, what ties the file to its key and clock.
    fn write_state(&self, watermark_seq: i64) -> rusqlite::Result<()> {
        let set = |sql: &str, value: &dyn rusqlite::ToSql| self.connection.execute(sql, [value]);
        set("update rollup_state set watermark_seq = ?1", &watermark_seq)?;
        // A `seq` that was given once never names another request.
        set("delete from sqlite_sequence where name = 'requests' and seq < ?1", &self.last_seq)?;
        set(
            "insert into sqlite_sequence (name, seq) select 'requests', ?1
             where not exists (select 1 from sqlite_sequence where name = 'requests')",
            &self.last_seq,
        )?;
        if let Some(clock_ms) = self.clock_ms {
            set("update store_state set clock_ms = ?1", &clock_ms)?;
        }
        set("update store_state set pseudonym_key_check = ?1", &self.key_check)?;
        Ok(())
    }

    /// Tables with what was lost of each; a dictionary's index, which has its rows too, counts with it.
    fn tell_tables(&self, report: &mut SalvageReport) {
        for table in &self.tables {
            let unreadable = self.source.unreadable(table.id);
            let refused = self.refused.get(&table.id).copied().unwrap_or(0);
            let known = report.tables.iter().position(|told| told.name == table.name);
            let at = known.unwrap_or_else(|| {
                report.tables.push(SalvagedTable {
                    name: table.name.clone(),
                    is_missing: true,
                    ..SalvagedTable::default()
                });
                report.tables.len() - 1
            });
            let told = &mut report.tables[at];
            told.damaged_pages += unreadable.pages;
            told.damaged_rows += unreadable.rows + refused;
            told.is_missing &= table.root.is_none();
        }
    }

    fn lost_days(&self) -> Vec<SalvagedDay> {
        let kept = self.days.stated.values().filter(|day| !self.days.is_pruned(day.day_ms));
        let with_counts = kept.map(|day| SalvagedDay {
            day_ms: day.day_ms,
            expected: day.requests,
            found: self.days.counted.get(&day.day_ms).map_or(0, |counted| counted.rolled_up),
        });
        with_counts.filter(|day| day.found < day.expected).collect()
    }
}

/// How a page was found.
#[derive(Clone, Copy)]
enum Way {
    Root(u32),
    Orphan(u32),
    Stray(u32),
}

/// Tables of one row, which a new file has already.
fn is_one_row(table: &str) -> bool {
    table == "alert_monitor"
}

/// Stored positions of the columns that are looked at.
struct Positions {
    started_at: Option<usize>,
    bucket: Option<usize>,
    ids: Vec<(usize, usize)>,
    layout: schema::Layout,
}

impl Positions {
    fn of(table: &SourceTable) -> Self {
        let layout = table.layout.clone();
        let ids = dictionaries::ID_COLUMNS.into_iter();
        Self {
            started_at: layout.position("started_at_ms").filter(|_| table.name == REQUESTS),
            bucket: layout.position("bucket_ms").filter(|_| is_rollup(&table.name)),
            ids: if table.name == REQUESTS || is_rollup(&table.name) {
                ids.filter_map(|(column, dictionary)| Some((layout.position(column)?, dictionary)))
                    .collect()
            } else {
                Vec::new()
            },
            layout,
        }
    }

    fn number(&self, column: &str, rowid: i64, values: &[ValueRef<'_>]) -> Option<i64> {
        let position = self.layout.position(column)?;
        if self.layout.rowid_column == Some(position) {
            return Some(rowid);
        }
        values.get(position)?.as_i64().ok()
    }
}

fn day_of(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// What rows are judged by, and what is kept of them.
struct RowState<'s> {
    days: &'s mut Days,
    seen: &'s mut SeenIds,
    watermark_seq: &'s mut Option<i64>,
    clock_ms: &'s mut Option<i64>,
    key_check: &'s mut Option<Vec<u8>>,
    last_seq: &'s mut i64,
    tail_rows: &'s mut u64,
}

impl RowState<'_> {
    /// Whether the row goes into the new file as it is.
    fn takes(
        &mut self,
        table: &str,
        positions: &Positions,
        rowid: i64,
        values: &[ValueRef<'_>],
        is_stray: bool,
    ) -> bool {
        let number = |column| positions.number(column, rowid, values);
        if let Some(bucket) = positions.bucket {
            let bucket_ms = values.get(bucket).and_then(|value| value.as_i64().ok());
            return bucket_ms.is_some_and(|ms| self.days.is_copied(day_of(ms)));
        }
        match table {
            REQUESTS if is_stray => {
                number("started_at_ms").is_some_and(|ms| !self.days.is_pruned(day_of(ms)))
            }
            "days" => {
                self.days.stated.extend(read_day(&number).map(|day| (day.day_ms, day)));
                false
            }
            "rollup_state" => {
                *self.watermark_seq = number("watermark_seq");
                false
            }
            "sqlite_sequence" => {
                let name = values.first().and_then(|name| name.as_str().ok());
                if name == Some(REQUESTS) {
                    *self.last_seq = (*self.last_seq).max(number("seq").unwrap_or(0));
                }
                false
            }
            // A new file has an id of its own, so that no log of the damaged one is taken for its log.
            "store_state" => {
                *self.clock_ms = number("clock_ms");
                let check = positions.layout.position("pseudonym_key_check");
                let check = check.and_then(|at| values.get(at)?.as_blob().ok());
                *self.key_check = check.map(<[u8]>::to_vec);
                false
            }
            _ => true,
        }
    }

    /// Remembers what a row of the new file says.
    fn note(&mut self, table: &str, positions: &Positions, rowid: i64, values: &[ValueRef<'_>]) {
        for (position, dictionary) in &positions.ids {
            if let Some(id) = values.get(*position).and_then(|value| value.as_i64().ok()) {
                self.seen.add(*dictionary, id);
            }
        }
        let started_at = positions.started_at.and_then(|at| values.get(at)?.as_i64().ok());
        if let Some(started_at_ms) = started_at.filter(|_| table == REQUESTS) {
            *self.last_seq = (*self.last_seq).max(rowid);
            if self.watermark_seq.is_none_or(|seq| rowid <= seq) {
                self.days.count(day_of(started_at_ms), started_at_ms, rowid);
            } else {
                *self.tail_rows += 1;
            }
        }
    }
}

impl Reader<'_> {
    /// Counts the rows of every table of a report in the new file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn count_rows(&self, report: &mut SalvageReport) -> Result<()> {
        for table in &mut report.tables {
            let sql = format!("select count(*) from {}", table.name);
            let count = || self.connection().query_row(&sql, [], |row| row.get::<_, i64>(0));
            let rows = count().map_err(storage("counting what was read"))?;
            table.rows = u64::try_from(rows).unwrap_or(0);
        }
        Ok(())
    }
}

fn read_day(number: &dyn Fn(&'static str) -> Option<i64>) -> Option<DayRow> {
    let day_ms = number("day_ms").filter(|ms| ms.rem_euclid(DAY_MS) == 0)?;
    Some(DayRow {
        day_ms,
        requests: number("requests")?,
        min_started_at_ms: number("min_started_at_ms")?,
        max_started_at_ms: number("max_started_at_ms")?,
        changed_seq: number("changed_seq")?,
        changed_at_ms: number("changed_at_ms")?,
        pruned: number("pruned").unwrap_or(0),
    })
}
