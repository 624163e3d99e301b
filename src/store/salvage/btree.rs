//! Pages of SQLite's trees, and the rows on them ("B-tree Pages" in SQLite's file format).

use std::borrow::Cow;

use super::pages::Pages;
use super::record::{be_u32, read_varint};

/// The kind of a page of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    /// Children of an index page, with rows between them.
    IndexInterior,
    /// Children of a table page.
    TableInterior,
    /// Rows of an index, or of a table without rowid.
    IndexLeaf,
    /// Rows of a table, with their rowids.
    TableLeaf,
}

impl PageKind {
    /// Whether the page belongs to a table with rowids.
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::TableInterior | Self::TableLeaf)
    }

    const fn is_interior(self) -> bool {
        matches!(self, Self::TableInterior | Self::IndexInterior)
    }
}

/// A page with a valid header.
#[derive(Debug)]
pub(super) struct TreePage<'a> {
    pub(super) kind: PageKind,
    bytes: &'a [u8],
    usable_bytes: usize,
    /// Where the header begins: after the header of the file on page 1.
    start: usize,
    /// Number of cells: rows, or on interior pages all children but the last.
    pub(super) cells: usize,
}

/// A row as it is stored on a page; the end of a long payload is on other pages.
#[derive(Debug)]
pub(super) struct TreeCell<'a> {
    /// The rowid; 0 on pages without rowids.
    pub(super) rowid: i64,
    payload_bytes: usize,
    local: &'a [u8],
    overflow_page: u32,
}

impl<'a> TreePage<'a> {
    /// Reads the header of a page; `None` when it is not that of a page of a tree.
    pub(super) fn parse(bytes: &'a [u8], number: u32, usable_bytes: usize) -> Option<Self> {
        let start = if number == 1 { 100 } else { 0 };
        let kind = match bytes.get(start)? {
            2 => PageKind::IndexInterior,
            5 => PageKind::TableInterior,
            10 => PageKind::IndexLeaf,
            13 => PageKind::TableLeaf,
            _ => return None,
        };
        let number_at = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let page = Self { kind, bytes, usable_bytes, start, cells: number_at(start + 3) };
        let content = match number_at(start + 5) {
            0 => 65_536,
            at => at,
        };
        let is_possible = page.array() + 2 * page.cells <= content.min(usable_bytes)
            && content <= usable_bytes
            && number_at(start + 1) <= usable_bytes
            && bytes[start + 7] <= 60;
        is_possible.then_some(page)
    }

    const fn array(&self) -> usize {
        self.start + if self.kind.is_interior() { 12 } else { 8 }
    }

    fn cell_bytes(&self, position: usize) -> Option<&'a [u8]> {
        let at = self.array() + 2 * position;
        let cell =
            usize::from(u16::from_be_bytes([*self.bytes.get(at)?, *self.bytes.get(at + 1)?]));
        let is_content = cell >= self.array() + 2 * self.cells;
        self.bytes.get(..self.usable_bytes)?.get(cell..).filter(|_| is_content)
    }

    /// The readable children of an interior page, in order; none of a leaf.
    pub(super) fn children(&self) -> Vec<u32> {
        if !self.kind.is_interior() {
            return Vec::new();
        }
        let cells = (0..self.cells).filter_map(|position| self.cell_bytes(position));
        let children = cells.filter(|cell| cell.len() >= 4).map(|cell| be_u32(cell, 0));
        children.chain([be_u32(self.bytes, self.start + 8)]).collect()
    }

    /// Whether cells are rows.
    pub(super) const fn has_rows(&self) -> bool {
        !matches!(self.kind, PageKind::TableInterior)
    }

    /// One row; `None` where the page is damaged.
    pub(super) fn cell(&self, position: usize) -> Option<TreeCell<'a>> {
        let mut cell = self.cell_bytes(position)?;
        if self.kind == PageKind::IndexInterior {
            cell = cell.get(4..)?;
        }
        let (payload_bytes, length) = read_varint(cell)?;
        cell = cell.get(length..)?;
        let mut rowid = 0;
        if self.kind == PageKind::TableLeaf {
            let (read, length) = read_varint(cell)?;
            rowid = read.cast_signed();
            cell = cell.get(length..)?;
        }
        let payload_bytes = usize::try_from(payload_bytes).ok()?;
        let local_bytes = self.local_bytes(payload_bytes);
        let local = cell.get(..local_bytes)?;
        let overflow_page = if local_bytes < payload_bytes {
            be_u32(cell.get(local_bytes..local_bytes + 4)?, 0)
        } else {
            0
        };
        Some(TreeCell { rowid, payload_bytes, local, overflow_page })
    }

    /// Bytes of a payload that are stored on the page itself.
    const fn local_bytes(&self, payload_bytes: usize) -> usize {
        let usable = self.usable_bytes;
        let max = if self.kind.is_table() { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        if payload_bytes <= max {
            return payload_bytes;
        }
        let min = (usable - 12) * 32 / 255 - 23;
        let local = min + (payload_bytes - min) % (usable - 4);
        if local <= max { local } else { min }
    }
}

impl<'a> TreeCell<'a> {
    /// The whole payload; `None` when a page of it is missing.
    pub(super) fn payload(&self, pages: &mut Pages) -> Option<Cow<'a, [u8]>> {
        if self.overflow_page == 0 {
            return (self.local.len() == self.payload_bytes).then_some(Cow::Borrowed(self.local));
        }
        let room = pages.usable_bytes - 4;
        let pages_of_rest = (self.payload_bytes - self.local.len()).div_ceil(room);
        if pages_of_rest > usize::try_from(pages.count).unwrap_or(usize::MAX) {
            return None;
        }
        let mut payload = self.local.to_vec();
        let (mut page, mut bytes) = (self.overflow_page, Vec::new());
        while payload.len() < self.payload_bytes {
            if !pages.read(page, &mut bytes) {
                return None;
            }
            let wanted = room.min(self.payload_bytes - payload.len());
            payload.extend_from_slice(bytes.get(4..4 + wanted)?);
            page = be_u32(&bytes, 0);
        }
        // The last page of a chain has no successor; a damaged chain nearly always has one.
        (page == 0).then_some(Cow::Owned(payload))
    }
}
