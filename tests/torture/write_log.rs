//! Reads the write log of `layer.c`.

use std::path::Path;

use super::layer::{Action, Kind, Op};

/// Begins each record: `TLOG`.
const MAGIC: u32 = 0x474f_4c54;
/// Bytes of a record before its payload.
const HEAD: usize = 48;

/// One call of the program, in the order in which the kernel did them.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// What was called.
    pub(crate) op: Op,
    /// On what kind of file.
    pub(crate) kind: Kind,
    /// What a rule did to the call.
    pub(crate) action: Action,
    /// 0 or a negative error number: what really happened, even if the program saw success.
    pub(crate) result: i32,
    /// The file.
    pub(crate) inode: u64,
    /// Where in the file; of an `Open`, 1 when the file was created by it.
    pub(crate) offset: u64,
    /// Bytes; of a `Truncate`, the new length.
    pub(crate) length: u64,
    /// Data of a `Write`, path of an `Open` or `Unlink`, both paths, with a line end between, of a `Rename` or `Link`.
    pub(crate) payload: &'a [u8],
    /// Where the record ends in the log: a cut there has it.
    pub(crate) end: u64,
}

impl Record<'_> {
    /// The paths of its payload.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let text = std::str::from_utf8(self.payload).unwrap_or_default();
        text.split('\n').filter_map(|path| Path::new(path).file_name()?.to_str())
    }

    /// Whether a fault fired in it.
    pub(crate) fn is_fault(&self) -> bool {
        self.action != Action::Pass
    }
}

/// The records of a log, without an incomplete record at its end, which a killed program leaves.
pub(crate) fn records(log: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at + HEAD <= log.len() {
        let u32_at = |offset: usize| {
            let bytes = &log[at + offset..at + offset + 4];
            u32::from_le_bytes(bytes.try_into().expect("four bytes"))
        };
        let u64_at =
            |offset: usize| u64::from(u32_at(offset)) | u64::from(u32_at(offset + 4)) << 32;
        assert_eq!(u32_at(0), MAGIC, "the log is damaged at {at}");
        let payload_bytes = u32_at(12) as usize;
        let end = at + HEAD + payload_bytes;
        if end > log.len() {
            break;
        }
        records.push(Record {
            op: Op::of(u32_at(4) & 0xffff),
            kind: Kind::of(u32_at(4) >> 16 & 0xff),
            action: Action::of(u32_at(4) >> 24),
            result: i32::from_le_bytes(u32_at(8).to_le_bytes()),
            inode: u64_at(24),
            offset: u64_at(32),
            length: u64_at(40),
            payload: &log[at + HEAD..end],
            end: end as u64,
        });
        at = end;
    }
    records
}
