//! Bytes both ways between a client and an endpoint that speak another protocol than HTTP from here on.
//!
//! An idle tunnel holds no buffer: bytes are read into one that all tunnels of a worker share, and are
//! written at once; what the other side does not take is all that is kept.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The client was the first to say that it has nothing more to say.
    ClientClosed,
    /// The endpoint was.
    UpstreamClosed,
    /// The client's connection broke.
    ClientFailed,
    /// The endpoint's connection broke.
    UpstreamFailed,
    /// Nothing passed for `tunnel_idle`.
    Idle,
    /// The proxy stopped, and the time to drain was over.
    Drained,
}

impl End {
    /// One stable word for log lines.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::UpstreamClosed => "upstream_closed",
            Self::ClientFailed => "client_failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Idle => "tunnel_idle",
            Self::Drained => "drained",
        }
    }
}

/// Both directions of a tunnel.
#[derive(Debug, Default)]
pub struct Relay {
    up: Way,
    down: Way,
    first: Option<End>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// What was read and could not be written yet.
    pending: Bytes,
    bytes: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Open,
    /// Its end is being passed on.
    Ending,
    Ended,
}

/// Which side of a direction broke.
enum Broken {
    Source,
    Sink,
}

impl Relay {
    /// A relay; the client has already said `first`.
    pub fn new(first: Bytes) -> Self {
        Self { up: Way { pending: first, ..Way::default() }, ..Self::default() }
    }

    /// Bytes from the client.
    pub fn received(&self) -> u64 {
        self.up.bytes
    }

    /// Bytes to the client.
    pub fn sent(&self) -> u64 {
        self.down.bytes
    }

    /// Relays until both have closed, one of them breaks, or nothing has passed for `idle`. Each
    /// direction closes by itself.
    pub async fn run<C, U>(&mut self, client: &mut C, upstream: &mut U, idle: Duration) -> End
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let mut timer = std::pin::pin!(tokio::time::sleep(idle));
        let mut last = Instant::now();
        let mut passed = 0;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(end) = self.poll_both(cx, client, upstream) {
                return Poll::Ready(end);
            }
            let now_passed = self.up.bytes + self.down.bytes;
            if now_passed != passed {
                (passed, last) = (now_passed, Instant::now());
            }
            // The timer is moved when it fires, not with each byte.
            while timer.as_mut().poll(cx).is_ready() {
                let due = last + idle;
                if due <= Instant::now() {
                    return Poll::Ready(End::Idle);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_both<C, U>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        upstream: &mut U,
    ) -> Poll<End>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let up = self.up.poll(cx, client, upstream);
        match up {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(End::ClientFailed),
            Poll::Ready(Err(Broken::Sink)) => return Poll::Ready(End::UpstreamFailed),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.up.phase != Phase::Open {
            self.first.get_or_insert(End::ClientClosed);
        }
        let down = self.down.poll(cx, upstream, client);
        match down {
            Poll::Ready(Err(Broken::Source)) => return Poll::Ready(End::UpstreamFailed),
            Poll::Ready(Err(Broken::Sink)) => return Poll::Ready(End::ClientFailed),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if self.down.phase != Phase::Open {
            self.first.get_or_insert(End::UpstreamClosed);
        }
        match (up, down, self.first) {
            (Poll::Ready(_), Poll::Ready(_), Some(end)) => Poll::Ready(end),
            _ => Poll::Pending,
        }
    }
}

impl Way {
    /// Moves what there is; ready when the end has been passed on.
    fn poll<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            match self.phase {
                Phase::Ended => return Poll::Ready(Ok(())),
                Phase::Ending => {
                    ready!(self.poll_pending(cx, to)).map_err(|_| Broken::Sink)?;
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Sink)?;
                    self.phase = Phase::Ended;
                }
                Phase::Open => {
                    ready!(self.poll_pending(cx, to)).map_err(|_| Broken::Sink)?;
                    match self.poll_piece(cx, from, to)? {
                        Poll::Ready(0) => self.phase = Phase::Ending,
                        Poll::Ready(_) => {}
                        Poll::Pending => {
                            ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Sink)?;
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    fn poll_pending<T>(&mut self, cx: &mut Context<'_>, to: &mut T) -> Poll<io::Result<()>>
    where
        T: AsyncWrite + Unpin,
    {
        while !self.pending.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.pending))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.pending.advance(count);
                    self.bytes += count as u64;
                }
            }
        }
        // A large piece is not kept for the small ones that follow.
        self.pending = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes as much of it as is taken. The number of bytes read: 0 is the end.
    fn poll_piece<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Result<Poll<usize>, Broken>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        PIECE.with_borrow_mut(|piece| {
            piece.resize(PIECE_SIZE, 0);
            let mut buffer = ReadBuf::new(piece);
            match Pin::new(from).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(())) => {}
                // TLS without a farewell, as most clients leave; what they said is marked by its own
                // protocol.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Poll::Ready(Err(_)) => return Err(Broken::Source),
            }
            let read = buffer.filled();
            let mut written = 0;
            while written < read.len() {
                match Pin::new(&mut *to).poll_write(cx, &read[written..]) {
                    Poll::Ready(Ok(0) | Err(_)) => return Err(Broken::Sink),
                    Poll::Ready(Ok(count)) => written += count,
                    Poll::Pending => break,
                }
            }
            self.bytes += written as u64;
            self.pending = Bytes::copy_from_slice(&read[written..]);
            Ok(Poll::Ready(read.len()))
        })
    }
}

thread_local! {
    /// One for all tunnels of a worker; made with the first.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A TLS record.
const PIECE_SIZE: usize = 16 << 10;
