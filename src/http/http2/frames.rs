//! Where HTTP/2's frames begin (RFC 9113, section 4.1): heads are read, payloads are skipped.
//!
//! Pure and without allocation: bytes go in as they come, in pieces of any size. What frames are about is
//! h2's to know, and whether there are too many of them that of [`glitches`](super::glitches).

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

/// The reader of one direction.
#[derive(Debug)]
pub struct Frames {
    /// The head that is being read, and of some frames what follows it.
    buffer: [u8; MOST_SHOWN],
    have: u8,
    want: u8,
    /// Bytes of the preface that are still to come.
    preface: u8,
    /// Bytes of a payload that are still to come.
    skip: u32,
    in_data: bool,
    /// A block of fields has begun and not ended.
    in_block: bool,
    /// Bytes of DATA frames so far.
    data: u64,
    /// Frames and blocks that have begun.
    begun: u32,
}

impl Frames {
    /// What a client sends: the preface comes first (section 3.4).
    pub fn of_client() -> Self {
        Self { preface: PREFACE, ..Self::of_server() }
    }

    /// What a server sends.
    pub fn of_server() -> Self {
        Self {
            buffer: [0; MOST_SHOWN],
            have: 0,
            want: HEAD,
            preface: 0,
            skip: 0,
            in_data: false,
            in_block: false,
            data: 0,
            begun: 0,
        }
    }

    /// Looks at what comes next. Calls back with each frame's head when it is there, with the first bytes
    /// of its payload where those say why something ends: 4 of RST_STREAM, up to 20 of GOAWAY.
    pub fn read(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(Head, &[u8])) {
        let preface = bytes.len().min(usize::from(self.preface));
        self.preface -= preface as u8;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.skip > 0 {
                let length = bytes.len().min(self.skip as usize);
                self.skip -= length as u32;
                if self.in_data {
                    self.data += length as u64;
                }
                bytes = &bytes[length..];
                continue;
            }
            if self.have == 0 && !self.in_block {
                self.begun = self.begun.wrapping_add(1);
            }
            let (have, want) = (usize::from(self.have), usize::from(self.want));
            let length = bytes.len().min(want - have);
            self.buffer[have..have + length].copy_from_slice(&bytes[..length]);
            self.have += length as u8;
            bytes = &bytes[length..];
            if self.have == self.want {
                self.has_head(&mut on_frame);
            }
        }
    }

    /// Whether the sender owes the rest of a frame that is no DATA, of a block of fields, or of the
    /// preface. A body may stop anywhere: its own limits see to that.
    pub fn is_unfinished(&self) -> bool {
        let is_mid_preface = self.preface > 0 && self.preface < PREFACE;
        let is_mid_frame = self.have > 0 || (self.skip > 0 && !self.in_data);
        is_mid_preface || is_mid_frame || self.in_block
    }

    /// Changes with each frame, or block of several, that begins.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    /// Bytes of bodies so far, padding included.
    pub fn data(&self) -> u64 {
        self.data
    }

    fn has_head(&mut self, on_frame: &mut impl FnMut(Head, &[u8])) {
        let head = Head::parse(&self.buffer);
        let shown = head.shown();
        if self.want < HEAD + shown {
            self.want = HEAD + shown;
            return;
        }
        self.in_data = head.kind == kind::DATA;
        match head.kind {
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                self.in_block = !head.has(END_HEADERS);
            }
            _ => {}
        }
        self.skip = head.length - u32::from(shown);
        (self.have, self.want) = (0, HEAD);
        let first = usize::from(HEAD);
        on_frame(head, &self.buffer[first..first + usize::from(shown)]);
    }
}

impl Head {
    /// Whether a flag is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn parse(bytes: &[u8; MOST_SHOWN]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3, ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// How many bytes of the payload are wanted too.
    fn shown(self) -> u8 {
        match self.kind {
            kind::RST_STREAM => self.length.min(4) as u8,
            kind::GOAWAY => self.length.min(u32::from(GOAWAY_SHOWN)) as u8,
            _ => 0,
        }
    }
}

/// A stream's last frame in this direction, on DATA and HEADERS.
pub const END_STREAM: u8 = 1;

/// A block's last frame.
pub const END_HEADERS: u8 = 4;

/// Bytes of every frame's head.
const HEAD: u8 = 9;

/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`; what it says is h2's to check.
const PREFACE: u8 = 24;

/// The last stream, the code, and enough of the words to tell h2's floods apart.
const GOAWAY_SHOWN: u8 = 20;

const MOST_SHOWN: usize = (HEAD + GOAWAY_SHOWN) as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn seen(frames: &mut Frames, bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
        let mut seen = Vec::new();
        frames.read(bytes, |head, shown| seen.push((head, shown.to_vec())));
        seen
    }

    #[test]
    fn a_reset_shows_its_code_and_a_goaway_its_words() {
        let mut bytes = frame(kind::RST_STREAM, 0, 7, &[0, 0, 0, 8]);
        bytes.extend(frame(kind::GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_continuations"));
        let seen = seen(&mut Frames::of_server(), &bytes);
        assert_eq!(seen[0].0, Head { length: 4, kind: kind::RST_STREAM, flags: 0, stream: 7 });
        assert_eq!(seen[0].1, [0, 0, 0, 8]);
        assert_eq!(seen[1].1, b"\0\0\0\x01\0\0\0\x0btoo_many_con");
    }

    #[test]
    fn half_a_preface_half_a_frame_and_half_a_block_are_unfinished_and_half_a_body_is_not() {
        let mut frames = Frames::of_client();
        assert!(!frames.is_unfinished(), "nothing has come");
        frames.read(&[b'P'; 23], |_, _| {});
        assert!(frames.is_unfinished(), "half a preface");
        frames.read(b"\n", |_, _| {});
        assert!(!frames.is_unfinished());
        frames.read(&frame(kind::HEADERS, 0, 1, b"abc"), |_, _| {});
        assert!(frames.is_unfinished(), "half a block");
        frames.read(&frame(kind::CONTINUATION, END_HEADERS, 1, b""), |_, _| {});
        assert!(!frames.is_unfinished());
        let data = frame(kind::DATA, 0, 1, &[0; 100]);
        frames.read(&data[..5], |_, _| {});
        assert!(frames.is_unfinished(), "half a head");
        frames.read(&data[5..50], |_, _| {});
        assert!(!frames.is_unfinished(), "half a piece of a body");
        assert_eq!(frames.data(), 41);
        frames.read(&data[50..], |_, _| {});
        frames.read(&frame(kind::PING, 0, 0, &[0; 8])[..16], |_, _| {});
        assert!(frames.is_unfinished(), "half a ping");
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_are_the_same_frames(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cuts in proptest::collection::vec(1_usize..40, 1..60),
        ) {
            // Lengths that fit, so that there is more than one frame.
            let mut stream = vec![b'P'; 24];
            for chunk in bytes.chunks(12) {
                let id = u32::from(chunk[0]);
                stream.extend(frame(chunk[0] % 12, chunk[chunk.len() - 1], id, chunk));
            }
            let mut whole = Frames::of_client();
            let expected = seen(&mut whole, &stream);
            let mut pieces = Frames::of_client();
            let mut got = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                got.extend(seen(&mut pieces, piece));
                rest = left;
            }
            prop_assert_eq!(got, expected);
            prop_assert_eq!(pieces.data(), whole.data());
            prop_assert_eq!(pieces.is_unfinished(), whole.is_unfinished());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            Frames::of_client().read(&bytes, |_, _| {});
            Frames::of_server().read(&bytes, |_, _| {});
        }
    }
}
