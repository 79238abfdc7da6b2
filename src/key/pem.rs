//! Splits PEM text into its blocks (RFC 7468), keeping the labels and wiping what was decoded.
//!
//! The reader of rustls skips blocks that it does not know, so that an encrypted key looks like no key at all.
//! Here every block is seen, and what is damaged has a line number.

use zeroize::Zeroizing;

use crate::key::problem::Problem;

/// One block: `-----BEGIN label-----`.
pub struct Block<'a> {
    /// What the block says it is.
    pub label: &'a str,
    /// Encrypted in the way of RFC 1421 (`Proc-Type: 4,ENCRYPTED`); then `der` is empty.
    pub legacy_encryption: bool,
    /// The content, wiped when dropped.
    pub der: Zeroizing<Vec<u8>>,
}

/// All blocks of a file; at least one. Text between blocks is ignored, as everywhere.
pub fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, Problem> {
    let mut blocks = Vec::new();
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(label) = marker(line, b"-----BEGIN ") else { continue };
        blocks.push(block(label, index + 1, &mut lines)?);
    }
    if blocks.is_empty() { Err(Problem::NotPem) } else { Ok(blocks) }
}

fn block<'a>(
    label: &'a str,
    start: usize,
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<Block<'a>, Problem> {
    let mut decoder = Decoder::default();
    let mut legacy_encryption = false;
    for (index, line) in lines {
        if marker(line, b"-----END ") == Some(label) {
            if legacy_encryption {
                return Ok(Block { label, legacy_encryption, der: Zeroizing::default() });
            }
            let der = decoder.finish().ok_or(Problem::BadBase64 { line: index + 1 })?;
            return Ok(Block { label, legacy_encryption, der });
        }
        if line.starts_with(b"-----") {
            return Err(Problem::Truncated { line: start });
        }
        legacy_encryption |= line.starts_with(b"Proc-Type:");
        if !legacy_encryption && !decoder.feed(line) {
            return Err(Problem::BadBase64 { line: index + 1 });
        }
    }
    Err(Problem::Truncated { line: start })
}

fn marker<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

/// Base64 (RFC 4648, section 4) across lines; padding ends it.
#[derive(Default)]
struct Decoder {
    out: Zeroizing<Vec<u8>>,
    bits: u32,
    held: u32,
    padding: u32,
}

impl Decoder {
    fn feed(&mut self, line: &[u8]) -> bool {
        self.make_room(line.len() / 4 * 3 + 3);
        line.iter().all(|byte| self.push(*byte))
    }

    fn push(&mut self, byte: u8) -> bool {
        let value = VALUES[usize::from(byte)];
        if value == NO_DIGIT {
            self.padding += u32::from(byte == b'=');
            return matches!(byte, b'=' | b' ' | b'\t') && self.padding <= 2;
        }
        if self.padding > 0 {
            return false;
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.held += 6;
        if self.held >= 8 {
            self.held -= 8;
            self.out.push((self.bits >> self.held & 0xff) as u8);
        }
        true
    }

    /// None: the text ends within a group.
    fn finish(self) -> Option<Zeroizing<Vec<u8>>> {
        let whole = matches!((self.held, self.padding), (0, 0) | (2, 1) | (4, 2));
        whole.then_some(self.out)
    }

    /// Growing a `Vec` leaves its old, unwiped buffer behind: grow by hand.
    fn make_room(&mut self, more: usize) {
        let needed = self.out.len() + more;
        if needed > self.out.capacity() {
            let mut larger =
                Zeroizing::new(Vec::with_capacity(needed.max(2048).next_power_of_two()));
            larger.extend_from_slice(&self.out);
            self.out = larger;
        }
    }
}

/// What each byte is worth: thousands of files are decoded at start.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const NO_DIGIT: u8 = 0xff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_found_with_their_labels() {
        let text = b"junk\n-----BEGIN A B-----\nAAEC\nAw==\n-----END A B-----\r\nx\n-----BEGIN C-----\n-----END C-----";
        let blocks = blocks(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].label, &blocks[0].der[..]), ("A B", &[0, 1, 2, 3][..]));
        assert_eq!((blocks[1].label, blocks[1].der.len()), ("C", 0));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let problem = |text: &str| blocks(text.as_bytes()).err();
        assert_eq!(problem("hello"), Some(Problem::NotPem));
        assert_eq!(problem("\n-----BEGIN X-----\nAAEC\n"), Some(Problem::Truncated { line: 2 }));
        assert_eq!(
            problem("-----BEGIN X-----\nAAEC\n-----BEGIN X-----\nAAEC\n-----END X-----"),
            Some(Problem::Truncated { line: 1 })
        );
        assert_eq!(
            problem("-----BEGIN X-----\nAA*C\n-----END X-----"),
            Some(Problem::BadBase64 { line: 2 })
        );
        assert_eq!(
            problem("-----BEGIN X-----\nAAE\n-----END X-----"),
            Some(Problem::BadBase64 { line: 3 })
        );
    }

    #[test]
    fn the_old_way_of_encryption_is_noticed() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n-----END RSA PRIVATE KEY-----";
        assert!(blocks(text.as_bytes()).unwrap()[0].legacy_encryption);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = blocks(&text);
            let mut framed = b"-----BEGIN X-----\n".to_vec();
            framed.extend_from_slice(&text);
            framed.extend_from_slice(b"\n-----END X-----\n");
            let _ = blocks(&framed);
        }
    }
}
