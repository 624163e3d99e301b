//! The pages of each table and the rows on them, also below a damaged page.

use rusqlite::types::ValueRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::btree::{PageKind, TreePage};
use super::pages::{PageUse, Pages};
use super::record::{be_u32, read_record};
use crate::error::Result;
use crate::store::held_file::SQLITE_MAGIC;

/// A table or an index of the damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TableId(pub(super) u16);

/// The schema table, whose root is the first page.
pub(super) const SCHEMA: TableId = TableId(1);
const NO_TABLE: TableId = TableId(0);

/// Maximum depth of a tree: trees of 2^32 pages are not deeper.
const MAX_LEVELS: usize = 20;

/// Pages between two reports of progress.
const PAGES_PER_REPORT: u64 = 1_000;

/// Receives a row: its rowid (0 if it has none) and its stored values.
pub(super) type RowSink<'s> = dyn FnMut(i64, &[ValueRef<'_>]) -> Result<()> + 's;

/// Counts of the unreadable pages and rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Pages that are damaged or missing.
    pub(super) pages: u64,
    /// Damaged rows on readable pages.
    pub(super) rows: u64,
}

/// The pages of a file with the tables to which they are known to belong.
pub(super) struct DamagedFile<'p> {
    pub(super) pages: Pages,
    owners: Vec<TableId>,
    free: FxHashSet<u32>,
    unreadable: FxHashMap<TableId, Unreadable>,
    /// Pages that a table refers to and that were not read as its own: they are beyond the end of the file, or the pointer
    /// map or another table claims them. Some of them are found by another way later.
    unreached: FxHashSet<(u32, TableId)>,
    /// The tables of the root pages that were walked.
    pub(super) roots: FxHashMap<u32, TableId>,
    /// Pages read so far.
    pages_read: u64,
    /// Called with the number of pages read and of all pages.
    progress: &'p mut dyn FnMut(u64, u64),
}

impl<'p> DamagedFile<'p> {
    /// The pages of a file before they are assigned to tables.
    pub(super) fn new(mut pages: Pages, progress: &'p mut dyn FnMut(u64, u64)) -> Self {
        let free = free_pages(&mut pages);
        let count = usize::try_from(pages.count).unwrap_or(usize::MAX - 1) + 1;
        Self {
            owners: vec![NO_TABLE; count],
            pages,
            free,
            unreadable: FxHashMap::default(),
            unreached: FxHashSet::default(),
            roots: FxHashMap::default(),
            pages_read: 0,
            progress,
        }
    }

    /// The unreadable pages and rows of a table so far.
    pub(super) fn unreadable(&self, table: TableId) -> Unreadable {
        let mut unreadable = self.unreadable.get(&table).copied().unwrap_or_default();
        let is_lost = |(page, of): &&(u32, TableId)| *of == table && self.owner(*page) != table;
        let lost = self.unreached.iter().filter(is_lost).count();
        unreadable.pages += u64::try_from(lost).unwrap_or(u64::MAX);
        unreadable
    }

    fn owner(&self, page: u32) -> TableId {
        usize::try_from(page).ok().and_then(|at| self.owners.get(at)).copied().unwrap_or(NO_TABLE)
    }

    fn is_taken(&self, page: u32) -> bool {
        page == 0 || page > self.pages.count || self.owner(page) != NO_TABLE
    }

