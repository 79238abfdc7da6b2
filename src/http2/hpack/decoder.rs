//! Blocks of fields as a peer sends them (RFC 7541, sections 3 and 6).
//!
//! What a block costs is bounded by its length: the strings in it share one buffer, which has at most 8
//! bytes for each 5 of the block, and what is referred to is shared with the table. A short block can
//! refer to a long entry many times, so whoever keeps fields counts their sizes. Entries of the table are
//! copies of their own; none keeps a block's buffer.

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderName;
use http::HeaderValue;

use super::Broken;
use super::Field;
use super::Malformed;
use super::Name;
use super::OVERHEAD;
use super::Pseudo;
use super::huffman;
use super::integer;
use super::static_table;
use super::table::Entry;
use super::table::Table;

/// Decodes the blocks of one direction of a connection, in their order.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the table may ever count.
    most: usize,
}

impl Decoder {
    /// With a dynamic table of so many bytes: SETTINGS_HEADER_TABLE_SIZE as the peer has acknowledged it,
    /// or its initial value 4096. An empty decoder holds no memory but its own.
    pub fn new(most: usize) -> Self {
        Self { table: Table::new(most), most }
    }

    /// Decodes one whole block. Calls back with each field and its size (RFC 9113, section 6.5.2): the
    /// bytes of name and value, and 32.
    ///
    /// # Errors
    ///
    /// See [`Broken`]. The decoder is of no use afterwards.
    pub fn decode(
        &mut self,
        mut block: &[u8],
        mut on_field: impl FnMut(Field, usize),
    ) -> Result<(), Broken> {
        self.take_size_updates(&mut block)?;
        let mut strings = BytesMut::new();
        while let Some((first, behind)) = block.split_first() {
            block = behind;
            let (field, size) = if first & INDEXED != 0 {
                let entry = self.table.get(integer::read(*first, 7, &mut block)?)?;
                (entry.field(), entry.size())
            } else {
                self.take_literal(*first, &mut block, &mut strings)?
            };
            on_field(field, size);
        }
        Ok(())
    }

    /// What the entries of the dynamic table count together.
    pub fn table_size(&self) -> usize {
        self.table.size()
    }

    /// There may be some at the beginning of a block, and nowhere else.
    fn take_size_updates(&mut self, block: &mut &[u8]) -> Result<(), Broken> {
        while let Some((first, behind)) = block.split_first()
            && first & !SIZE_UPDATE_BITS == SIZE_UPDATE
        {
            *block = behind;
            let most = integer::read(*first, 5, block)?;
            if most > self.most {
                return Err(Broken::SizeUpdate);
            }
            self.table.resize(most);
        }
        Ok(())
    }

    fn take_literal(
        &mut self,
        first: u8,
        block: &mut &[u8],
        strings: &mut BytesMut,
    ) -> Result<(Field, usize), Broken> {
        let is_added = first & ADDED != 0;
        if !is_added && first & SIZE_UPDATE != 0 {
            return Err(Broken::SizeUpdate);
        }
        let index = integer::read(first, if is_added { 6 } else { 4 }, block)?;
        let (name, name_length) = match index {
            0 => take_name(block, strings)?,
            _ => {
                let entry = self.table.get(index)?;
                (entry.name(), entry.name_length())
            }
        };
        let value = take_value(block, strings)?;
        let value_length = value.len();
        let size = name_length + value_length + OVERHEAD;
        if is_added && self.table.make_room(size) {
            let own = field(name.clone(), Bytes::copy_from_slice(&value));
            self.table.add(Entry::new(own, name_length, value_length));
        }
        let mut field = field(name, value);
        if let Field::Regular(_, value) = &mut field {
            value.set_sensitive(first & !NEVER_INDEXED_BITS == NEVER_INDEXED);
        }
        Ok((field, size))
    }
}

/// A name, and how many bytes it has.
fn take_name(
    block: &mut &[u8],
    strings: &mut BytesMut,
) -> Result<(Result<Name, Malformed>, usize), Broken> {
    let whole = block.len();
    match take_string(block)? {
        Text::Plain(text) => Ok((name(text), text.len())),
        Text::Huffman(code) => {
            // Where the value will be: the name is not kept there.
            reserve(strings, whole);
            huffman::decode(code, strings)?;
            let taken = (name(strings), strings.len());
            strings.clear();
            Ok(taken)
        }
    }
}

