//! Which page belongs to which table, and the rows on it, also where the way from the root is broken.

use rusqlite::types::ValueRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::btree::{PageKind, TreePage};
use super::pages::{PageUse, Pages, be_u32};
use super::record::read_record;
use crate::error::Result;

/// A table or an index of the damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TableId(pub(super) u16);

/// The table of the schema, whose root is the first page.
pub(super) const SCHEMA: TableId = TableId(1);
const NOBODY: TableId = TableId(0);

/// The longest way from a page to a root: trees of 2^32 pages are not deeper.
const MOST_LEVELS: usize = 20;

/// Pages between two reports of progress.
const PAGES_PER_REPORT: u64 = 1_000;

/// Takes a row: its rowid, 0 where there is none, and its values as they are stored.
pub(super) type RowSink<'s> = dyn FnMut(i64, &[ValueRef<'_>]) -> Result<()> + 's;

/// What could not be read of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Pages that are no pages of a tree any more, or are missing.
    pub(super) pages: u64,
    /// Rows on readable pages that are no rows any more.
    pub(super) rows: u64,
}

/// The pages of a file with the tables that they belong to, as far as they are known.
pub(super) struct Source<'p> {
    pub(super) pages: Pages,
    owners: Vec<TableId>,
    free: FxHashSet<u32>,
    unreadable: FxHashMap<TableId, Unreadable>,
    /// Pages that a table names and that were not read there: they are beyond the end of the file, or the pointer map or
    /// another table has another use for them. The table finds some of them later.
    unreached: FxHashSet<(u32, TableId)>,
    roots: FxHashMap<u32, TableId>,
    /// Pages looked at so far.
    pages_read: u64,
    /// Hears of them, and of how many there are.
    progress: &'p mut dyn FnMut(u64, u64),
}

impl<'p> Source<'p> {
    /// The pages of a file, none of which belongs to a table yet.
    pub(super) fn new(mut pages: Pages, progress: &'p mut dyn FnMut(u64, u64)) -> Self {
        let free = free_pages(&mut pages);
        let count = usize::try_from(pages.count()).unwrap_or(usize::MAX - 1) + 1;
        Self {
            owners: vec![NOBODY; count],
            pages,
            free,
            unreadable: FxHashMap::default(),
            unreached: FxHashSet::default(),
            roots: FxHashMap::default(),
            pages_read: 0,
            progress,
        }
    }

    /// What could not be read of a table so far.
    pub(super) fn unreadable(&self, table: TableId) -> Unreadable {
        let mut unreadable = self.unreadable.get(&table).copied().unwrap_or_default();
        let is_lost = |(page, of): &&(u32, TableId)| *of == table && self.owner(*page) != table;
        let lost = self.unreached.iter().filter(is_lost).count();
        unreadable.pages += u64::try_from(lost).unwrap_or(u64::MAX);
        unreadable
    }

    fn owner(&self, page: u32) -> TableId {
        usize::try_from(page).ok().and_then(|at| self.owners.get(at)).copied().unwrap_or(NOBODY)
    }

    fn is_taken(&self, page: u32) -> bool {
        page == 0 || page > self.pages.count() || self.owner(page) != NOBODY
    }

    /// Hands every row below a root to `sink`, in the order of the tree.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub(super) fn walk(
        &mut self,
        table: TableId,
        has_rowid: bool,
        root: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<()> {
        self.roots.insert(root, table);
        self.walk_from(table, has_rowid, root, sink)
    }

