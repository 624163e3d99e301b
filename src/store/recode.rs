//! For migrations: sketches in the encoding of earlier versions, written anew.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::model::Sketch;
use crate::model::varint::read_varint;

/// Gives the connection `recode_sketch(blob)`: null for null, and for bytes that are no sketch, which
/// stood for nothing before as well.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("recode_sketch", 1, flags, |context| {
        let Some(bytes) = context.get_raw(0).as_blob_or_null()? else { return Ok(None) };
        Ok(decode(bytes).map(|bins| Sketch::from_bins(bins).encode()))
    })
}

/// Ascending bins as variable-length `(step << 1 | more)` and, when `more`, `count - 2`.
fn decode(mut bytes: &[u8]) -> Option<Vec<(u16, u64)>> {
    let mut bins = Vec::with_capacity(bytes.len() / 2);
    let mut bin: u16 = 0;
    while !bytes.is_empty() {
        let head = read_varint(&mut bytes)?;
        bin = bin.checked_add(u16::try_from(head >> 1).ok()?)?;
        let count = if head & 1 == 1 { read_varint(&mut bytes)?.checked_add(2)? } else { 1 };
        bins.push((bin, count));
    }
    bins.is_sorted_by(|a, b| a.0 < b.0).then_some(bins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_sketches_keep_their_values() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let recoded = |bytes: Option<&[u8]>| -> Option<Vec<u8>> {
            connection.query_row("select recode_sketch(?1)", [bytes], |row| row.get(0)).unwrap()
        };
        // Bin 600 once, bin 610 five times.
        let bytes = recoded(Some(&[0xb0, 0x09, 0x15, 0x03])).unwrap();
        assert!(Sketch::decode(&bytes).unwrap().bins().eq([(600, 1), (610, 5)]));
        assert_eq!(recoded(None), None);
        assert_eq!(recoded(Some(&[0x80])), None);
    }
}
