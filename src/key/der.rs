//! A reader and a writer of DER, just large enough for the wrappings of keys and signatures.
//!
//! The crypto library parses the keys themselves; here only headers are looked at, to say what a key is.

/// The rest of a DER encoding.
#[derive(Clone, Copy)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content, rest) = split(self.0)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// The elements of the next element, which must be a SEQUENCE.
    pub fn sequence(&mut self) -> Option<Self> {
        self.take(SEQUENCE).map(Self)
    }

    /// The next element as a small non-negative INTEGER.
    pub fn small_integer(&mut self) -> Option<u32> {
        let bytes = self.take(INTEGER)?;
        if bytes.is_empty() || bytes.len() > 5 || bytes[0] & 0x80 != 0 {
            return None;
        }
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        u32::try_from(value).ok()
    }

    /// The tag of the next element.
    pub fn next_tag(&self) -> Option<u8> {
        self.0.first().copied()
    }
}

fn split(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// An element with this tag and this content.
pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let long = [0x80 | digits.len() as u8];
    let head: &[u8] = if content.len() < 0x80 { &[] } else { &long };
    let digits = if content.is_empty() { &[0] } else { digits };
    [&[tag], head, digits, content].concat()
}

/// An INTEGER that is not negative, of its bytes, the highest first: without leading zeros, but with one where
/// the number would look negative.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    let sign: &[u8] = match digits.first() {
        Some(0x01..=0x7f) => &[],
        _ => &[0],
    };
    tagged(INTEGER, &[sign, digits].concat())
}

/// Universal tags (X.690, section 8).
pub const INTEGER: u8 = 0x02;
/// See [`INTEGER`].
pub const BIT_STRING: u8 = 0x03;
/// See [`INTEGER`].
pub const OCTET_STRING: u8 = 0x04;
/// See [`INTEGER`].
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// See [`INTEGER`].
pub const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_in_order_and_lengths_are_checked() {
        let mut der = Der(&[0x30, 0x06, 0x02, 0x02, 0x08, 0x00, 0x04, 0x00]);
        let mut inner = der.sequence().unwrap();
        assert_eq!(inner.small_integer(), Some(2048));
        assert_eq!(inner.take(OCTET_STRING), Some(&[][..]));
        assert_eq!(inner.take(OCTET_STRING), None);
        assert!(Der(&[0x30, 0x06, 0x02]).sequence().is_none());
        assert!(Der(&[0x30, 0x80]).sequence().is_none());
        assert!(Der(&[0x02, 0x01, 0xff]).small_integer().is_none());
    }
    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let content = vec![7; length];
            let der = tagged(OCTET_STRING, &content);
            assert_eq!(Der(&der).take(OCTET_STRING), Some(&content[..]), "{length}");
        }
        assert_eq!(tagged(OCTET_STRING, &[7; 0x80])[..3], [OCTET_STRING, 0x81, 0x80]);
    }

    #[test]
    fn numbers_have_no_spare_zeros_and_no_sign() {
        assert_eq!(unsigned(&[0, 0, 1, 2]), [INTEGER, 2, 1, 2]);
        assert_eq!(unsigned(&[0x80]), [INTEGER, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0, 0]), [INTEGER, 1, 0]);
        assert_eq!(unsigned(&[]), [INTEGER, 1, 0]);
    }
}
