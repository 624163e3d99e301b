//! Variable-length integers: seven bits per byte, lowest first (LEB128, as in protobuf), of sorted runs in memory and of
//! OTLP responses.

/// Appends a number.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// Reads a number from the front; `None` if it is truncated or longer than 64 bits, with a part of the bytes consumed.
#[inline]
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    // Most numbers are small.
    if let Some((first, rest)) = bytes.split_first()
        && *first < 0x80
    {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    read_long_varint(bytes)
}

/// Reads up to eight bytes at once: the lowest byte without a continuation bit ends the number.
#[inline]
fn read_long_varint(bytes: &mut &[u8]) -> Option<u64> {
    if let Some(word) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*word);
        let last_bytes = !word & CONTINUATION_BITS;
        if last_bytes != 0 {
            let up_to_end = word & (last_bytes ^ (last_bytes - 1));
            *bytes = &bytes[(last_bytes.trailing_zeros() / 8 + 1) as usize..];
            return Some(without_continuation_bits(up_to_end));
        }
    }
    read_bytewise(bytes)
}

const CONTINUATION_BITS: u64 = 0x8080_8080_8080_8080;

/// The lower seven bits of each byte, concatenated.
const fn without_continuation_bits(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    (word & 0x0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4)
}

fn read_bytewise(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && *first > 1 {
            return None;
        }
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_of_every_length_are_read_back(
            numbers in prop::collection::vec((any::<u64>(), 0..64_u32).prop_map(|(n, bits)| n >> bits), 0..20),
        ) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_varint(&mut bytes, *number));
            let mut rest = bytes.as_slice();
            let back: Vec<u64> = std::iter::from_fn(|| read_varint(&mut rest)).collect();
            prop_assert_eq!(back, numbers);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut rest = bytes.as_slice();
            let read = read_varint(&mut rest);
            prop_assert_eq!(read, read_bytewise(&mut bytes.as_slice()));
        }
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let of = |last: u8| [&[0xff; 9][..], &[last]].concat();
        assert_eq!(read_varint(&mut of(1).as_slice()), Some(u64::MAX));
        for last in [2, 0x7f, 0x81] {
            assert_eq!(read_varint(&mut of(last).as_slice()), None, "{last:#x}");
        }
    }
}
