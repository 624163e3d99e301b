//! The write-ahead log as SQLite reads it after a crash: the newest committed version of each page.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use rustc_hash::FxHashMap;

use super::record::be_u32;
use crate::error::Result;
use crate::store::paths::io_error;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number of a log whose checksums are little-endian; one more: big-endian.
const MAGIC: u32 = 0x377f_0682;

/// The contents of a write-ahead log.
#[derive(Debug, Default)]
pub(super) struct Wal {
    /// The offset of the newest committed version of each page, in bytes.
    pub(super) pages: FxHashMap<u32, u64>,
    /// Pages of the database after the last commit; 0 without one.
    pub(super) database_pages: u32,
    /// Bytes of a page; 0 without a readable header.
    pub(super) page_bytes: usize,
    /// Frames of committed transactions.
    pub(super) frames: u64,
    /// Whether a frame is damaged and a commit of the same log follows, which cannot be read.
    pub(super) is_damaged: bool,
}

/// SQLite's checksum over pairs of 32-bit words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(self, bytes: &[u8], is_big_endian: bool) -> Self {
        let word = |bytes: &[u8]| {
            let word = [bytes[0], bytes[1], bytes[2], bytes[3]];
            if is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        bytes.chunks_exact(8).fold(self, |Self(a, b), pair| {
            let a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            Self(a, b.wrapping_add(word(&pair[4..])).wrapping_add(a))
        })
    }
}

impl Wal {
    /// Reads a log up to its last commit. Like SQLite, this ignores everything after a frame that does not belong to it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io_error(path))?);
        let mut wal = Self::default();
        let mut header = [0; HEADER_BYTES];
        if file.read_exact(&mut header).is_err() {
            return Ok(wal);
        }
        let magic = be_u32(&header, 0);
        let page_bytes = usize::try_from(be_u32(&header, 8)).unwrap_or(0);
        let is_big_endian = magic & 1 == 1;
        let mut sum = Checksum(0, 0).add(&header[..24], is_big_endian);
        let is_valid = magic & !1 == MAGIC
            && page_bytes.is_power_of_two()
            && (512..=65_536).contains(&page_bytes)
            && sum == Checksum(be_u32(&header, 24), be_u32(&header, 28));
        if !is_valid {
            return Ok(wal);
        }
        wal.page_bytes = page_bytes;
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
        let mut at = HEADER_BYTES as u64;
        let (mut uncommitted, mut frames) = (FxHashMap::default(), 0);
        // An unreadable sector ends the log.
        while file.read_exact(&mut frame).is_ok() {
            sum = sum
                .add(&frame[..8], is_big_endian)
                .add(&frame[FRAME_HEADER_BYTES..], is_big_endian);
            let belongs = frame[8..16] == header[16..24]
                && sum == Checksum(be_u32(&frame, 16), be_u32(&frame, 20));
            if !belongs {
                wal.is_damaged = has_commit(&header, frame, &mut file);
                break;
            }
            frames += 1;
            uncommitted.insert(be_u32(&frame, 0), at + FRAME_HEADER_BYTES as u64);
            at += frame.len() as u64;
            let database_pages = be_u32(&frame, 4);
            if database_pages > 0 {
                wal.pages.extend(uncommitted.drain());
                wal.database_pages = database_pages;
                wal.frames = frames;
            }
        }
        Ok(wal)
    }
}

/// Whether `frame`, or a later one, commits a transaction of the log with this header. Older frames of the file have other
/// salts.
fn has_commit(header: &[u8; HEADER_BYTES], mut frame: Vec<u8>, file: &mut impl Read) -> bool {
    loop {
        if frame[8..16] == header[16..24] && be_u32(&frame, 4) > 0 {
            return true;
        }
        if file.read_exact(&mut frame).is_err() {
            return false;
        }
    }
}