    fn walk_from(
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
                (self.progress)(self.pages_read, u64::from(self.pages.count()));
            }
            let is_read = self.pages.read(number, &mut bytes);
            let usable_bytes = self.pages.usable_bytes();
            let parsed = TreePage::parse(&bytes, number, usable_bytes)
                .filter(|page| is_read && page.kind.is_table() == has_rowid);
            let Some(page) = parsed else {
                self.unreadable.entry(table).or_default().pages += 1;
                continue;
            };
            for child in page.children().into_iter().rev() {
                // A page that the pointer map gives to another parent is not reached through a damaged one.
                match self.pages.use_of(child) {
                    Some(PageUse::Child(parent)) if parent == number => left.push(child),
                    None => left.push(child),
                    Some(_) => {
                        self.unreached.insert((child, table));
                    }
                }
            }
            let damaged_rows = if page.has_rows() { self.read_rows(&page, sink)? } else { 0 };
            if damaged_rows > 0 {
                self.unreadable.entry(table).or_default().rows += damaged_rows;
            }
        }
        Ok(())
    }

    /// Hands the rows of a page to `sink`; the number of those that cannot be read.
    fn read_rows(&mut self, page: &TreePage<'_>, sink: &mut RowSink<'_>) -> Result<u64> {
        let mut damaged = 0;
        let mut last_rowid = i64::MIN;
        for position in 0..page.len() {
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

    /// Pages that belong to a table by the pointer map, and were not reached from its root.
    ///
    /// Complete only after every root was walked.
    pub(super) fn orphans(&mut self) -> Vec<(u32, TableId)> {
        (2..=self.pages.count())
            .filter_map(|page| {
                let is_child = !self.is_taken(page)
                    && self.pages.may_hold_rows(page)
                    && matches!(self.pages.use_of(page), Some(PageUse::Child(_)));
                let owner = if is_child { self.owner_above(page) } else { NOBODY };
                (owner != NOBODY).then_some((page, owner))
            })
            .collect()
    }

    /// Hands the rows of an orphan, and of what is below it, to `sink`.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub(super) fn walk_orphan(
        &mut self,
        table: TableId,
        has_rowid: bool,
        page: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<()> {
        self.walk_from(table, has_rowid, page, sink)
    }

    fn owner_above(&mut self, page: u32) -> TableId {
        let mut page = page;
        for _ in 0..MOST_LEVELS {
            let owner = self.owner(page);
            if owner != NOBODY {
                return owner;
            }
            match self.pages.use_of(page) {
                Some(PageUse::Child(parent)) => page = parent,
                Some(PageUse::Root) => return self.roots.get(&page).copied().unwrap_or(NOBODY),
                _ => return NOBODY,
            }
        }
        NOBODY
    }

    /// Pages that may hold rows of any table: the pointer map is damaged or missing there, or further up.
    ///
    /// Complete only after all orphans were walked.
    pub(super) fn strays(&mut self) -> Vec<u32> {
        (2..=self.pages.count())
            .filter(|page| {
                !self.is_taken(*page)
                    && self.pages.may_hold_rows(*page)
                    && match self.pages.use_of(*page) {
                        None => !self.free.contains(page),
                        Some(PageUse::Child(_)) => self.owner_above(*page) == NOBODY,
                        Some(PageUse::Root | PageUse::Free | PageUse::Overflow) => false,
                    }
            })
            .collect()
    }

    /// Pages of the pointer map that are roots, in order, and belong to no table yet.
    pub(super) fn unclaimed_roots(&mut self) -> Vec<u32> {
        // Roots are the first pages of a file with a pointer map.
        let last = self.pages.count().min(1_000);
        (3..=last)
            .filter(|page| !self.is_taken(*page) && self.pages.use_of(*page) == Some(PageUse::Root))
            .collect()
    }

    /// The first row below a page, whoever it belongs to; whether it has a rowid, and its values as `read` sees them.
    pub(super) fn first_row<T>(
        &mut self,
        page: u32,
        read: impl FnOnce(bool, &[ValueRef<'_>]) -> T,
    ) -> Option<T> {
        let (mut number, mut bytes) = (page, Vec::new());
        for _ in 0..MOST_LEVELS {
            if !self.pages.read(number, &mut bytes) {
                return None;
            }
            let page = TreePage::parse(&bytes, number, self.pages.usable_bytes())?;
            if page.has_rows() && page.len() > 0 {
                let cell = page.cell(0)?;
                let payload = cell.payload(&mut self.pages)?;
                return read_record(&payload).map(|values| read(page.kind.is_table(), &values));
            }
            number = page.children().first().copied()?;
        }
        None
    }
}

/// The pages of the free list, as far as it can be followed.
fn free_pages(pages: &mut Pages) -> FxHashSet<u32> {
    let mut free = FxHashSet::default();
    let mut bytes = Vec::new();
    if !pages.read(1, &mut bytes) || !bytes.starts_with(b"SQLite format 3\0") {
        return free;
    }
    let mut trunk = be_u32(&bytes, 32);
    while trunk > 0 && free.insert(trunk) && pages.read(trunk, &mut bytes) {
        let most = pages.usable_bytes() / 4 - 2;
        let leaves = usize::try_from(be_u32(&bytes, 4)).unwrap_or(usize::MAX);
        if leaves > most {
            break;
        }
        free.extend((0..leaves).map(|leaf| be_u32(&bytes, 8 + 4 * leaf)));
        trunk = be_u32(&bytes, 0);
    }
    free
}
