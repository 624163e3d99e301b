//! Copies the readable rows of a damaged file into a new one.
//!
//! SQLite never opens the damaged file: it would recover its log, lock it, and skip a whole subtree for one damaged page.
//! Pages are read one by one, in the newest committed version of each from the write-ahead log. A page is found from its
//! table's root, and below a damaged page by the pointer map, which every file of this program has (`auto_vacuum`) and
//! which contains the parent of each page. So a damaged page costs only its own rows.

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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, ToSql};
use rustc_hash::FxHashMap;

use self::insert::{Batches, Inserter};
use self::pages::Pages;
pub use self::report::{SalvageReport, SalvagedDay, SalvagedTable, SalvagedWal};
use self::rows::{ColumnPositions, FileFacts, RowUse};
use self::schema::{DamagedTable, find_tables};
use self::source::{DamagedFile, SCHEMA, TableId, Unreadable};
pub use self::target::SalvageTarget;
use super::columns::unsigned;
use super::error::storage;
use super::migrate::{newer, supported_version};
use super::paths::{beside, file_bytes, resolved};
use super::read::{DayRow, Reader};
use super::rollup_part::tables_of;
use super::state::StoreState;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::model::Timestamp;

const OPERATION: &str = "writing readable rows";

/// The files to read.
#[derive(Clone, Debug)]
pub struct SalvageSource {
    /// The damaged file.
    pub path: PathBuf,
    /// Its write-ahead log; `None` reads the file without one.
    pub wal_path: Option<PathBuf>,
}

impl SalvageSource {
    /// A damaged file with the write-ahead log beside it, if there is one.
    pub fn beside(path: &Path) -> Self {
        let wal_path = beside(&resolved(path), "-wal");
        Self { path: path.to_owned(), wal_path: wal_path.exists().then_some(wal_path) }
    }
}

/// The result of a salvage, and the rollups that remain to be recomputed.
#[derive(Debug)]
pub struct Salvaged {
    /// The data that was read and the losses.
    pub report: SalvageReport,
    /// Days whose rollups must be recomputed from their requests.
    pub recompute: Vec<DayRow>,
}

impl Writer {
    /// Fills a new file with the readable rows of a damaged one, except rollups of days that have their requests.
    ///
    /// `progress` is called with the number of pages read and of all pages of the damaged file.
    ///
    /// # Errors
    /// When the damaged file cannot be opened, has no page, is newer than this program or has another file's write-ahead
    /// log, or when the new file cannot be written.
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
        let new = self.connected()?;
        let alone = log::stored_state(Pages::open(&source.path, None)?, new)?;
        let wal = log::judge(source, &pages, alone.as_ref(), new)?;
        if pages.wal_is_foreign {
            return Err(log::foreign(source));
        }
        let mut damaged = DamagedFile::new(pages, progress);
        let salvage = Salvage {
            tables: find_tables(&mut damaged, new).map_err(storage("reading the schema"))?,
            batches: Batches::begin(new)?,
            connection: new,
            source: damaged,
            known: FileFacts::default(),
            refused: FxHashMap::default(),
            wal,
            alone,
            other_losses: Vec::new(),
        };
        let salvaged = salvage.run(source, now)?;
        self.reload_memory()?;
        Ok(salvaged)
    }
}

fn nothing_to_read(path: &Path) -> Error {
    let bytes = file_bytes(path);
    let reason = format!(
        "there is nothing to read: the file has {bytes} bytes, less than one page, and no write-ahead log with \
         transactions was read. Restore a backup, or name another copy of the file"
    );
    Error::database(path, reason)
}

/// The state of a salvage.
struct Salvage<'c, 'p> {
    connection: &'c Connection,
    source: DamagedFile<'p>,
    tables: Vec<DamagedTable>,
    batches: Batches<'c>,
    known: FileFacts,
    /// Rows with values that their table does not accept.
    refused: FxHashMap<TableId, u64>,
    wal: SalvagedWal,
    /// The state of the file without its write-ahead log.
    alone: Option<StoreState>,
    other_losses: Vec<String>,
}

/// Tables with information about other tables, which are read first.
const FIRST: [&str; 5] = [SCHEMA_HISTORY, "_days", "_rollup_state", STORE_STATE, "sqlite_sequence"];
const REQUESTS: &str = "requests";
const STORE_STATE: &str = "_store_state";
const SCHEMA_HISTORY: &str = "refinery_schema_history";

