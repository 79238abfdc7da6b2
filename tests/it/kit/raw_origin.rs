//! An origin without HTTP: it reads request heads and answers with bytes, silence or a hang-up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A server on a free port of 127.0.0.1; gone with its value.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

/// What comes back, and what then.
#[derive(Clone)]
enum Answer {
    ThenEnd(Vec<u8>),
    ThenSilence(Vec<u8>),
}

impl RawOrigin {
    /// Answers each connection's request with these bytes, and closes it.
    pub(crate) async fn answering(bytes: &[u8]) -> Self {
        Self::start(Answer::ThenEnd(bytes.to_vec())).await
    }

    /// Answers each connection's request with these bytes, and is silent from then on.
    pub(crate) async fn beginning(bytes: &[u8]) -> Self {
        Self::start(Answer::ThenSilence(bytes.to_vec())).await
    }

    /// Reads, and never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(Answer::ThenSilence(Vec::new())).await
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The request heads so far, as they stood on the wire.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("never poisoned").clone()
    }

    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&heads);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, answer.clone(), Arc::clone(&recorded)));
            }
        });
        Self { address, heads, accepting }
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut tcp: TcpStream, answer: Answer, heads: Arc<Mutex<Vec<String>>>) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match tcp.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
        }
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&received[..end + 2]).into_owned();
    heads.lock().expect("never poisoned").push(head);
    match answer {
        Answer::ThenEnd(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            let _ = tcp.shutdown().await;
        }
        // Held until the proxy gives up.
        Answer::ThenSilence(bytes) => {
            let _ = tcp.write_all(&bytes).await;
            while matches!(tcp.read(&mut buffer).await, Ok(count) if count > 0) {}
        }
    }
}

/// A port of 127.0.0.1 on which nobody listens.
pub(crate) async fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
