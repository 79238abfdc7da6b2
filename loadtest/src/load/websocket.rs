//! A client of WebSockets: after the upgrade, one frame at a time to the origin and back.

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::load::counters::Counters;
use crate::load::http1::USER_AGENT;
use crate::load::target::Stream;
use crate::origin;

/// A connection that has been upgraded.
pub struct Connection {
    stream: Stream,
    frame: Vec<u8>,
    echo: Vec<u8>,
}

impl Connection {
    /// Asks for the upgrade (RFC 6455, section 4.1); anything but 101 is an error.
    pub async fn open(mut stream: Stream, domain: &str) -> Result<Self> {
        let request = format!(
            "GET /socket HTTP/1.1\r\nHost: {domain}\r\nUser-Agent: {USER_AGENT}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {}\r\n\r\n",
            origin::WEBSOCKET_KEY
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            anyhow::ensure!(head.len() < MOST_HEAD, "head of the answer too long");
            head.push(stream.read_u8().await.context("no answer to the upgrade")?);
        }
        let text = String::from_utf8_lossy(&head);
        let status = text.lines().next().unwrap_or_default();
        anyhow::ensure!(status.starts_with("HTTP/1.1 101"), "answer {status}");
        let frame = frame();
        Ok(Self { stream, echo: vec![0; frame.len()], frame })
    }

    /// One message there and back.
    pub async fn exchange(&mut self, counters: &Counters) -> Result<()> {
        self.stream.write_all(&self.frame).await?;
        self.stream.flush().await?;
        self.stream.read_exact(&mut self.echo).await.context("no echo")?;
        anyhow::ensure!(self.echo == self.frame, "other bytes than were sent");
        counters.add_bytes(self.frame.len());
        Ok(())
    }

    pub fn into_stream(self) -> Stream {
        self.stream
    }
}

/// A binary message of 1 KiB, masked with zeros (RFC 6455, section 5.2).
fn frame() -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend((origin::SMALL.size as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(frame.len() + origin::SMALL.size, b'w');
    frame
}

const MOST_HEAD: usize = 4096;