fn is_rollup(table: &str) -> bool {
    tables_of(None).any(|rollup| rollup == table)
}

impl Salvage<'_, '_> {
    fn run(mut self, source: &SalvageSource, now: Timestamp) -> Result<Salvaged> {
        let rank = |table: &DamagedTable| match table.name.as_str() {
            name if FIRST.contains(&name) => 0,
            REQUESTS => 2,
            name if is_rollup(name) => 3,
            _ => 1,
        };
        let mut order = self.tables.clone();
        order.sort_by_key(rank);
        // Orphans of a rank are read before the tables of the next one, which may depend on their rows.
        for wanted in 0..=3 {
            let tables: Vec<_> = order.iter().filter(|table| rank(table) == wanted).collect();
            for table in &tables {
                if let Some(root) = table.root {
                    self.source.roots.insert(root, table.id);
                    self.read_rows(table, root, false)?;
                }
            }
            for (page, owner) in self.source.orphans() {
                if let Some(table) = tables.iter().find(|table| table.id == owner) {
                    self.read_rows(table, page, false)?;
                }
            }
            match wanted {
                0 => self.check_first_tables(source)?,
                2 => self.read_strays(tables.first())?,
                _ => {}
            }
        }
        self.finish(now)
    }

    /// Rejects a newer file or a foreign log before its rows get into the new file, and notes losses of the first tables.
    fn check_first_tables(&mut self, source: &SalvageSource) -> Result<()> {
        let supported = supported_version();
        let versions = &self.known.schema_versions;
        if let Some(found) = versions.last().copied().filter(|found| *found > supported) {
            // The history of a newer file contains this program's version; otherwise a damaged bit changed the number.
            if versions.contains(&supported) {
                return Err(newer(&source.path, found));
            }
            self.other_losses.push(format!(
                "the file states version {found} of the schema but not version {supported}: data that only a newer program \
                 knows is skipped"
            ));
        }
        let states = self.alone.as_ref().zip(self.known.state.as_ref());
        if matches!(self.wal, SalvagedWal::Read | SalvagedWal::Damaged)
            && states.is_some_and(|(alone, state)| log::is_foreign(alone, state))
        {
            return Err(log::foreign(source));
        }
        if self.known.watermark_seq.is_none() {
            self.known.watermark_seq = self.known.days.last_change();
            let loss = match self.known.watermark_seq {
                Some(_) => "the watermark is lost: the last change of a day is used instead",
                None => "the watermark is lost: all requests count as rolled up",
            };
            self.other_losses.push(loss.to_owned());
        }
        if self.known.state.is_none() {
            let loss = "the row of _store_state is lost: it is unknown whether the write-ahead log is missing, and the \
                        new file accepts any pseudonym key";
            self.other_losses.push(loss.to_owned());
        }
        Ok(())
    }

