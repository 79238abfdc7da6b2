//! Clients that are slow on purpose, and clients that only cost: what others must not notice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time;

use crate::load::target::Target;

/// Clients that go on until it is dropped.
pub struct Crowd {
    _clients: JoinSet<()>,
}

/// What a slow client is slow with.
#[derive(Clone, Copy, Debug)]
enum Slowness {
    /// Connects, and says nothing.
    Silent,
    /// Sends its ClientHello one byte at a time.
    Hello,
    /// Sends the head of a request one byte at a time.
    RequestHead,
    /// Asks for 10 MiB and reads a few bytes at a time.
    Reading,
}

impl Crowd {
    /// So many slow clients, a quarter of each kind.
    pub fn of_slow_clients(target: &Target, count: usize) -> Self {
        let kinds = [Slowness::Silent, Slowness::Hello, Slowness::RequestHead, Slowness::Reading];
        let mut clients = JoinSet::new();
        for slowness in kinds.into_iter().cycle().take(count) {
            clients.spawn(again_and_again(target.clone(), slowness));
        }
        Self { _clients: clients }
    }

    /// Clients that have the proxy answer their ClientHello, and leave: a signature each.
    pub fn of_handshakes(target: &Target, count: usize) -> Result<Self> {
        let hello: Arc<[u8]> = target.client_hello()?.into();
        let mut clients = JoinSet::new();
        for _ in 0..count {
            clients.spawn(flood(target.clone(), Arc::clone(&hello)));
        }
        Ok(Self { _clients: clients })
    }
}

/// A client that the proxy has thrown out comes back.
async fn again_and_again(target: Target, slowness: Slowness) {
    loop {
        // That it ends with an error is what it is for.
        let _ = dawdle(&target, slowness).await;
        time::sleep(PAUSE).await;
    }
}

async fn dawdle(target: &Target, slowness: Slowness) -> Result<()> {
    match slowness {
        Slowness::Silent => {
            let mut stream = target.dial().await?;
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Slowness::Hello => {
            let hello = target.client_hello()?;
            let mut stream = target.dial().await?;
            for byte in hello {
                stream.write_all(&[byte]).await?;
                time::sleep(PAUSE).await;
            }
        }
        Slowness::RequestHead => {
            let mut stream = target.connect().await?;
            let head = format!("GET /1k HTTP/1.1\r\nHost: {}\r\nX-Slow: ", target.domain);
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                time::sleep(PAUSE).await;
            }
        }
        Slowness::Reading => {
            let socket = TcpSocket::new_v4()?;
            // So that little of the body is taken by the kernel in its place.
            socket.set_recv_buffer_size(4096)?;
            let mut stream = target.connect_over(socket).await?;
            let request = format!("GET /10m HTTP/1.1\r\nHost: {}\r\n\r\n", target.domain);
            stream.write_all(request.as_bytes()).await?;
            while stream.read(&mut [0; 16]).await? > 0 {
                time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

async fn flood(target: Target, hello: Arc<[u8]>) {
    loop {
        let asked = async {
            let mut stream = target.dial().await?;
            stream.write_all(&hello).await?;
            anyhow::ensure!(stream.read(&mut [0; 64]).await? > 0, "refused");
            Ok(())
        };
        if asked.await.is_err() {
            // Refused, which costs the proxy nothing; a client that goes on at once would only keep
            // this program busy.
            time::sleep(AFTER_REFUSAL).await;
        }
    }
}

const PAUSE: Duration = Duration::from_secs(1);
const AFTER_REFUSAL: Duration = Duration::from_millis(10);
