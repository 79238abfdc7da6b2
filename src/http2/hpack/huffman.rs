//! The Huffman code of strings (RFC 7541, section 5.2 and appendix B), read up to two symbols at a time.
//!
//! The code is canonical: the codes of one length are consecutive numbers, in the order of their symbols,
//! and shorter codes come first. So the lengths say all of it, and the tables are made of them when this
//! is compiled.

use bytes::BytesMut;

use super::Broken;

/// Decodes a string, and appends what it says.
///
/// # Errors
///
/// [`Broken::Huffman`] if it has the symbol for its own end, or does not end in less than eight bits that
/// begin that symbol.
pub(super) fn decode(mut code: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
    let begin = out.len();
    out.resize(begin + expanded(code.len()), 0);
    let decoded = &mut out[begin..];
    let mut end = 0;
    // The next bits, from the top, and how many of them count; those behind are right or zero.
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        if let Some(next) = code.first_chunk() {
            bits |= u64::from_be_bytes(*next) >> have;
            let taken = (63 - have) / 8;
            code = &code[taken as usize..];
            have += 8 * taken;
        } else {
            while have <= 56
                && let Some((byte, behind)) = code.split_first()
            {
                bits |= u64::from(*byte) << (56 - have);
                code = behind;
                have += 8;
            }
        }
        if have < LONGEST {
            break;
        }
        while have >= LONGEST {
            let short = &SHORT[(bits >> (64 - AT_ONCE)) as usize];
            let length = if short.count > 0 {
                // The second is written over if it is none.
                decoded[end] = short.symbols[0];
                decoded[end + 1] = short.symbols[1];
                end += usize::from(short.count);
                u32::from(short.length)
            } else {
                let (symbol, length) = first_symbol(bits);
                decoded[end] = u8::try_from(symbol).map_err(|_| Broken::Huffman)?;
                end += 1;
                length
            };
            bits <<= length;
            have -= length;
        }
    }
    end += decode_last(bits, have, &mut decoded[end..])?;
    out.truncate(begin + end);
    Ok(())
}

/// The symbols in the last few bits, behind which there is the padding alone; how many there are.
fn decode_last(mut bits: u64, mut have: u32, decoded: &mut [u8]) -> Result<usize, Broken> {
    let mut end = 0;
    loop {
        // As if the padding had no end.
        let padded = bits | u64::MAX >> have;
        let short = &SHORT[(padded >> (64 - AT_ONCE)) as usize];
        if short.count > 0 && u32::from(short.length) <= have {
            decoded[end] = short.symbols[0];
            decoded[end + 1] = short.symbols[1];
            end += usize::from(short.count);
            bits <<= short.length;
            have -= u32::from(short.length);
            continue;
        }
        let (symbol, length) = first_symbol(padded);
        let Ok(symbol) = u8::try_from(symbol) else {
            return if have < 8 { Ok(end) } else { Err(Broken::Huffman) };
        };
        if length > have {
            return Err(Broken::Huffman);
        }
        decoded[end] = symbol;
        end += 1;
        bits <<= length;
        have -= length;
    }
}

/// Bytes that so many bytes of code become at most, with room for a symbol that is written over.
pub(super) const fn expanded(length: usize) -> usize {
    length * 8 / SHORTEST as usize + 1
}

/// The symbol at the top of these bits, and how long its code is.
const fn first_symbol(bits: u64) -> (u16, u32) {
    let code = (bits >> (64 - LONGEST)) as u32;
    let mut length = SHORTEST;
    while code >= CODES[length as usize].end {
        length += 1;
    }
    let codes = &CODES[length as usize];
    let place = (code >> (LONGEST - length)) - codes.first + codes.before;
    (SYMBOLS[place as usize], length)
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    first: u32,
    /// What is greater than all of them, with zeros behind up to the longest.
    end: u32,
    /// How many shorter ones there are.
    before: u32,
}

/// What the next bits say, if the first code in them is short.
#[derive(Clone, Copy)]
struct Short {
    symbols: [u8; 2],
    /// How many of the symbols there are; none if the first code is longer.
    count: u8,
    /// Bits of the codes together.
    length: u8,
}

/// Bits of the shortest code and of the longest.
const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;

/// Bits that are looked up at once: two letters of most words. More would crowd other things out of the
/// cache of a core.
const AT_ONCE: u32 = 11;

