//! A lean HTTP/1.1 client: one request at a time, bodies counted and dropped.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time;
use tokio::time::Instant;

use crate::load::counters::Counters;
use crate::load::target::Stream;
use crate::origin;
use crate::origin::Body;

/// A request as bytes, and what a complete answer to it is.
#[derive(Clone, Debug)]
pub struct Request {
    head: Vec<u8>,
    upload: usize,
    expected: u64,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    Close,
    KeepAlive,
}

impl Request {
    /// A GET for one of the origin's bodies.
    pub fn get(domain: &str, body: Body) -> Self {
        Self { head: head("GET", body.path, domain, ""), upload: 0, expected: body.size as u64 }
    }

    /// An upload of as many bytes as the longest download has.
    pub fn upload(domain: &str) -> Self {
        let length = format!("Content-Length: {}\r\n", origin::LARGE.size);
        Self {
            head: head("PUT", origin::UPLOAD, domain, &length),
            upload: origin::LARGE.size,
            expected: origin::SMALL.size as u64,
        }
    }
}

fn head(method: &str, path: &str, domain: &str, fields: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {domain}\r\nUser-Agent: {USER_AGENT}\r\n\
         Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// A connection that has been established.
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// Bodies are not moved faster.
    bytes_per_second: Option<u32>,
}

impl Connection {
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; SMALL_BUFFER], bytes_per_second: None }
    }

    /// Moves bodies at a steady pace, whatever the proxy could do.
    pub fn steady(stream: Stream, bytes_per_second: u32) -> Self {
        Self { bytes_per_second: Some(bytes_per_second), ..Self::new(stream) }
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Sends a request and reads its answer; anything but a complete 200 is an error.
    pub async fn exchange(&mut self, request: &Request, counters: &Counters) -> Result<After> {
        self.stream.write_all(&request.head).await.context("while sending a request")?;
        if request.upload > 0 {
            self.send_body(request.upload, counters).await.context("while sending a body")?;
        }
        self.stream.flush().await.context("while sending a request")?;
        let count_bytes = request.upload == 0;
        self.read_answer(request, counters, count_bytes).await
    }

    async fn send_body(&mut self, length: usize, counters: &Counters) -> Result<()> {
        let began = Instant::now();
        let mut rest = length;
        while rest > 0 {
            let count = rest.min(BODY_PIECE.len());
            self.stream.write_all(&BODY_PIECE[..count]).await?;
            counters.add_bytes(count);
            rest -= count;
            self.keep_pace(began, (length - rest) as u64).await;
        }
        Ok(())
    }

    async fn keep_pace(&self, began: Instant, moved: u64) {
        if let Some(rate) = self.bytes_per_second {
            let due = Duration::from_secs_f64(moved as f64 / f64::from(rate));
            time::sleep_until(began + due).await;
        }
    }

    async fn read_answer(
        &mut self,
        request: &Request,
        counters: &Counters,
        count_bytes: bool,
    ) -> Result<After> {
        let mut filled = 0;
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
            anyhow::ensure!(filled < self.buffer.len(), "head of the answer too long");
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            let place = if filled == 0 { "before an answer" } else { "within a head" };
            anyhow::ensure!(count > 0, "the connection was closed {place}");
            filled += count;
        };
        anyhow::ensure!(head.status == 200, "answer {}", head.status);
        anyhow::ensure!(head.length == request.expected, "length {} announced", head.length);
        let mut received = (filled - head.size) as u64;
        if count_bytes {
            counters.add_bytes(filled - head.size);
        }
        let wanted = head.length.min(LARGE_BUFFER as u64) as usize;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let began = Instant::now();
        while received < head.length {
            let count = self.stream.read(&mut self.buffer).await?;
            anyhow::ensure!(count > 0, "the connection was closed within a body");
            received += count as u64;
            if count_bytes {
                counters.add_bytes(count);
            }
            self.keep_pace(began, received).await;
        }
        anyhow::ensure!(received == head.length, "more bytes than announced");
        Ok(head.after)
    }
}

/// What the client needs to know of an answer.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    status: u16,
    /// Bytes up to and including the empty line.
    size: usize,
    length: u64,
    after: After,
}

impl Head {
    /// None: not whole yet. Answers without a length are refused: the origin always gives one.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("head of the answer")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .context("no status line in the answer")?;
        let mut head = Self { status, size: end + 4, length: 0, after: After::KeepAlive };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.parse().context("length of the answer")?;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
            {
                head.after = After::Close;
            }
        }
        Ok(Some(head))
    }
}

/// What every client says that it is.
pub const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Enough for a head and 1 KiB, and little enough for thousands of idle connections.
const SMALL_BUFFER: usize = 4096;
const LARGE_BUFFER: usize = 256 * 1024;
static BODY_PIECE: [u8; 64 * 1024] = [b'u'; 64 * 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_ends_the_connection_is_noticed() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert!(Head::parse(&text[..20]).unwrap().is_none());
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!(
            head,
            Head { status: 200, size: text.len() - 3, length: 3, after: After::Close }
        );
    }
}
