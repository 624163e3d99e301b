//! The pages of a database file with its write-ahead log, read without SQLite: nothing is written, locked or recovered.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::record::be_u32;
use super::wal::Wal;
use crate::error::{Error, Result};
use crate::store::held_file::SQLITE_MAGIC;
use crate::store::paths::io_error;

/// Maximum number of pages that a header may state beyond sixteen times those in the file: a damaged header may state any
/// number, and each page costs memory. So a file of 16 GiB may be truncated to its first page.
const MISSING_PAGES_READ: u32 = 1 << 22;
/// Page size of this program's files, for a file with an unreadable header.
const USUAL_PAGE_BYTES: usize = 4_096;
/// Offset of the bytes that SQLite locks; the page with them is never used.
const LOCK_BYTE: u64 = 0x4000_0000;
/// Bytes of an entry of the pointer map: a type and a parent.
const ENTRY_BYTES: usize = 5;

/// The number of pages that a header states, also if the file was truncated later. Like SQLite, this trusts the number only
/// if the two change counters are the same.
fn stated_pages(head: &[u8; 100]) -> Option<u32> {
    let stated = be_u32(head, 28);
    (stated > 0 && be_u32(head, 24) == be_u32(head, 92)).then_some(stated)
}

/// The use of a page by the pointer map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageUse {
    /// The root of a table or an index.
    Root,
    /// On the free list.
    Free,
    /// The end of a row that is longer than a page.
    Overflow,
    /// Any other page of a tree, with its parent.
    Child(u32),
}

/// The pages of a file, the newest committed version of each.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    wal_file: Option<File>,
    pub(super) wal: Wal,
    page_bytes: usize,
    /// Bytes of a page that hold data.
    pub(super) usable_bytes: usize,
    /// Pages of the file, including those that are missing at its end.
    pub(super) count: u32,
    /// Whole pages of the database file.
    stored: u32,
    /// Pages that the file should have by its header; `None` when that is unreadable.
    stated: Option<u32>,
    /// Whether the write-ahead log has pages of another size and is ignored.
    pub(super) wal_is_foreign: bool,
    has_pointer_map: bool,
    /// The last page of the pointer map that was read: its number, and its bytes if they are valid.
    map_page: Option<(u32, Option<Vec<u8>>)>,
}

