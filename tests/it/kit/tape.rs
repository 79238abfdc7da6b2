//! An origin that keeps all that it is sent, connection by connection, and never ends one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::reader::Reader;
use super::reader::requests;

/// A server on a free port of 127.0.0.1; gone with its value.
pub(crate) struct Tape {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    answer: Vec<u8>,
    /// What came over each connection.
    received: Mutex<Vec<Vec<u8>>>,
    left: AtomicUsize,
    blurts: broadcast::Sender<Vec<u8>>,
}

impl Tape {
    /// Answers each whole request with these bytes.
    pub(crate) async fn answering(bytes: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            answer: bytes.to_vec(),
            received: Mutex::default(),
            left: AtomicUsize::new(0),
            blurts: broadcast::channel(16).0,
        });
        let recording = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let mut received = recording.received.lock().expect("never poisoned");
                received.push(Vec::new());
                let serving = serve(tcp, Arc::clone(&recording), received.len() - 1);
                drop(received);
                tokio::spawn(serving);
            }
        });
        Self { address, shared, accepting }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// What came over each connection so far.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.shared.received.lock().expect("never poisoned").clone()
    }

    /// The same as text, all connections in one.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received().concat()).into_owned()
    }

    /// How many connections the proxy has ended.
    pub(crate) fn left(&self) -> usize {
        self.shared.left.load(Ordering::SeqCst)
    }

    /// Says this on each open connection, unasked.
    pub(crate) fn blurt(&self, bytes: &[u8]) {
        drop(self.shared.blurts.send(bytes.to_vec()));
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>, place: usize) {
    let mut blurts = shared.blurts.subscribe();
    let mut buffer = vec![0; 16 << 10];
    let mut answered = 0;
    loop {
        let said = tokio::select! {
            read = tcp.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let whole = shared.record(place, &buffer[..count]);
                    let answers = shared.answer.repeat(whole - answered);
                    answered = whole;
                    answers
                }
            },
            Ok(blurt) = blurts.recv() => blurt,
        };
        let _ = tcp.write_all(&said).await;
    }
    shared.left.fetch_add(1, Ordering::SeqCst);
}

impl Shared {
    /// How many requests have come to their end on this connection.
    fn record(&self, place: usize, bytes: &[u8]) -> usize {
        let mut received = self.received.lock().expect("never poisoned");
        received[place].extend_from_slice(bytes);
        let all = requests(&received[place], Reader::Strict);
        all.iter().filter(|request| request.is_whole).count()
    }
}
