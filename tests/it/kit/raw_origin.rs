//! An origin without HTTP: it reads request heads and answers with bytes, silence or a hang-up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A server on a free port of 127.0.0.1; gone with its value.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    left: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// What comes back, and what then.
#[derive(Clone)]
enum Answer {
    End(Vec<u8>),
    Reset(Vec<u8>),
    Silence(Vec<u8>),
}

impl RawOrigin {
    /// Answers each connection's request with these bytes, and closes it.
    pub(crate) async fn answering(bytes: &[u8]) -> Self {
        Self::start(Answer::End(bytes.to_vec())).await
    }

    /// Answers each connection's request with these bytes, and is silent from then on.
    pub(crate) async fn beginning(bytes: &[u8]) -> Self {
        Self::start(Answer::Silence(bytes.to_vec())).await
    }

    /// Answers each connection's request with these bytes, and resets it.
    pub(crate) async fn resetting_after(bytes: &[u8]) -> Self {
        Self::start(Answer::Reset(bytes.to_vec())).await
    }

    /// Reads, and never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(Answer::Silence(Vec::new())).await
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The request heads so far, as they stood on the wire.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("never poisoned").clone()
    }

    /// How many of the connections that it kept open were ended by the proxy, and not used again.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&heads);
        let left = Arc::<AtomicUsize>::default();
        let leaving = Arc::clone(&left);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (answer, recorded) = (answer.clone(), Arc::clone(&recorded));
                let leaving = Arc::clone(&leaving);
                tokio::spawn(async move {
                    if serve(tcp, answer, recorded).await == Some(0) {
                        leaving.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, heads, left, accepting }
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How many bytes the proxy sent after the answer, where the connection was its to end.
async fn serve(
    mut tcp: TcpStream,
    answer: Answer,
    heads: Arc<Mutex<Vec<String>>>,
) -> Option<usize> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match tcp.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
        }
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&received[..end + 2]).into_owned();
    heads.lock().expect("never poisoned").push(head);
    match answer {
        Answer::End(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            let _ = tcp.shutdown().await;
            None
        }
        Answer::Reset(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            let _ = tcp.set_zero_linger();
            None
        }
        // Held until the proxy gives up.
        Answer::Silence(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            let mut more = 0;
            loop {
                match tcp.read(&mut buffer).await {
                    Ok(0) | Err(_) => return Some(more),
                    Ok(count) => more += count,
                }
            }
        }
    }
}

/// A port of 127.0.0.1 on which nobody listens.
pub(crate) async fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
