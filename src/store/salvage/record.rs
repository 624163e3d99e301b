//! SQLite's integers, and its record format: a header of serial types, then the values ("Record Format" in its file format).

use rusqlite::types::ValueRef;

/// A big-endian 32-bit number at a position that is there.
pub(super) fn be_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |word| word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Reads SQLite's variable-length integer: big-endian, seven bits a byte, eight in the ninth; its value and length.
pub(super) fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().take(9).enumerate() {
        if position == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, position + 1));
        }
    }
    None
}

/// The values of a record; `None` unless they fill `payload` exactly and every text is UTF-8.
///
/// Database pages have no checksums, so strictness keeps the contents of damaged pages out.
pub(super) fn read_record(payload: &[u8]) -> Option<Vec<ValueRef<'_>>> {
    let (header_len, mut at) = read_varint(payload)?;
    let header_len = usize::try_from(header_len).ok()?;
    let header = payload.get(..header_len)?;
    let mut body = payload.get(header_len..)?;
    let mut values = Vec::with_capacity(header_len.saturating_sub(at));
    while at < header_len {
        let (serial_type, length) = read_varint(header.get(at..)?)?;
        at += length;
        values.push(read_value(serial_type, &mut body)?);
    }
    (at == header_len && body.is_empty()).then_some(values)
}

fn read_value<'a>(serial_type: u64, body: &mut &'a [u8]) -> Option<ValueRef<'a>> {
    let mut take = |length: usize| {
        let (value, rest) = body.split_at_checked(length)?;
        *body = rest;
        Some(value)
    };
    Some(match serial_type {
        0 => ValueRef::Null,
        1..=4 => ValueRef::Integer(signed(take(usize::try_from(serial_type).ok()?)?)),
        5 => ValueRef::Integer(signed(take(6)?)),
        6 => ValueRef::Integer(signed(take(8)?)),
        7 => ValueRef::Real(f64::from_bits(signed(take(8)?).cast_unsigned())),
        8 => ValueRef::Integer(0),
        9 => ValueRef::Integer(1),
        10 | 11 => return None,
        blob_or_text => {
            let bytes = take(usize::try_from((blob_or_text - 12) / 2).ok()?)?;
            if blob_or_text % 2 == 0 {
                ValueRef::Blob(bytes)
            } else {
                std::str::from_utf8(bytes).ok()?;
                ValueRef::Text(bytes)
            }
        }
    })
}

/// A big-endian two's-complement integer of one to eight bytes.
fn signed(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_length_integers_are_read_as_sqlite_writes_them() {
        assert_eq!(read_varint(&[0x05]), Some((5, 1)));
        assert_eq!(read_varint(&[0x81, 0x00]), Some((128, 2)));
        assert_eq!(read_varint(&[0xff; 9]), Some((u64::MAX, 9)));
        assert_eq!(read_varint(&[0x80, 0x80]), None);
    }

    #[test]
    fn a_record_is_read_whole_or_not_at_all() {
        // null, -2, 1, "ab", x'ff'
        let record = [6, 0, 1, 9, 17, 14, 0xfe, b'a', b'b', 0xff];
        let values = read_record(&record).unwrap();
        let expected = [
            ValueRef::Null,
            ValueRef::Integer(-2),
            ValueRef::Integer(1),
            ValueRef::Text(b"ab"),
            ValueRef::Blob(&[0xff]),
        ];
        assert_eq!(values, expected);
        assert_eq!(read_record(&record[..9]), None);
        assert_eq!(read_record(&[&record[..], &[0]].concat()), None);
        assert_eq!(read_record(&[2, 15, 0xff]), None, "text that is not UTF-8");
        assert_eq!(read_record(&[]), None);
    }
}
