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
mod log;
mod pages;
mod record;
mod report;
mod rows;
mod schema;
mod source;
mod target;
mod wal;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use rustc_hash::FxHashMap;

use self::insert::{Batches, Inserter};
use self::pages::Pages;
pub use self::report::{SalvageReport, SalvagedDay, SalvagedTable, SalvagedWal};
use self::rows::{Known, Positions, RowUse};
use self::schema::{SourceTable, find_tables};
use self::source::{SCHEMA, Source, TableId, Unreadable};
pub use self::target::SalvageTarget;
use super::error::storage;
use super::migrate::{newer, supported_version};
use super::paths::{beside, resolved};
use super::read::{DayRow, Reader};
use super::state::StoreState;
use super::writer::Writer;
use crate::error::{Error, Result};
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
        let wal_path = beside(&resolved(path), "-wal");
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
    /// When the damaged file cannot be opened at all, has not a page, is newer than this program or has another file's
    /// write-ahead log, or when the new file cannot be written.
    pub fn salvage_from(
        &mut self,
        source: &SalvageSource,
        now: Timestamp,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Salvaged> {
        let pages = Pages::open(&source.path, source.wal_path.as_deref())?;
        if pages.is_empty() {
            return Err(nothing_to_read(&source.path));
        }
        let connection = self.connected()?;
        let alone = log::state_alone(&source.path, connection)?;
        let wal = log::judge(source, &pages, alone.as_ref(), connection)?;
        if pages.wal_is_foreign() {
            return Err(log::foreign(source));
        }
        let salvage = Salvage::begin(connection, Source::new(pages, progress))?;
        let salvaged = Salvage { wal, alone, ..salvage }.run(source, now)?;
        self.forget_uncommitted()?;
        Ok(salvaged)
    }
}

fn nothing_to_read(path: &Path) -> Error {
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    let reason = format!(
        "there is nothing to read: the file has {bytes} bytes, less than one page, and no write-ahead log with \
         transactions was read. Restore a backup, or name another copy of the file"
    );
    Error::database(path, reason)
}

/// A salvage that is running.
struct Salvage<'c, 'p> {
    connection: &'c Connection,
    source: Source<'p>,
    tables: Vec<SourceTable>,
    batches: Batches<'c>,
    known: Known,
    /// Rows with values that no row of their table has.
    refused: FxHashMap<TableId, u64>,
    wal: SalvagedWal,
    /// The state of the file without its write-ahead log.
    alone: Option<StoreState>,
    other_losses: Vec<String>,
}