impl Pages {
    /// Opens a file, and its log when one is named.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub(super) fn open(path: &Path, wal_path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| File::open(path).map_err(io_error(path));
        let mut file = open(path)?;
        let wal = match wal_path.map(Wal::read).transpose() {
            // The log was checkpointed and deleted since it was seen.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            read => read?,
        };
        let mut wal = wal.unwrap_or_default();
        let wal_file = wal_path.filter(|_| wal.page_bytes > 0).map(open).transpose()?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let mut head = [0; 100];
        let is_readable =
            file.seek(SeekFrom::Start(0)).is_ok() && file.read_exact(&mut head).is_ok();
        let stated_page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65_536,
            bytes => usize::from(bytes),
        };
        let is_header = is_readable
            && head.starts_with(SQLITE_MAGIC)
            && stated_page_bytes.is_power_of_two()
            && stated_page_bytes >= 512;
        // Pages of another size are pages of another database.
        let wal_is_foreign = is_header && ![0, stated_page_bytes].contains(&wal.page_bytes);
        if wal_is_foreign {
            wal = Wal::default();
        }
        let page_bytes = match (is_header, wal.page_bytes) {
            (true, _) => stated_page_bytes,
            (false, 0) => USUAL_PAGE_BYTES,
            (false, bytes) => bytes,
        };
        let stored = u32::try_from(bytes.div_ceil(page_bytes as u64)).unwrap_or(u32::MAX);
        let stated = stated_pages(&head).filter(|_| is_header);
        let most = stored.saturating_mul(16).saturating_add(MISSING_PAGES_READ);
        let mut pages = Self {
            file,
            wal_file,
            page_bytes,
            usable_bytes: page_bytes - if is_header { usize::from(head[20]) } else { 0 },
            count: match wal.database_pages {
                0 => stored.max(stated.filter(|stated| *stated <= most).unwrap_or(0)),
                committed => committed,
            },
            stored: u32::try_from(bytes / page_bytes as u64).unwrap_or(u32::MAX),
            stated,
            wal_is_foreign,
            wal,
            has_pointer_map: true,
            map_page: None,
        };
        let mut first = Vec::new();
        if pages.read(1, &mut first) && first.starts_with(SQLITE_MAGIC) {
            pages.has_pointer_map = be_u32(&first, 52) > 0;
        }
        Ok(pages)
    }

    /// Whether neither the file nor its log has a whole page.
    pub(super) const fn is_empty(&self) -> bool {
        self.stored == 0 && self.wal.frames == 0
    }

    /// Pages that the file should have, or has if these are more.
    pub(super) fn expected(&self) -> u32 {
        // The write-ahead log is newer than the header.
        let stated = self.stated.filter(|_| self.wal.database_pages == 0);
        self.count.max(stated.unwrap_or(0))
    }

    /// Pages that are missing at the end of the file; `None` when its former size is unknown.
    pub(super) fn missing(&self) -> Option<u32> {
        let should =
            if self.wal.database_pages > 0 { self.wal.database_pages } else { self.stated? };
        let beyond = should.saturating_sub(self.stored);
        let in_wal = self.wal.pages.keys().filter(|page| (self.stored + 1..=should).contains(page));
        Some(beyond.saturating_sub(u32::try_from(in_wal.count()).unwrap_or(u32::MAX)))
    }

    /// Reads a page; `false` when it is missing or the disk cannot read it.
    pub(super) fn read(&mut self, number: u32, into: &mut Vec<u8>) -> bool {
        into.resize(self.page_bytes, 0);
        if number == 0 || number > self.count {
            return false;
        }
        let (file, at) = match (self.wal.pages.get(&number), &mut self.wal_file) {
            (Some(at), Some(wal_file)) => (wal_file, *at),
            _ => (&mut self.file, u64::from(number - 1) * self.page_bytes as u64),
        };
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(into)).is_ok()
    }

    /// Number of pages described by one page of the pointer map, including itself.
    fn map_stride(&self) -> u32 {
        u32::try_from(self.usable_bytes / ENTRY_BYTES).unwrap_or(u32::MAX - 1) + 1
    }

    /// The page of the pointer map that has the entry of a page.
    fn map_page_of(&self, number: u32) -> u32 {
        let stride = self.map_stride();
        let page = (number - 2) / stride * stride + 2;
        if page == self.lock_page() { page + 1 } else { page }
    }

    fn lock_page(&self) -> u32 {
        u32::try_from(LOCK_BYTE / self.page_bytes as u64).unwrap_or(u32::MAX - 1) + 1
    }

    /// Whether a page can contain rows: the pointer map and the page of the locks cannot.
    pub(super) fn may_hold_rows(&self, number: u32) -> bool {
        let is_map = self.has_pointer_map && number > 1 && self.map_page_of(number) == number;
        !is_map && number != self.lock_page()
    }

    /// The use of a page by the pointer map; `None` if the map is damaged or missing there.
    pub(super) fn use_of(&mut self, number: u32) -> Option<PageUse> {
        if !self.has_pointer_map || number < 2 || number > self.count {
            return None;
        }
        let map_page = self.map_page_of(number);
        if self.map_page.as_ref().is_none_or(|(read, _)| *read != map_page) {
            let mut bytes = Vec::new();
            let is_whole = self.read(map_page, &mut bytes) && self.is_pointer_map(map_page, &bytes);
            self.map_page = Some((map_page, is_whole.then_some(bytes)));
        }
        let bytes = self.map_page.as_ref()?.1.as_ref()?;
        let at = usize::try_from(number.checked_sub(map_page + 1)?).ok()? * ENTRY_BYTES;
        let parent = be_u32(bytes, at + 1);
        match bytes.get(at)? {
            1 => Some(PageUse::Root),
            2 => Some(PageUse::Free),
            3 | 4 => Some(PageUse::Overflow),
            5 => Some(PageUse::Child(parent)),
            _ => None,
        }
    }

    /// Whether every entry is valid; a damaged page nearly always has an invalid one.
    fn is_pointer_map(&self, map_page: u32, bytes: &[u8]) -> bool {
        let usable = &bytes[..self.usable_bytes.min(bytes.len())];
        // SQLite leaves the entries of removed pages as they were.
        let pages = usize::try_from(self.count.saturating_sub(map_page)).unwrap_or(usize::MAX);
        let mut entries = usable.chunks_exact(ENTRY_BYTES).take(pages);
        let is_possible = |entry: &[u8]| match entry[0] {
            0..=2 => be_u32(entry, 1) == 0,
            3..=5 => (1..=self.count).contains(&be_u32(entry, 1)),
            _ => false,
        };
        usable.iter().any(|byte| *byte != 0) && entries.all(is_possible)
    }
}
