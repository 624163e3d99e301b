//! The pages of a database file with its write-ahead log, read without SQLite: nothing is written, locked or recovered.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::wal::Wal;
use crate::error::{Error, Result};

/// Missing pages at the end of a file that are looked for, beyond sixteen times those that are there: a damaged header may
/// say any number, and each page costs memory. A file of 16 GiB can be cut to its first page.
const MISSING_PAGES_READ: u32 = 1 << 22;
/// What this program's files have, where the header does not tell.
const USUAL_PAGE_BYTES: usize = 4_096;
/// SQLite locks bytes from here on; the page that holds them is never used.
const LOCK_BYTE: u64 = 0x4000_0000;
/// Bytes of an entry of the pointer map: a type and a parent.
const ENTRY_BYTES: usize = 5;

/// A big-endian 32-bit number at a position that is there.
pub(super) fn be_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |word| word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Pages that a header says the file has, also when the file was cut off since. SQLite believes the number only when the
/// two change counters are the same.
fn stated_pages(head: &[u8; 100]) -> Option<u32> {
    let stated = be_u32(head, 28);
    (stated > 0 && be_u32(head, 24) == be_u32(head, 92)).then_some(stated)
}

/// What the pointer map says of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageUse {
    /// The root of a table or an index.
    Root,
    /// On the free list.
    Free,
    /// Holds the end of a row that is longer than a page.
    Overflow,
    /// Any other page of a tree, with its parent.
    Child(u32),
}

/// The pages of a file, the newest committed version of each.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    wal_file: Option<File>,
    wal: Wal,
    page_bytes: usize,
    usable_bytes: usize,
    count: u32,
    /// Whole pages of the database file.
    stored: u32,
    /// Pages that the file should have by its header; `None` when that is unreadable.
    stated: Option<u32>,
    wal_is_foreign: bool,
    has_pointer_map: bool,
    /// The last page of the pointer map that was read: its number, and its bytes when they make sense.
    map_page: Option<(u32, Option<Vec<u8>>)>,
}

impl Pages {
    /// Opens a file, and its log when one is named.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub(super) fn open(path: &Path, wal_path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })
        };
        let mut file = open(path)?;
        let wal = match wal_path.map(Wal::read).transpose() {
            // Whoever closed the file since it was seen moved the log into it.
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
            && head.starts_with(b"SQLite format 3\0")
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
        if pages.read(1, &mut first) && first.starts_with(b"SQLite format 3\0") {
            pages.has_pointer_map = be_u32(&first, 52) > 0;
        }
        Ok(pages)
    }

    /// Pages of the file, those that are missing at its end included.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of a page that hold data.
    pub(super) const fn usable_bytes(&self) -> usize {
        self.usable_bytes
    }

    /// Whether neither the file nor its log has a whole page.
    pub(super) const fn is_empty(&self) -> bool {
        self.stored == 0 && self.wal.frames == 0
    }

    /// Pages that the file should have, or has when it has more.
    pub(super) fn expected(&self) -> u32 {
        // The write-ahead log is newer than the header.
        let stated = self.stated.filter(|_| self.wal.database_pages == 0);
        self.count.max(stated.unwrap_or(0))
    }

    /// Pages that should be there and are beyond the end of the file; `None` when nothing says how long it was.
    pub(super) fn missing(&self) -> Option<u32> {
        let should =
            if self.wal.database_pages > 0 { self.wal.database_pages } else { self.stated? };
        let beyond = should.saturating_sub(self.stored);
        let in_wal = self.wal.pages.keys().filter(|page| (self.stored + 1..=should).contains(page));
        Some(beyond.saturating_sub(u32::try_from(in_wal.count()).unwrap_or(u32::MAX)))
    }

    /// Whether a damaged frame of the write-ahead log hides committed transactions.
    pub(super) const fn wal_is_damaged(&self) -> bool {
        self.wal.is_damaged
    }

    /// Whether the write-ahead log has pages of another size, and was left out.
    pub(super) const fn wal_is_foreign(&self) -> bool {
        self.wal_is_foreign
    }

    /// Frames of the write-ahead log that count.
    pub(super) const fn wal_frames(&self) -> u64 {
        self.wal.frames
    }

    /// Reads a page; `false` when it is missing or the disk does not give it.
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

    /// Pages of one page of the pointer map, itself included.
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

    /// Whether a page can hold rows: the pointer map and the page of the locks cannot.
    pub(super) fn may_hold_rows(&self, number: u32) -> bool {
        let is_map = self.has_pointer_map && number > 1 && self.map_page_of(number) == number;
        !is_map && number != self.lock_page()
    }

    /// What the pointer map says of a page; `None` where it is damaged, or the file has none.
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

    /// Noise has some entry that no page can have.
    fn is_pointer_map(&self, map_page: u32, bytes: &[u8]) -> bool {
        let usable = &bytes[..self.usable_bytes.min(bytes.len())];
        // Entries of pages that the file no longer has are left as they were.
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
