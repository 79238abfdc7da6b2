//! Bodies of any length that nobody keeps: made as fast as they are taken, and taken as slowly as a
//! test likes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::Response;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::http::Body;
use super::http::Broken;
use super::http::full;

/// How many bytes of a body have been taken so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until nobody takes any more; how many bytes that were.
    pub(crate) async fn stands_still(&self) -> u64 {
        let mut last = 0;
        let mut same = 0;
        super::eventually("a body that nobody takes", async || {
            let now = self.so_far();
            same = if now == last && now > 0 { same + 1 } else { 0 };
            last = now;
            (same == STILL).then_some(now)
        })
        .await
    }
}

/// A body of this many bytes, and how many have been taken.
pub(crate) fn volume(length: u64) -> (Body, Taken) {
    let taken = Taken::default();
    (Volume { left: length, taken: taken.clone() }.boxed_unsync(), taken)
}

struct Volume {
    left: u64,
    taken: Taken,
}

impl hyper::body::Body for Volume {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(PIECE.len() as u64);
        self.left -= length;
        self.taken.0.fetch_add(length, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..length as usize])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reads at least this much of a body, or all of it; how much that was.
pub(crate) async fn read(body: &mut Incoming, enough: u64) -> Result<u64, Broken> {
    let mut length = 0;
    while length < enough {
        let Some(frame) = body.frame().await else { break };
        length += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

/// A server on a free port of 127.0.0.1 that answers GET with a volume, and POST with the length of
/// the body, of which it reads a little before [`VolumeOrigin::go_on`], and the rest after it.
pub(crate) struct VolumeOrigin {
    pub(crate) address: SocketAddr,
    /// How much of its answers was taken.
    pub(crate) taken: Taken,
    gate: Arc<Semaphore>,
    accepting: JoinHandle<()>,
}

impl VolumeOrigin {
    /// Answers have this length.
    pub(crate) async fn start(http2: bool, length: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let taken = Taken::default();
        let gate = Arc::new(Semaphore::new(0));
        let serving = Answers { length, taken: taken.clone(), gate: Arc::clone(&gate) };
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, http2, serving.clone()));
            }
        });
        Self { address, taken, gate, accepting }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Lets one POST be read to its end.
    pub(crate) fn go_on(&self) {
        self.gate.add_permits(1);
    }
}

impl Drop for VolumeOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Answers {
    length: u64,
    taken: Taken,
    gate: Arc<Semaphore>,
}

async fn serve(tcp: TcpStream, http2: bool, answers: Answers) {
    let service = service_fn(move |request| answer(request, answers.clone()));
    // How a connection ends is what the client's side of a test looks at.
    if http2 {
        let server = http2::Builder::new(TokioExecutor::new());
        drop(server.serve_connection(TokioIo::new(tcp), service).await);
    } else {
        drop(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await);
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Answers,
) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/warm" {
        return Ok(Response::new(full("warm")));
    }
    if request.method() == hyper::Method::GET {
        let body = Volume { left: answers.length, taken: answers.taken };
        return Ok(Response::new(body.boxed_unsync()));
    }
    let mut body = request.into_body();
    let first = read(&mut body, A_LITTLE).await.expect("a whole body");
    answers.gate.acquire().await.expect("never closed").forget();
    let rest = read(&mut body, u64::MAX).await.expect("a whole body");
    Ok(Response::new(full((first + rest).to_string())))
}

/// What a slow reader reads at once.
pub(crate) const A_LITTLE: u64 = 4 << 20;

/// One frame of a volume.
static PIECE: [u8; 64 << 10] = [b'v'; 64 << 10];

/// After how many looks at a number that does not change it is taken to stand still.
const STILL: u32 = 20;
