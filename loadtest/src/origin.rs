//! The origin behind every proxy: a plain HTTP/1.1 server that answers with bodies of known size.
//!
//! It runs on its own thread of the load generator's CPU and does as little as possible: what it
//! costs is taken from the generator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::placement;

/// Starts the origin and returns its address; it lives as long as the program.
pub fn start(cpu: usize) -> Result<SocketAddr> {
    let listener = listen()?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("origin".to_owned())
        .spawn(move || {
            if let Err(error) = placement::pin(cpu).and_then(|()| serve(listener)) {
                eprintln!("the origin stopped: {error:#}");
            }
        })
        .context("cannot start the origin")?;
    Ok(address)
}

/// A free port with a long queue.
pub fn listen() -> Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    Ok(std::net::TcpListener::from(socket))
}

fn serve(listener: std::net::TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        let answers = Arc::new(Answers::new());
        loop {
            let (stream, _) = listener.accept().await?;
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                // A connection that breaks off is the proxy's affair and shows there.
                let _ = Connection::new(stream).serve(&answers).await;
            });
        }
    })
}

/// Every answer, head and body, is ready.
struct Answers {
    small: Vec<u8>,
    medium: Vec<u8>,
    large: Vec<u8>,
    missing: Vec<u8>,
    unknown_length: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        Self {
            small: answer("200 OK", SMALL.size),
            medium: answer("200 OK", MEDIUM.size),
            large: answer("200 OK", LARGE.size),
            missing: answer("404 Not Found", 0),
            unknown_length: answer("411 Length Required", 0),
        }
    }

    fn find(&self, head: &Head) -> &[u8] {
        match head.path.as_str() {
            _ if head.chunked => &self.unknown_length,
            path if path == SMALL.path || path == UPLOAD => &self.small,
            path if path == MEDIUM.path => &self.medium,
            path if path == LARGE.path => &self.large,
            _ => &self.missing,
        }
    }
}

fn answer(status: &str, length: usize) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
         Cache-Control: max-age=60\r\nETag: \"5f3c-{length}\"\r\nServer: origin\r\n\r\n"
    )
    .into_bytes();
    bytes.extend((0..length).map(|position| b'a' + (position % 26) as u8));
    bytes
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; FIRST_BUFFER], filled: 0 }
    }

    async fn serve(&mut self, answers: &Answers) -> Result<()> {
        while let Some(head) = self.read_head().await? {
            if head.websocket {
                return self.echo(head.size).await;
            }
            let answer = answers.find(&head);
            if head.expects_continue {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            self.skip(head.size, head.body).await?;
            self.stream.write_all(answer).await?;
            if head.chunked || head.close {
                break;
            }
        }
        Ok(())
    }

    /// Sends back what comes after the head (RFC 6455; a frame is not looked into).
    async fn echo(&mut self, head: usize) -> Result<()> {
        let accept = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
        );
        self.stream.write_all(accept.as_bytes()).await?;
        self.stream.write_all(&self.buffer[head..self.filled]).await?;
        loop {
            let count = self.stream.read(&mut self.buffer).await?;
            if count == 0 {
                return Ok(());
            }
            self.stream.write_all(&self.buffer[..count]).await?;
        }
    }

    async fn read_head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(head) = Head::parse(&self.buffer[..self.filled]) {
                return Ok(Some(head));
            }
            anyhow::ensure!(self.filled < self.buffer.len(), "request head too long");
            let count = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if count == 0 {
                return Ok(None);
            }
            self.filled += count;
        }
    }

    /// Takes a head and its body off the buffer and off the socket.
    async fn skip(&mut self, head: usize, body: u64) -> Result<()> {
        let buffered = (self.filled - head) as u64;
        if buffered >= body {
            let end = head + body as usize;
            self.buffer.copy_within(end..self.filled, 0);
            self.filled -= end;
            return Ok(());
        }
        self.filled = 0;
        let mut rest = body - buffered;
        if self.buffer.len() < BODY_BUFFER && rest > FIRST_BUFFER as u64 {
            self.buffer.resize(BODY_BUFFER, 0);
        }
        while rest > 0 {
            let limit = self.buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
            let count = self.stream.read(&mut self.buffer[..limit]).await?;
            anyhow::ensure!(count > 0, "request body broke off");
            rest -= count as u64;
        }
        Ok(())
    }
}

/// What the origin needs to know of a request.
#[derive(Debug, Default, Eq, PartialEq)]
struct Head {
    path: String,
    /// Bytes up to and including the empty line.
    size: usize,
    body: u64,
    chunked: bool,
    close: bool,
    expects_continue: bool,
    websocket: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = text.split("\r\n");
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let mut head = Self { path, size: end + 4, ..Self::default() };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.body = value.parse().ok()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("expect") {
                head.expects_continue = true;
            } else if name.eq_ignore_ascii_case("upgrade") {
                head.websocket = value.eq_ignore_ascii_case("websocket");
            }
        }
        Some(head)
    }
}

/// A body of the origin.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    pub path: &'static str,
    /// In bytes.
    pub size: usize,
}

/// Also the answer to an upload.
pub const SMALL: Body = Body { path: "/1k", size: 1024 };
pub const MEDIUM: Body = Body { path: "/16k", size: 16 * 1024 };
/// As long as an upload.
pub const LARGE: Body = Body { path: "/10m", size: 10 * 1024 * 1024 };

/// Where uploads go.
pub const UPLOAD: &str = "/upload";

/// The example of RFC 6455, section 1.3: what a client sends, and what it must be answered.
pub const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const BACKLOG: i32 = 4096;
const FIRST_BUFFER: usize = 16 * 1024;
const BODY_BUFFER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"PUT /upload HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\n\r\nrest";
        assert_eq!(Head::parse(&text[..40]), None);
        let head = Head::parse(text).unwrap();
        assert_eq!((head.path.as_str(), head.body, head.size), ("/upload", 12, text.len() - 4));
    }
}
