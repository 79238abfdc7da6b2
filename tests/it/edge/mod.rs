//! The side that the internet sees: floods, crowds and clients that take their time, one service's
//! beside the others'.

mod crowd;
mod deadlines;
mod handshakes;
mod tls_floods;

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::TwoSites;
use crate::kit::within;

/// A hello for this name, whole, and nothing after it.
async fn stalled(street: &TwoSites, name: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
    tcp.write_all(&street.client(name).hello()).await.unwrap();
    tcp
}

/// The first byte of the answer; None: the connection was closed without a word.
async fn first_byte(tcp: &mut TcpStream) -> Option<u8> {
    let mut first = [0];
    let read = within("an answer or the end", tcp.read(&mut first)).await;
    (read.expect("no reset") == 1).then_some(first[0])
}

/// Says this, a byte at a time and slowly, and what is told to it meanwhile; until the proxy has had
/// enough.
async fn drip(mut tcp: TcpStream, bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    tcp.set_nodelay(true).unwrap();
    let (mut reads, mut writes) = tcp.split();
    let dripping = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        for byte in bytes {
            beat.tick().await;
            if writes.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let mut answer = Vec::new();
    let both = async {
        tokio::select! { _ = reads.read_to_end(&mut answer) => {}, () = dripping => {} }
    };
    within("the end of a slow client", both).await;
    answer
}

async fn refused_at(street: &TwoSites, service: &str, reason: &str, times: f64) {
    let labels = [("virtual_service", service), ("reason", reason)];
    street.proxy.metric_becomes("portcullis_connections_refused_total", &labels, times).await;
}
