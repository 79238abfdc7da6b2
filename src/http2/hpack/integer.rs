//! Integers (RFC 7541, section 5.1): as many bits of a byte as are left, and further bytes if need be.

use super::Broken;

/// Reads the integer in the last `bits` bits of a byte that has been taken, and takes what belongs to it
/// from the rest.
///
/// # Errors
///
/// [`Broken::Truncated`], and [`Broken::Integer`] for more than [`MOST_BYTES`].
#[inline]
pub(super) fn read(first: u8, bits: u32, rest: &mut &[u8]) -> Result<usize, Broken> {
    let most = (1_u8 << bits) - 1;
    let value = first & most;
    if value < most { Ok(usize::from(value)) } else { read_more(usize::from(most), rest) }
}

fn read_more(mut value: usize, rest: &mut &[u8]) -> Result<usize, Broken> {
    for place in 0..MOST_BYTES {
        let (byte, behind) = rest.split_first().ok_or(Broken::Truncated)?;
        *rest = behind;
        value += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken::Integer)
}

/// Writes an integer. The first byte has `pattern` in front of its last `bits` bits.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let most = (1_u8 << bits) - 1;
    if value < usize::from(most) {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | most);
    let mut rest = value - usize::from(most);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes behind the first: lengths up to 2^28, more than a block ever has, and also with zeros in front.
const MOST_BYTES: u32 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bits: u32, value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, 0, bits, value);
        out
    }

    fn read_all(bits: u32, bytes: &[u8]) -> Result<(usize, &[u8]), Broken> {
        let mut rest = &bytes[1..];
        read(bytes[0], bits, &mut rest).map(|value| (value, rest))
    }

    #[test]
    fn examples_of_appendix_c_1() {
        for (bits, value, bytes) in
            [(5, 10, &[0x0a][..]), (5, 1337, &[0x1f, 0x9a, 0x0a]), (7, 42, &[0x2a])]
        {
            assert_eq!(written(bits, value), bytes);
            assert_eq!(read_all(bits, bytes), Ok((value, &[][..])));
        }
        assert_eq!(read_all(5, &[0xea, 7]), Ok((10, &[7][..])), "bits in front are not its own");
    }

    #[test]
    fn what_is_too_long_or_not_all_there_is_told_apart() {
        assert_eq!(read_all(5, &[0x1f]), Err(Broken::Truncated));
        assert_eq!(read_all(5, &[0x1f, 0x80, 0x80]), Err(Broken::Truncated));
        assert_eq!(read_all(5, &[0x1f, 0x80, 0x80, 0x80, 0]), Ok((31, &[][..])));
        assert_eq!(read_all(5, &[0x1f, 0x80, 0x80, 0x80, 0x80, 0]), Err(Broken::Integer));
        let most = 31 + (1 << 28) - 1;
        assert_eq!(read_all(5, &[0x1f, 0xff, 0xff, 0xff, 0x7f]), Ok((most, &[][..])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in 4_u32..8, value in 0_usize..(1 << 28)) {
            let bytes = written(bits, value);
            prop_assert_eq!(read_all(bits, &bytes), Ok((value, &[][..])));
        }
    }
}
