//! The origin of relayed streams: plain TCP that looks like TLS for as long as a proxy looks.
//!
//! After a ClientHello it greets with one byte. Then the client asks, a byte at a time: for
//! [`DOWN`] it is sent 10 MiB; after [`UP`] it sends 10 MiB, and is told that they came. No TLS is
//! spoken, because the relay does not care: what is measured is the relay alone.

use std::net::SocketAddr;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::origin;
use crate::placement;

/// Starts the origin and returns its address; it lives as long as the program.
pub fn start(cpu: usize) -> Result<SocketAddr> {
    let listener = origin::listen()?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("relay origin".to_owned())
        .spawn(move || {
            if let Err(error) = placement::pin(cpu).and_then(|()| serve(listener)) {
                eprintln!("the origin of relayed streams stopped: {error:#}");
            }
        })
        .context("cannot start the origin of relayed streams")?;
    Ok(address)
}

fn serve(listener: std::net::TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A connection that breaks off is the proxy's affair and shows there.
                let _ = answer(stream).await;
            });
        }
    })
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut header = [0; 5];
    stream.read_exact(&mut header).await?;
    let [_, _, _, high, low] = header;
    let hello = usize::from(u16::from_be_bytes([high, low]));
    stream.read_exact(&mut buffer[..hello]).await?;
    stream.write_all(&[DONE]).await?;
    loop {
        let mut wish = [0];
        if stream.read(&mut wish).await? == 0 {
            return Ok(());
        }
        if wish[0] == DOWN {
            for piece in 0..origin::LARGE.size.div_ceil(BUFFER) {
                let rest = origin::LARGE.size - piece * BUFFER;
                stream.write_all(&buffer[..rest.min(BUFFER)]).await?;
            }
        } else {
            let mut rest = origin::LARGE.size;
            while rest > 0 {
                let count = stream.read(&mut buffer[..rest.min(BUFFER)]).await?;
                anyhow::ensure!(count > 0, "an upload broke off");
                rest -= count;
            }
            stream.write_all(&[DONE]).await?;
        }
    }
}

/// What a client wishes.
pub const DOWN: u8 = b'd';
pub const UP: u8 = b'u';

/// What it is told when the hello, or an upload, has come.
pub const DONE: u8 = b'!';

const BUFFER: usize = 256 * 1024;