fn take_value(block: &mut &[u8], strings: &mut BytesMut) -> Result<Bytes, Broken> {
    let whole = block.len();
    match take_string(block)? {
        Text::Plain([]) | Text::Huffman([]) => return Ok(Bytes::new()),
        Text::Plain(text) => {
            reserve(strings, whole);
            strings.extend_from_slice(text);
        }
        Text::Huffman(code) => {
            reserve(strings, whole);
            huffman::decode(code, strings)?;
        }
    }
    Ok(strings.split().freeze())
}

/// The first string makes room for all that follow in the rest of the block.
fn reserve(strings: &mut BytesMut, block_length: usize) {
    if strings.capacity() == 0 {
        *strings = BytesMut::with_capacity(huffman::expanded(block_length));
    }
    debug_assert!(strings.capacity() >= huffman::expanded(block_length), "it never grows");
}

/// A string as the block has it (RFC 7541, section 5.2).
enum Text<'a> {
    Plain(&'a [u8]),
    Huffman(&'a [u8]),
}

fn take_string<'a>(block: &mut &'a [u8]) -> Result<Text<'a>, Broken> {
    let (first, behind) = block.split_first().ok_or(Broken::Truncated)?;
    *block = behind;
    let length = integer::read(*first, 7, block)?;
    let (string, behind) = block.split_at_checked(length).ok_or(Broken::Truncated)?;
    *block = behind;
    Ok(if first & HUFFMAN != 0 { Text::Huffman(string) } else { Text::Plain(string) })
}

fn name(text: &[u8]) -> Result<Name, Malformed> {
    if text.first() == Some(&b':') {
        return match text {
            b":authority" => Ok(Name::Pseudo(Pseudo::Authority)),
            b":method" => Ok(Name::Pseudo(Pseudo::Method)),
            b":path" => Ok(Name::Pseudo(Pseudo::Path)),
            b":protocol" => Ok(Name::Pseudo(Pseudo::Protocol)),
            b":scheme" => Ok(Name::Pseudo(Pseudo::Scheme)),
            b":status" => Ok(Name::Pseudo(Pseudo::Status)),
            _ => Err(Malformed::Pseudo),
        };
    }
    if let Some(known) = static_table::well_known(text) {
        return Ok(Name::Regular(known));
    }
    // The library takes it for a letter of a token, and it is none (RFC 9110, section 5.6.2).
    if text.contains(&b'"') {
        return Err(Malformed::Name);
    }
    HeaderName::from_lowercase(text).map(Name::Regular).map_err(|_| Malformed::Name)
}

fn field(name: Result<Name, Malformed>, value: Bytes) -> Field {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_trimmed = !is_blank(value.first()) && !is_blank(value.last());
    match name {
        Err(malformed) => Field::Malformed(malformed),
        Ok(Name::Pseudo(pseudo)) if is_trimmed && value.iter().all(is_text) => {
            Field::Pseudo(pseudo, value)
        }
        // Blanks around it are left to whoever can answer.
        Ok(Name::Regular(name)) => match HeaderValue::from_maybe_shared(value) {
            Ok(value) => Field::Regular(name, value),
            Err(_) => Field::Malformed(Malformed::Value(Name::Regular(name))),
        },
        Ok(name) => Field::Malformed(Malformed::Value(name)),
    }
}

/// What a value may have: the same for all fields.
fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// An indexed field (section 6.1).
const INDEXED: u8 = 0x80;

/// A literal that is added to the table (section 6.2.1).
const ADDED: u8 = 0x40;

/// A new size of the table (section 6.3), and the bits that are its own.
const SIZE_UPDATE: u8 = 0x20;
const SIZE_UPDATE_BITS: u8 = 0x1f;

/// A literal that is never to be indexed (section 6.2.3), and the bits that are its own.
const NEVER_INDEXED: u8 = 0x10;
const NEVER_INDEXED_BITS: u8 = 0x0f;

/// A string in Huffman code.
const HUFFMAN: u8 = 0x80;
