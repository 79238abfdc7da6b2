//! A client of relayed streams: a ClientHello, and then bytes.

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::counters::Counters;
use crate::load::target::Target;
use crate::origin;
use crate::relay_origin;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    Down,
    Up,
}

/// A connection that the origin has greeted.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, says what server name it wants, and waits for the greeting.
    pub async fn open(target: &Target) -> Result<Self> {
        let mut stream = target.dial().await?;
        stream.write_all(&target.client_hello()?).await.context("while sending the hello")?;
        let mut connection = Self { stream, buffer: vec![0; BUFFER] };
        connection.is_told().await.context("no greeting")?;
        Ok(connection)
    }

    /// 10 MiB in one direction.
    pub async fn exchange(&mut self, direction: Direction, counters: &Counters) -> Result<()> {
        match direction {
            Direction::Down => {
                self.stream.write_all(&[relay_origin::DOWN]).await?;
                let mut rest = origin::LARGE.size;
                while rest > 0 {
                    let limit = rest.min(BUFFER);
                    let count = self.stream.read(&mut self.buffer[..limit]).await?;
                    anyhow::ensure!(count > 0, "the connection was closed within a download");
                    counters.add_bytes(count);
                    rest -= count;
                }
                Ok(())
            }
            Direction::Up => {
                self.stream.write_all(&[relay_origin::UP]).await?;
                let mut rest = origin::LARGE.size;
                while rest > 0 {
                    let count = rest.min(PIECE);
                    self.stream.write_all(&self.buffer[..count]).await?;
                    counters.add_bytes(count);
                    rest -= count;
                }
                self.is_told().await.context("after an upload")
            }
        }
    }

    async fn is_told(&mut self) -> Result<()> {
        let mut told = [0];
        self.stream.read_exact(&mut told).await?;
        anyhow::ensure!(told[0] == relay_origin::DONE, "other bytes than the origin sent");
        Ok(())
    }
}

const BUFFER: usize = 256 * 1024;
/// What is written at once; as in uploads over TLS.
const PIECE: usize = 64 * 1024;