    /// Hands every row of a page, and of the pages below it, to `sink`, in the order of the tree.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub(super) fn walk(
        &mut self,
        table: TableId,
        has_rowid: bool,
        page: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        let mut left = vec![page];
        while let Some(number) = left.pop() {
            if self.is_taken(number) || !self.pages.may_hold_rows(number) {
                self.unreached.insert((number, table));
                continue;
            }
            if let Some(owner) = usize::try_from(number).ok().and_then(|at| self.owners.get_mut(at))
            {
                *owner = table;
            }
            self.pages_read += 1;
            if self.pages_read.is_multiple_of(PAGES_PER_REPORT) {
                (self.progress)(self.pages_read, u64::from(self.pages.count));
            }
            let is_read = self.pages.read(number, &mut bytes);
            let usable_bytes = self.pages.usable_bytes;
            let parsed = TreePage::parse(&bytes, number, usable_bytes)
                .filter(|page| is_read && page.kind.is_table() == has_rowid);
            let Some(page) = parsed else {
                self.unreadable.entry(table).or_default().pages += 1;
                continue;
            };
            for child in page.children().into_iter().rev() {
                // A damaged page may refer to pages that have another parent by the pointer map.
                if self.pages.use_of(child).is_none_or(|found| found == PageUse::Child(number)) {
                    left.push(child);
                } else {
                    self.unreached.insert((child, table));
                }
            }
            let damaged_rows = if page.has_rows() { self.read_rows(&page, sink)? } else { 0 };
            if damaged_rows > 0 {
                self.unreadable.entry(table).or_default().rows += damaged_rows;
            }
        }
        Ok(())
    }

    /// Hands the rows of a page to `sink`; returns the number of unreadable rows.
    fn read_rows(&mut self, page: &TreePage<'_>, sink: &mut RowSink<'_>) -> Result<u64> {
        let mut damaged = 0;
        let mut last_rowid = i64::MIN;
        for position in 0..page.cells {
            let cell = page.cell(position).filter(|cell| {
                page.kind != PageKind::TableLeaf || position == 0 || cell.rowid > last_rowid
            });
            let Some(cell) = cell else {
                damaged += 1;
                continue;
            };
            let payload = cell.payload(&mut self.pages);
            match payload.as_deref().and_then(read_record) {
                Some(values) => {
                    last_rowid = cell.rowid;
                    sink(cell.rowid, &values)?;
                }
                None => damaged += 1,
            }
        }
        Ok(damaged)
    }

    /// Pages that belong to a table by the pointer map, but were not reached from its root.
    ///
    /// The list is complete only after every root was walked.
    pub(super) fn orphans(&mut self) -> Vec<(u32, TableId)> {
        (2..=self.pages.count)
            .filter_map(|page| {
                let is_child = !self.is_taken(page)
                    && self.pages.may_hold_rows(page)
                    && matches!(self.pages.use_of(page), Some(PageUse::Child(_)));
                let owner = if is_child { self.owner_above(page) } else { NO_TABLE };
                (owner != NO_TABLE).then_some((page, owner))
            })
            .collect()
    }

    /// The table of a page, by the pointer map.
    fn owner_above(&mut self, mut page: u32) -> TableId {
        for _ in 0..MAX_LEVELS {
            let owner = self.owner(page);
            if owner != NO_TABLE {
                return owner;
            }
            match self.pages.use_of(page) {
                Some(PageUse::Child(parent)) => page = parent,
                Some(PageUse::Root) => return self.roots.get(&page).copied().unwrap_or(NO_TABLE),
                _ => return NO_TABLE,
            }
        }
        NO_TABLE
    }

    /// Pages that may contain rows of any table, because the pointer map is damaged or missing for them or for a parent.
    ///
    /// The list is complete only after all orphans were walked.
    pub(super) fn strays(&mut self) -> Vec<u32> {
        (2..=self.pages.count)
            .filter(|page| {
                !self.is_taken(*page)
                    && self.pages.may_hold_rows(*page)
                    && match self.pages.use_of(*page) {
                        None => !self.free.contains(page),
                        Some(PageUse::Child(_)) => self.owner_above(*page) == NO_TABLE,
                        Some(PageUse::Root | PageUse::Free | PageUse::Overflow) => false,
                    }
            })
            .collect()
    }

    /// Pages that are roots by the pointer map and belong to no table yet, in order.
    pub(super) fn unclaimed_roots(&mut self) -> Vec<u32> {
        // Roots are the first pages of a file with a pointer map.
        let last = self.pages.count.min(1_000);
        (3..=last)
            .filter(|page| !self.is_taken(*page) && self.pages.use_of(*page) == Some(PageUse::Root))
            .collect()
    }

    /// The result of `read` for the first row below a page: whether it has a rowid, and its values.
    pub(super) fn first_row<T>(
        &mut self,
        page: u32,
        read: impl FnOnce(bool, &[ValueRef<'_>]) -> T,
    ) -> Option<T> {
        let (mut number, mut bytes) = (page, Vec::new());
        for _ in 0..MAX_LEVELS {
            if !self.pages.read(number, &mut bytes) {
                return None;
            }
            let page = TreePage::parse(&bytes, number, self.pages.usable_bytes)?;
            if page.has_rows() && page.cells > 0 {
                let cell = page.cell(0)?;
                let payload = cell.payload(&mut self.pages)?;
                return read_record(&payload).map(|values| read(page.kind.is_table(), &values));
            }
            number = page.children().first().copied()?;
        }
        None
    }
}

/// The pages of the free list up to the first damage.
fn free_pages(pages: &mut Pages) -> FxHashSet<u32> {
    let mut free = FxHashSet::default();
    let mut bytes = Vec::new();
    if !pages.read(1, &mut bytes) || !bytes.starts_with(SQLITE_MAGIC) {
        return free;
    }
    let mut trunk = be_u32(&bytes, 32);
    while trunk > 0 && free.insert(trunk) && pages.read(trunk, &mut bytes) {
        let most = pages.usable_bytes / 4 - 2;
        let leaves = usize::try_from(be_u32(&bytes, 4)).unwrap_or(usize::MAX);
        if leaves > most {
            break;
        }
        free.extend((0..leaves).map(|leaf| be_u32(&bytes, 8 + 4 * leaf)));
        trunk = be_u32(&bytes, 0);
    }
    free
}
