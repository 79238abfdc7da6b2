//! HTTP/2 by hand: frames that no library would send, and all that comes back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::DEADLINE;
use super::client::Client;
use super::within;

/// What begins every connection (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 32;

/// Error codes (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Settings (section 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// A frame as it stands on the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The payload of SETTINGS.
pub(crate) fn values(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in settings {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    payload
}

/// A frame whose payload is one number: RST_STREAM, WINDOW_UPDATE.
pub(crate) fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

/// A field, not indexed and not compressed (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        // An integer of seven bits and what is more (section 5.1).
        match text.len().checked_sub(127) {
            None => bytes.push(text.len() as u8),
            Some(mut more) => {
                bytes.push(127);
                while more >= 128 {
                    bytes.push((more % 128 + 128) as u8);
                    more /= 128;
                }
                bytes.push(more as u8);
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A block of fields.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The fields of a plain request to this host.
pub(crate) fn request<'a>(
    method: &'a str,
    host: &'a str,
    path: &'a str,
) -> Vec<(&'static str, &'a str)> {
    vec![(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
}

/// HEADERS with a whole block.
pub(crate) fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A whole GET.
pub(crate) fn get(stream: u32, host: &str, path: &str) -> Vec<u8> {
    headers(END_STREAM, stream, &request("GET", host, path))
}

/// A connection over TLS on which frames are written.
pub(crate) struct Frames {
    stream: TlsStream<TcpStream>,
}

/// What came back until something happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// The code of the last GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// The codes of streams that were reset.
    pub(crate) resets: BTreeMap<u32, u32>,
    /// The statuses of streams that were answered.
    pub(crate) statuses: BTreeMap<u32, u16>,
    /// Streams that were ended as they should.
    pub(crate) ended: BTreeSet<u32>,
    pub(crate) pongs: usize,
    pub(crate) settings_acks: usize,
    /// Bytes of DATA.
    pub(crate) data: usize,
    /// The connection was closed by the proxy.
    pub(crate) is_closed: bool,
}

impl Frames {
    /// A handshake, and nothing said yet.
    pub(crate) async fn silent(client: &Client) -> Self {
        let session = client.clone().alpn(&["h2"]).handshake().await.expect("a handshake");
        Self { stream: session.stream }
    }

    /// The preface and settings; the proxy's are acknowledged unseen. No dynamic table, so that every
    /// status can be read by itself.
    pub(crate) async fn open(client: &Client) -> Self {
        Self::open_with(client, &[(HEADER_TABLE_SIZE, 0)]).await
    }

    /// The preface and these settings (identifier and value).
    pub(crate) async fn open_with(client: &Client, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self::silent(client).await;
        frames.say(PREFACE).await;
        frames.say(&frame(SETTINGS, 0, 0, &values(settings))).await;
        frames.say(&frame(SETTINGS, ACK, 0, &[])).await;
        frames
    }

    /// Writes; the connection must be there.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.try_say(bytes).await.expect("a connection that is open");
    }

    /// Writes, if the other side still takes it.
    pub(crate) async fn try_say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        within("room for frames", writing).await
    }

    /// Listens until the proxy closes the connection.
    pub(crate) async fn until_closed(&mut self) -> Heard {
        self.until("the end of the connection", |_| false).await
    }

    /// Listens until something holds, or the connection is closed.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Heard) -> bool) -> Heard {
        let mut heard = Heard::default();
        let listening = async {
            while !holds(&heard) {
                if self.hear(&mut heard).await.is_err() {
                    heard.is_closed = true;
                    break;
                }
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, listening).await;
        assert!(in_time.is_ok(), "{what}: not within {DEADLINE:?}, but {heard:?}");
        heard
    }

    /// Writes the same again and again while the other side takes it, and listens meanwhile.
    pub(crate) async fn flood(self, times: usize, each: impl Fn(usize) -> Vec<u8>) -> Heard {
        let (mut reading, mut writing) = tokio::io::split(self.stream);
        let flooding = async {
            for number in 0..times {
                if writing.write_all(&each(number)).await.is_err() {
                    return;
                }
            }
            // Whether it arrives is for the listener to see.
            drop(writing.flush().await);
        };
        let mut heard = Heard::default();
        let listening = async {
            while hear(&mut reading, &mut heard).await.is_ok() {}
            heard.is_closed = true;
        };
        within("the end of a flood", async { tokio::join!(flooding, listening) }).await;
        heard
    }

    async fn hear(&mut self, heard: &mut Heard) -> io::Result<()> {
        hear(&mut self.stream, heard).await
    }
}

/// Reads one frame.
async fn hear<R: tokio::io::AsyncRead + Unpin>(from: &mut R, heard: &mut Heard) -> io::Result<()> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, s0, s1, s2, s3] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload).await?;
    let stream = u32::from_be_bytes([s0, s1, s2, s3]);
    let at = |index: usize| {
        u32::from_be_bytes(*payload[index..].first_chunk().expect("four bytes of a frame"))
    };
    match kind {
        DATA => heard.data += payload.len(),
        HEADERS => {
            heard.statuses.entry(stream).or_insert(status(&payload));
        }
        RST_STREAM => drop(heard.resets.insert(stream, at(0))),
        GOAWAY => heard.goaway = Some(at(4)),
        PING => heard.pongs += usize::from(flags & ACK != 0),
        SETTINGS => heard.settings_acks += usize::from(flags & ACK != 0),
        _ => {}
    }
    if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
        heard.ended.insert(stream);
    }
    Ok(())
}

/// The status that a block begins with: from the static table, or a literal with its name from there
/// (RFC 7541, appendix A), which the proxy's side may keep in its dynamic table; 0: it is there.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let block = match block {
        // The size of the dynamic table changes.
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        all => all,
    };
    match block {
        [first @ 0x88..=0x8e, ..] => INDEXED[usize::from(first - 0x88)],
        [0x48 | 0x08, length, rest @ ..] if length & 0x80 != 0 => {
            digits(&rest[..usize::from(length & 0x7f)])
        }
        [0x48 | 0x08, _, a, b, c, ..] => {
            std::str::from_utf8(&[*a, *b, *c]).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Digits in Huffman's code (RFC 7541, appendix B).
fn digits(bytes: &[u8]) -> u16 {
    let mut bits: u32 = bytes.iter().take(3).fold(0, |bits, byte| bits << 8 | u32::from(*byte))
        << (8 * (4 - bytes.len().min(3)));
    let mut number = 0;
    for _ in 0..3 {
        let five = bits >> 27;
        let (digit, length) = match five {
            0..=2 => (five, 5),
            _ => ((bits >> 26) - 0x19 + 3, 6),
        };
        number = number * 10 + digit as u16;
        bits <<= length;
    }
    number
}

#[test]
fn statuses_are_read_in_huffmans_code() {
    // 302 is RFC 7541's own example (C.6.1), 307 that of C.6.2.
    assert_eq!(digits(&[0x64, 0x02]), 302);
    assert_eq!(digits(&[0x64, 0x0e, 0xff]), 307);
}