/// Tables that say something about others, in the order in which they are read; then the dictionaries, the requests, and
/// everything else.
const FIRST: [&str; 5] = [SCHEMA_HISTORY, "_days", "_rollup_state", STORE_STATE, "sqlite_sequence"];
const REQUESTS: &str = "requests";
const STORE_STATE: &str = "_store_state";
const SCHEMA_HISTORY: &str = "refinery_schema_history";

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
            known: Known::default(),
            refused: FxHashMap::default(),
            wal: SalvagedWal::NotNeeded,
            alone: None,
            other_losses: Vec::new(),
        })
    }

    fn run(mut self, source: &SalvageSource, now: Timestamp) -> Result<Salvaged> {
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
                0 => self.look_at_first_tables(source)?,
                2 => self.read_strays(&order)?,
                _ => {}
            }
        }
        self.finish(now)
    }

    /// Refuses what would put wrong or too few columns into the new file, before the rows that matter are read.
    fn look_at_first_tables(&mut self, source: &SalvageSource) -> Result<()> {
        let supported = supported_version();
        let versions = &self.known.schema_versions;
        if let Some(found) = versions.last().copied().filter(|found| *found > supported) {
            // A newer file went through this program's version; a number that a damaged bit changed stands for another.
            if versions.contains(&supported) {
                return Err(newer(&source.path, found));
            }
            self.other_losses.push(format!(
                "the file names version {found} of the schema and not version {supported}: what only a newer program \
                 knows is left out"
            ));
        }
        if self.wal == SalvagedWal::Read || self.wal == SalvagedWal::Damaged {
            let states = self.alone.as_ref().zip(self.known.state.as_ref());
            if states.is_some_and(|(alone, state)| log::is_foreign(alone, state)) {
                return Err(log::foreign(source));
            }
        }
        if self.known.watermark_seq.is_none() {
            self.known.watermark_seq = self.known.days.last_change();
            self.other_losses.push(match self.known.watermark_seq {
                Some(_) => {
                    "the watermark is lost: the last change of a day is taken for it".to_owned()
                }
                None => "the watermark is lost: all requests count as rolled up".to_owned(),
            });
        }
        if self.known.state.is_none() {
            self.other_losses.push(
                "the row of _store_state is lost: nothing says whether the write-ahead log is missing, and the new file \
                 accepts any key of pseudonyms"
                    .to_owned(),
            );
        }
        Ok(())
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
        let verb = if is_one_row(&table.name) { "insert or replace" } else { "insert" };
        let mut inserter = Inserter::new(self.connection, &table.name, &table.layout, verb)
            .map_err(storage(OPERATION))?;
        let positions = Positions::of(table);
        // The source is borrowed by the walk, everything else by what takes its rows.
        let Self { source, batches, known, .. } = self;
        let mut refused = 0;
        let is_stray = matches!(way, Way::Stray(_));
        let mut sink = |rowid: i64, values: &[ValueRef<'_>]| -> Result<()> {
            match known.take(&table.name, &positions, rowid, values, is_stray) {
                RowUse::Inserted => {}
                RowUse::Noted => return Ok(()),
                RowUse::Refused => {
                    refused += 1;
                    return Ok(());
                }
            }
            match inserter.insert(rowid, values).map_err(storage(OPERATION))? {
                Some(true) => known.note(&table.name, &positions, rowid, values),
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

    fn finish(mut self, now: Timestamp) -> Result<Salvaged> {
        // Without a watermark everything that was read counts as rolled up.
        self.note_unstated_days();
        let known = &self.known;
        let watermark_seq = known.watermark_seq.unwrap_or(known.last_seq);
        let lost_names = known.seen.name_the_lost(self.connection).map_err(storage(OPERATION))?;
        let written = known.days.write(self.connection, now).map_err(storage(OPERATION))?;
        self.write_state(watermark_seq).map_err(storage(OPERATION))?;
        let mut report = SalvageReport {
            pages: u64::from(self.source.pages.expected()),
            pages_missing: self.source.pages.missing().map(u64::from),
            schema_pages_damaged: self.source.unreadable(SCHEMA).pages,
            wal: self.wal,
            wal_missing_after_ms: self.wal_missing_after_ms(),
            other_losses: self.other_losses.clone(),
            wal_frames: self.source.pages.wal_frames(),
            days: self.lost_days(),
            days_recomputed: written.recomputed.len(),
            days_copied: written.copied,
            lost_names,
            ..SalvageReport::default()
        };
        let tail = u64::try_from(known.last_seq.saturating_sub(watermark_seq)).unwrap_or(0);
        report.tail_lost = tail.saturating_sub(known.tail_rows);
        self.tell_tables(&mut report);
        self.batches.finish()?;
        Ok(Salvaged { report, recompute: written.recomputed })
    }

    /// Counts days that have requests and no row as lost rows of the table of days, where no damage was met in it.
    fn note_unstated_days(&mut self) {
        let days = &self.known.days;
        let unstated = days.counted.keys().filter(|day| !days.stated.contains_key(day)).count();
        let Some(table) = self.tables.iter().find(|table| table.name == "_days") else { return };
        if self.source.unreadable(table.id) == Unreadable::default() {
            let refused = self.refused.entry(table.id).or_default();
            *refused = (*refused).max(u64::try_from(unstated).unwrap_or(u64::MAX));
        }
    }

    /// The mark of the damaged file, or of this salvage when the latest records may be missing now.
    fn wal_missing_after_ms(&self) -> Option<i64> {
        let state = self.known.state.as_ref();
        if self.wal.is_lossy() {
            return Some(state.map_or(0, |state| state.clock_ms));
        }
        state.and_then(|state| state.wal_missing_after_ms)
    }

    /// Writes what is one row: the watermark, the last `seq` ever given, what ties the file to its key and clock.
    fn write_state(&self, watermark_seq: i64) -> rusqlite::Result<()> {
        let set = |sql: &str, value: &dyn rusqlite::ToSql| self.connection.execute(sql, [value]);
        let last_seq = &self.known.last_seq;
        set("update _rollup_state set watermark_seq = ?1", &watermark_seq)?;
        // A `seq` that was given once never names another request.
        set("delete from sqlite_sequence where name = 'requests' and seq < ?1", last_seq)?;
        set(
            "insert into sqlite_sequence (name, seq) select 'requests', ?1
             where not exists (select 1 from sqlite_sequence where name = 'requests')",
            last_seq,
        )?;
        if let Some(state) = &self.known.state {
            set("update _store_state set clock_ms = ?1", &state.clock_ms)?;
            set("update _store_state set pseudonym_key_check = ?1", &state.pseudonym_key_check)?;
        } else {
            set("update _store_state set pseudonym_key_check = ?1", &None::<Vec<u8>>)?;
        }
        set("update _store_state set wal_missing_after_ms = ?1", &self.wal_missing_after_ms())?;
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
        let days = &self.known.days;
        let kept = days.stated.values().filter(|day| !days.is_pruned(day.day_ms));
        let with_counts = kept.map(|day| SalvagedDay {
            day_ms: day.day_ms,
            expected: day.requests,
            found: days.counted.get(&day.day_ms).map_or(0, |counted| counted.rolled_up),
        });
        with_counts.filter(|day| day.found < day.expected).collect()
    }
}

/// Tables of one row, which a new file has already.
fn is_one_row(table: &str) -> bool {
    table == "_alert_monitor"
}

/// How a page was found.
#[derive(Clone, Copy)]
enum Way {
    Root(u32),
    Orphan(u32),
    Stray(u32),
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