/// By their length.
static CODES: [Codes; LONGEST as usize + 1] = {
    let mut all = [Codes { first: 0, end: 0, before: 0 }; LONGEST as usize + 1];
    let (mut next, mut before) = (0, 0);
    let mut length = 1;
    while length <= LONGEST {
        next <<= 1;
        let first = next;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            next += (LENGTHS[symbol] as u32 == length) as u32;
            symbol += 1;
        }
        let end = next << (LONGEST - length);
        all[length as usize] = Codes { first, end, before };
        before += next - first;
        length += 1;
    }
    all
};

/// In the order of their codes.
static SYMBOLS: [u16; LENGTHS.len()] = {
    let mut sorted = [0; LENGTHS.len()];
    let (mut place, mut length) = (0, SHORTEST);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == length {
                sorted[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    sorted
};

/// By the next bits.
static SHORT: [Short; 1 << AT_ONCE] = {
    let mut table = [Short { symbols: [0; 2], count: 0, length: 0 }; 1 << AT_ONCE];
    let mut next = 0;
    while next < table.len() {
        let bits = (next as u64) << (64 - AT_ONCE);
        let (one, length) = first_symbol(bits);
        if length <= AT_ONCE {
            let (two, further) = first_symbol(bits << length);
            let both = length + further;
            table[next] = if both <= AT_ONCE {
                Short { symbols: [one as u8, two as u8], count: 2, length: both as u8 }
            } else {
                Short { symbols: [one as u8, 0], count: 1, length: length as u8 }
            };
        }
        next += 1;
    }
    table
};

/// Bits of each symbol's code: the bytes, and the end.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The code of a string. Tests alone need it: the encoder writes strings as they are.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits = String::new();
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        let codes = &CODES[length as usize];
        let place = SYMBOLS.iter().position(|symbol| *symbol == u16::from(*byte)).expect("there");
        let code = place as u32 - codes.before + codes.first;
        bits.push_str(&format!("{code:0width$b}", width = length as usize));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let byte = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).expect("bits");
    (0..bits.len()).step_by(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(code: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = BytesMut::from("before ");
        decode(code, &mut out)?;
        Ok(out.strip_prefix(b"before ").expect("it stays").to_vec())
    }

    #[test]
    fn codes_are_those_of_appendix_b() {
        let code = |symbol: u16| {
            let place = SYMBOLS.iter().position(|it| *it == symbol).expect("there") as u32;
            let codes = &CODES[usize::from(LENGTHS[usize::from(symbol)])];
            place - codes.before + codes.first
        };
        for (symbol, expected) in [
            (0, 0x1ff8),
            (1, 0x7f_ffd8),
            (10, 0x3fff_fffc),
            (22, 0x3fff_fffe),
            (48, 0),
            (97, 0x3),
            (92, 0x7_fff0),
            (127, 0xfff_fffc),
            (199, 0x1ff_ffec),
            (208, 0x7_fff2),
            (255, 0x3ff_ffee),
            (256, 0x3fff_ffff),
        ] {
            assert_eq!(code(symbol), expected, "{symbol}");
        }
        assert_eq!(CODES[LONGEST as usize].end, 1 << LONGEST, "every code is one of these");
    }

    #[test]
    fn all_symbols_are_read_wherever_they_are() {
        for before in 0..4 {
            for byte in 0..=255 {
                for behind in [0, 1, 9] {
                    let mut text = vec![b'0'; before];
                    text.push(byte);
                    text.resize(text.len() + behind, b'X');
                    assert_eq!(decoded(&encode(&text)), Ok(text));
                }
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_and_all_ones() {
        assert_eq!(decoded(&[]), Ok(Vec::new()));
        assert_eq!(decoded(&[0x1f]), Ok(b"a".to_vec()));
        for bad in [
            &[0xff][..],
            &[0x00],
            &[0x1e],
            &[0x1f, 0xff],
            &[0x1f, 0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc],
            &[0xff, 0xff, 0xff, 0xff, 0xfc],
            &[0xff; 40],
            b"R\xbc0\xff\xff\xff\xff",
        ] {
            assert_eq!(decoded(bad), Err(Broken::Huffman), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn so_is_text(text in "[ -~]{0,200}") {
            prop_assert_eq!(decoded(&encode(text.as_bytes())), Ok(text.into_bytes()));
        }

        #[test]
        fn what_is_decoded_has_one_code(code in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(text) = decoded(&code) {
                prop_assert!(text.len() < expanded(code.len()));
                prop_assert_eq!(encode(&text), code);
            }
        }
    }
}