    /// Reads requests from pages that cannot be reached and whose entry of the pointer map is damaged too. Such a page may
    /// be outdated: requests of pruned days stay deleted.
    fn read_strays(&mut self, requests: Option<&&DamagedTable>) -> Result<()> {
        let Some(table) = requests else { return Ok(()) };
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
                self.read_rows(table, page, true)?;
            }
        }
        Ok(())
    }

    /// Inserts the rows of a page, and of the pages below it, into the new file.
    fn read_rows(&mut self, table: &DamagedTable, page: u32, is_stray: bool) -> Result<()> {
        // A new file already has the one row of this table.
        let verb = if table.name == "_alert_monitor" { "insert or replace" } else { "insert" };
        let mut inserter = Inserter::new(self.connection, &table.name, &table.layout, verb)
            .map_err(storage(OPERATION))?;
        let positions = ColumnPositions::of(table);
        // The walk borrows the source, and the sink everything else.
        let Self { source, batches, known, .. } = self;
        let mut refused = 0;
        let mut sink = |rowid: i64, values: &[ValueRef<'_>]| -> Result<()> {
            match known.examine(&table.name, &positions, rowid, values, is_stray) {
                RowUse::Inserted => {}
                RowUse::Noted => return Ok(()),
                RowUse::Refused => {
                    refused += 1;
                    return Ok(());
                }
            }
            match inserter.insert(rowid, values).map_err(storage(OPERATION))? {
                Some(true) => known.note(&positions, rowid, values),
                Some(false) => {}
                None => refused += 1,
            }
            batches.row_done()
        };
        source.walk(table.id, table.layout.has_rowid, page, &mut sink)?;
        *self.refused.entry(table.id).or_default() += refused;
        Ok(())
    }

    fn finish(mut self, now: Timestamp) -> Result<Salvaged> {
        self.note_unstated_days();
        let known = &self.known;
        // Without a watermark all requests count as rolled up.
        let watermark_seq = known.watermark_seq.unwrap_or(known.last_seq);
        let lost_names = known.seen.name_the_lost(self.connection).map_err(storage(OPERATION))?;
        let written = known.days.write(self.connection, now).map_err(storage(OPERATION))?;
        self.write_state(watermark_seq).map_err(storage(OPERATION))?;
        let tail = unsigned(known.last_seq.saturating_sub(watermark_seq));
        let report = SalvageReport {
            pages: u64::from(self.source.pages.expected()),
            pages_missing: self.source.pages.missing().map(u64::from),
            schema_pages_damaged: self.source.unreadable(SCHEMA).pages,
            wal: self.wal,
            wal_missing_after_ms: self.wal_missing_after_ms(),
            wal_frames: self.source.pages.wal.frames,
            tables: self.salvaged_tables(),
            days: self.lost_days(),
            days_recomputed: written.recomputed.len(),
            days_copied: written.copied,
            tail_lost: tail.saturating_sub(known.tail_rows),
            lost_names,
            other_losses: self.other_losses,
        };
        self.batches.finish()?;
        Ok(Salvaged { report, recompute: written.recomputed })
    }

    /// Counts days with requests but without a row as lost rows of the table of days, if no damage was found in it.
    fn note_unstated_days(&mut self) {
        let days = &self.known.days;
        let unstated = days.counted.keys().filter(|day| !days.stated.contains_key(day));
        let unstated = unstated.fold(0, |count, _| count + 1);
        let Some(table) = self.tables.iter().find(|table| table.name == "_days") else { return };
        if self.source.unreadable(table.id) == Unreadable::default() {
            let refused = self.refused.entry(table.id).or_default();
            *refused = (*refused).max(unstated);
        }
    }

    /// As stated by the damaged file, or its last clock when the latest records may be missing now.
    fn wal_missing_after_ms(&self) -> Option<i64> {
        let state = self.known.state.as_ref();
        if self.wal.is_lossy() {
            return Some(state.map_or(0, |state| state.clock_ms));
        }
        state.and_then(|state| state.wal_missing_after_ms)
    }

    /// Writes the tables of one row: the watermark, the last assigned `seq`, and the state of the store.
    fn write_state(&self, watermark_seq: i64) -> rusqlite::Result<()> {
        let set = |sql: &str, value: &dyn ToSql| self.connection.execute(sql, [value]);
        let last_seq = &self.known.last_seq;
        set("update _rollup_state set watermark_seq = ?1", &watermark_seq)?;
        // No `seq` is ever assigned twice.
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
            set("update _store_state set pseudonym_key_check = ?1", &Null)?;
        }
        set("update _store_state set wal_missing_after_ms = ?1", &self.wal_missing_after_ms())
            .map(drop)
    }

    /// The tables with their losses. The losses of a dictionary's index, which has the same rows, are added to it.
    fn salvaged_tables(&self) -> Vec<SalvagedTable> {
        let mut tables = BTreeMap::new();
        for table in &self.tables {
            let unreadable = self.source.unreadable(table.id);
            let name = table.name.clone();
            let new = SalvagedTable { name, is_missing: true, ..SalvagedTable::default() };
            let salvaged = tables.entry(&table.name).or_insert(new);
            salvaged.damaged_pages += unreadable.pages;
            salvaged.damaged_rows += unreadable.rows + self.refused.get(&table.id).unwrap_or(&0);
            salvaged.is_missing &= table.root.is_none();
        }
        tables.into_values().collect()
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

impl Reader<'_> {
    /// Counts the rows of every table of a report in the new file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn count_rows(&self, report: &mut SalvageReport) -> Result<()> {
        for table in &mut report.tables {
            let sql = format!("select count(*) from {}", table.name);
            table.rows = unsigned(self.value("counting salvaged rows", &sql, [])?);
        }
        Ok(())
    }
}
