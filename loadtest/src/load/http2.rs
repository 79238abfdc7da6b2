//! A lean HTTP/2 client: a fixed number of GET streams on one connection, bodies counted and dropped.
//!
//! A full client costs about as much as a proxy and would be what is measured. Field lines are
//! sent as browsers do: literal and indexed once, then by index (RFC 7541).

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::load::counters::Counters;
use crate::load::http1::USER_AGENT;
use crate::load::target::Stream;
use crate::origin::Body;

/// One connection with its streams.
pub struct Connection {
    stream: Stream,
    domain: String,
    body: Body,
    open: BTreeMap<u32, Answer>,
    next_stream: u32,
    /// No new streams: the proxy has said GOAWAY.
    leaving: bool,
    /// Body bytes that the proxy has not been credited for yet.
    uncredited: u32,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
}

#[derive(Debug, Default)]
struct Answer {
    has_head: bool,
    received: u64,
}

impl Connection {
    /// Begins HTTP/2 on a connection, for requests of one body.
    pub fn new(stream: Stream, domain: &str, body: Body) -> Result<Self> {
        let alpn = stream.get_ref().1.alpn_protocol();
        anyhow::ensure!(alpn == Some(b"h2"), "HTTP/2 was not agreed on");
        let mut output = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = Vec::new();
        for (key, value) in [(SETTINGS_ENABLE_PUSH, 0), (SETTINGS_INITIAL_WINDOW, WINDOW)] {
            settings.extend_from_slice(&u16::to_be_bytes(key));
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        push_frame(&mut output, SETTINGS, 0, 0, &settings);
        push_frame(&mut output, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        Ok(Self {
            stream,
            domain: domain.to_owned(),
            body,
            open: BTreeMap::new(),
            next_stream: 1,
            leaving: false,
            uncredited: 0,
            input: Vec::new(),
            filled: 0,
            output,
        })
    }

    /// Opens streams until `streams` are open, and sends them.
    pub async fn fill(&mut self, streams: usize) -> Result<()> {
        while !self.leaving && self.open.len() < streams {
            self.open.insert(self.next_stream, Answer::default());
            self.push_request();
            self.next_stream += 2;
        }
        self.flush().await
    }

    /// Frees the buffer of a connection without streams until there are streams again.
    pub fn rest(&mut self) {
        if self.open.is_empty() && self.filled == 0 {
            self.input = Vec::new();
        }
    }

    /// Reads once, and notes what has been answered.
    pub async fn advance(&mut self, counters: &Counters) -> Result<()> {
        self.input.resize(INPUT, 0);
        let count = self.stream.read(&mut self.input[self.filled..]).await?;
        if count == 0 {
            anyhow::ensure!(self.open.is_empty(), "the connection was closed with open streams");
            self.leaving = true;
            return Ok(());
        }
        self.filled += count;
        let mut start = 0;
        while let Some(frame) = Frame::parse(&self.input[start..self.filled])? {
            let payload = start + FRAME_HEAD..start + FRAME_HEAD + frame.length;
            start = payload.end;
            self.take(&frame, payload, counters)?;
        }
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.credit();
        self.flush().await
    }

    /// How many streams wait for the end of their answer.
    pub fn open_streams(&self) -> usize {
        self.open.len()
    }

    /// Whether the proxy wants this connection to end.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }

    fn take(
        &mut self,
        frame: &Frame,
        payload: std::ops::Range<usize>,
        counters: &Counters,
    ) -> Result<()> {
        let payload = &self.input[payload];
        match frame.kind {
            DATA => {
                self.uncredited += u32::try_from(payload.len())?;
                counters.add_bytes(payload.len());
                if let Some(answer) = self.open.get_mut(&frame.stream) {
                    answer.received += payload.len() as u64;
                }
            }
            HEADERS => {
                if let Some(answer) = self.open.get_mut(&frame.stream) {
                    anyhow::ensure!(answer.has_head || is_ok(payload), "answer other than 200");
                    answer.has_head = true;
                }
            }
            SETTINGS if frame.flags & ACK == 0 => {
                push_frame(&mut self.output, SETTINGS, ACK, 0, &[]);
            }
            PING if frame.flags & ACK == 0 => {
                push_frame(&mut self.output, PING, ACK, 0, payload);
            }
            RST_STREAM => {
                let error = payload.last_chunk().copied().map_or(0, u32::from_be_bytes);
                if self.open.remove(&frame.stream).is_some() {
                    anyhow::ensure!(error == REFUSED_STREAM, "stream reset with code {error}");
                    counters.add_repeated(1);
                }
            }
            GOAWAY => {
                let last = payload.first_chunk().copied().map_or(0, u32::from_be_bytes) & STREAM_ID;
                self.leaving = true;
                let refused = self.open.split_off(&(last.saturating_add(1)));
                counters.add_repeated(refused.len());
            }
            _ => {}
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            self.finish(frame.stream, counters)?;
        }
        Ok(())
    }

    fn finish(&mut self, stream: u32, counters: &Counters) -> Result<()> {
        let Some(answer) = self.open.remove(&stream) else { return Ok(()) };
        let complete = answer.has_head && answer.received == self.body.size as u64;
        anyhow::ensure!(complete, "an answer ended after {} bytes", answer.received);
        counters.add_unit();
        Ok(())
    }

    /// Gives the connection's window back when half of it is used; that of a stream never runs out.
    fn credit(&mut self) {
        if self.uncredited > WINDOW / 2 {
            let count = self.uncredited.to_be_bytes();
            push_frame(&mut self.output, WINDOW_UPDATE, 0, 0, &count);
            self.uncredited = 0;
        }
    }

    fn push_request(&mut self) {
        // :method GET, :scheme https (static table), :path literal.
        let mut block = vec![0x82, 0x87];
        push_literal(&mut block, 0x04, self.body.path);
        if self.next_stream == 1 {
            push_literal(&mut block, 0x40 | 1, &self.domain);
            push_literal(&mut block, 0x40 | 58, USER_AGENT);
            push_literal(&mut block, 0x40 | 19, "*/*");
            push_literal(&mut block, 0x40 | 17, "en");
        } else {
            // The four that the first request has put into the dynamic table, newest first.
            block.extend_from_slice(&[0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
        }
        // accept-encoding: gzip, deflate (static table).
        block.push(0x80 | 16);
        let flags = END_HEADERS | END_STREAM;
        push_frame(&mut self.output, HEADERS, flags, self.next_stream, &block);
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await.context("while sending")?;
            self.stream.flush().await.context("while sending")?;
            self.output.clear();
        }
        Ok(())
    }
}

/// Head of a frame (RFC 9113, section 4.1).
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    /// None: the frame is not whole yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk::<FRAME_HEAD>()
        else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        anyhow::ensure!(length <= MAX_FRAME, "a frame of {length} bytes");
        if bytes.len() < FRAME_HEAD + length {
            return Ok(None);
        }
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & STREAM_ID;
        Ok(Some(Self { length, kind, flags, stream }))
    }
}

/// Whether a block of field lines begins with `:status 200`, which is one byte of the static table;
/// changes of the dynamic table's size may stand before it (RFC 7541, section 6.3).
fn is_ok(block: &[u8]) -> bool {
    let mut rest = block;
    while let Some((first, tail)) = rest.split_first() {
        match first {
            0x88 => return true,
            0x3f => {
                let end =
                    tail.iter().position(|byte| byte & 0x80 == 0).map_or(tail.len(), |at| at + 1);
                rest = &tail[end..];
            }
            0x20..0x3f => rest = tail,
            _ => return false,
        }
    }
    false
}

fn push_frame(output: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
    output.extend_from_slice(&[l0, l1, l2, kind, flags]);
    output.extend_from_slice(&stream.to_be_bytes());
    output.extend_from_slice(payload);
}

/// A value without Huffman coding; all values here are shorter than 127 bytes.
fn push_literal(block: &mut Vec<u8>, prefix: u8, value: &str) {
    block.push(prefix);
    block.push(value.len() as u8);
    block.extend_from_slice(value.as_bytes());
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const SETTINGS_ENABLE_PUSH: u16 = 2;
const SETTINGS_INITIAL_WINDOW: u16 = 4;
const STREAM_ID: u32 = 0x7fff_ffff;
const FRAME_HEAD: usize = 9;
/// The largest frame that may come when no setting allows more.
const MAX_FRAME: usize = 16_384;
/// Larger than the largest body of the origin.
const WINDOW: u32 = 1 << 24;
const INPUT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::is_ok;

    #[test]
    fn status_200_is_found_behind_a_change_of_the_table_size() {
        assert!(is_ok(&[0x88, 0x76]));
        assert!(is_ok(&[0x3f, 0xe1, 0x1f, 0x88]));
        assert!(is_ok(&[0x20, 0x88]));
        assert!(!is_ok(&[0x8d]));
        assert!(!is_ok(&[]));
    }
}
