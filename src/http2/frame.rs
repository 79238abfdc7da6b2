//! Frames as they stand on the wire (RFC 9113, sections 4.1 and 6): their heads, and how those that we send
//! are written. Pure.

use crate::http2::code::Code;

/// The first nine bytes of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Bytes of the payload.
    pub length: u32,
    /// What kind of frame it is; see [`kind`].
    pub kind: u8,
    /// What they mean depends on the kind.
    pub flags: u8,
    /// 0: the connection.
    pub stream: u32,
}

/// Kinds of frames (RFC 9113, section 6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head, or the beginning of one.
    pub const HEADERS: u8 = 1;
    /// Advice that nobody follows any more.
    pub const PRIORITY: u8 = 2;
    /// The end of a stream before its end.
    pub const RST_STREAM: u8 = 3;
    /// What the sender can do.
    pub const SETTINGS: u8 = 4;
    /// Not from clients.
    pub const PUSH_PROMISE: u8 = 5;
    /// A question that asks for nothing.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more of a body.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
    /// Advice of another kind (RFC 9218, section 7.1).
    pub const PRIORITY_UPDATE: u8 = 16;
}

impl Head {
    /// Reads it.
    pub fn parse(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// Writes it.
    pub fn write(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.bytes());
    }

    fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s0, s1, s2, s3]
    }

    /// Whether a flag is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A frame whose payload is one number: RST_STREAM, WINDOW_UPDATE.
pub fn number(to: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    Head { length: 4, kind, flags: 0, stream }.write(to);
    to.extend_from_slice(&number.to_be_bytes());
}

/// SETTINGS: identifiers and values.
pub fn settings(to: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let length = settings.len() as u32 * 6;
    Head { length, kind: kind::SETTINGS, flags: 0, stream: 0 }.write(to);
    for (id, value) in settings {
        to.extend_from_slice(&id.to_be_bytes());
        to.extend_from_slice(&value.to_be_bytes());
    }
}

/// The answer to SETTINGS.
pub fn settings_ack(to: &mut Vec<u8>) {
    Head { length: 0, kind: kind::SETTINGS, flags: ACK, stream: 0 }.write(to);
}

/// PING, or with [`ACK`] the answer to one.
pub fn ping(to: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    Head { length: 8, kind: kind::PING, flags, stream: 0 }.write(to);
    to.extend_from_slice(&payload);
}

/// GOAWAY: streams above `last` were not looked at.
pub fn goaway(to: &mut Vec<u8>, last: u32, code: Code) {
    Head { length: 8, kind: kind::GOAWAY, flags: 0, stream: 0 }.write(to);
    to.extend_from_slice(&last.to_be_bytes());
    to.extend_from_slice(&code.0.to_be_bytes());
}

/// HEADERS, and CONTINUATION where one frame is too small. `block` writes the block of fields.
pub fn headers(to: &mut Vec<u8>, stream: u32, flags: u8, block: impl FnOnce(&mut Vec<u8>)) {
    let begin = to.len();
    to.extend_from_slice(&[0; HEAD]);
    block(to);
    let length = to.len() - begin - HEAD;
    let first = length.min(MOST_PAYLOAD);
    let is_whole = first == length;
    let rest = if is_whole { Vec::new() } else { to.split_off(begin + HEAD + first) };
    let flags = if is_whole { flags | END_HEADERS } else { flags };
    let head = Head { length: first as u32, kind: kind::HEADERS, flags, stream };
    to[begin..begin + HEAD].copy_from_slice(&head.bytes());
    let mut chunks = rest.chunks(MOST_PAYLOAD).peekable();
    while let Some(chunk) = chunks.next() {
        let flags = if chunks.peek().is_none() { END_HEADERS } else { 0 };
        let length = chunk.len() as u32;
        Head { length, kind: kind::CONTINUATION, flags, stream }.write(to);
        to.extend_from_slice(chunk);
    }
}

/// A number of 32 bits at this place of a payload.
pub fn number_at(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk()?))
}

/// What begins a client's connection (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of every frame's head.
pub const HEAD: usize = 9;

/// What a payload may have, in both directions: SETTINGS_MAX_FRAME_SIZE as it is without being said.
pub const MOST_PAYLOAD: usize = 16 << 10;

/// A stream's last frame in this direction, on DATA and HEADERS.
pub const END_STREAM: u8 = 1;

/// An answer, on SETTINGS and PING.
pub const ACK: u8 = 1;

/// A block's last frame.
pub const END_HEADERS: u8 = 4;

/// The payload begins with the length of what is behind it and means nothing.
pub const PADDED: u8 = 8;

/// HEADERS with the five bytes of a PRIORITY.
pub const WITH_PRIORITY: u8 = 32;
