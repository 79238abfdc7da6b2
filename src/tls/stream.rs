//! An established TLS connection as a stream of bytes. Must not know HTTP.
//!
//! Bytes pass through buffers of the worker: a stream that is idle holds none, and one that is busy
//! holds only what its client has not taken yet, or the front of a record that has not come as a whole.

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use rustls::CommonState;
use rustls::ProtocolVersion;
use rustls::ServerConfig;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;

use crate::tls::session::Records;
use crate::tls::session::Session;
use crate::tls::transport::Transport;

/// A connection of a client, after its handshake.
pub struct TlsStream<IO> {
    io: IO,
    session: Session,
    /// What was decrypted and had no room where it was read to.
    plain: Bytes,
    /// Records that have not left.
    unsent: BytesMut,
    /// How many bytes at their front are tickets, which need not leave by themselves.
    tickets: usize,
    /// The client takes nothing: what is unsent has been tried.
    is_blocked: bool,
    has_closed: bool,
}

/// Why there is no stream.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    /// What rustls had to say about it was written, as far as it could be.
    Tls(rustls::Error),
}

impl<IO> TlsStream<IO>
where
    IO: Transport,
{
    /// Shakes hands with a client whose first bytes were read already, all of its hello among them. The
    /// socket comes back when that fails.
    ///
    /// Tickets of TLS 1.3 stay here until something else is written, and leave with the first response, or
    /// with the end: a packet of their own would be a twentieth of what a short connection costs.
    pub(super) async fn accept(
        mut io: IO,
        config: Arc<ServerConfig>,
        first: &[u8],
    ) -> Result<Self, (Failure, IO)> {
        let mut session = match Session::new(config) {
            Ok(session) => session,
            Err(error) => return Err((Failure::Tls(error), io)),
        };
        let mut received = first.to_vec();
        let (mut plain, mut unsent) = (Vec::new(), BytesMut::new());
        loop {
            let heard =
                session.read(&mut received, &mut unsent, |data| plain.extend_from_slice(data));
            if let Err(error) = heard {
                // Whoever is gone has no use for it.
                let _ = io.write_all(&unsent).await;
                return Err((Failure::Tls(error), io));
            }
            let is_done = !session.agreed().is_handshaking();
            let version = session.agreed().protocol_version();
            if !is_done || version != Some(ProtocolVersion::TLSv1_3) {
                if let Err(error) = io.write_all(&unsent).await {
                    return Err((Failure::Io(error), io));
                }
                unsent.clear();
            }
            if is_done {
                break;
            }
            received.clear();
            received.extend_from_slice(session.held());
            received.reserve(FLIGHT);
            match io.read_buf(&mut received).await {
                Ok(1..) => {}
                Ok(0) => return Err((Failure::Io(io::ErrorKind::UnexpectedEof.into()), io)),
                Err(error) => return Err((Failure::Io(error), io)),
            }
        }
        // An idle connection holds no buffer.
        let unsent = if unsent.is_empty() { BytesMut::new() } else { unsent };
        let (plain, tickets) = (plain.into(), unsent.len());
        Ok(Self { io, session, plain, unsent, tickets, is_blocked: false, has_closed: false })
    }

    /// What the handshake has agreed on.
    pub(super) fn agreed(&self) -> &CommonState {
        self.session.agreed()
    }

    /// Reads from the socket what there is and decrypts it: into `buffer`, and the rest into `plain`.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        INPUT.with_borrow_mut(|input| {
            let room = (buffer.remaining() + RECORD_OVERHEAD).clamp(LEAST_READ, MOST_READ);
            let held = self.session.held().len();
            if input.len() < held + room {
                input.resize(held + room, 0);
            }
            let mut read = ReadBuf::new(&mut input[held..held + room]);
            ready!(self.poll_socket(cx, &mut read))?;
            let end = held + read.filled().len();
            input[..held].copy_from_slice(self.session.held());
            let mut rest = Vec::new();
            let heard = self.session.read(&mut input[..end], &mut self.unsent, |data| {
                let fits = data.len().min(buffer.remaining());
                buffer.put_slice(&data[..fits]);
                rest.extend_from_slice(&data[fits..]);
            });
            self.plain = rest.into();
            heard.map_err(|error| {
                // The alert, if the client takes it at once.
                let _ = self.poll_send(cx);
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            Poll::Ready(Ok(()))
        })
    }

    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(cx, read) {
            Poll::Pending if self.is_blocked || !self.has_urgent() => Poll::Pending,
            // A moment in which nobody else says anything. The system tells of a reset once.
            Poll::Pending => match self.poll_send(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Ok(())) if read.filled().is_empty() => {
                let missing = "the connection was closed without close_notify";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, missing)))
            }
            ready @ Poll::Ready(_) => ready,
        }
    }

    /// Whether there is anything but tickets to be sent.
    fn has_urgent(&self) -> bool {
        self.unsent.len() > self.tickets
    }

    /// Sends what is unsent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send_by(cx, IO::poll_write)
    }

    fn poll_send_by(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(Pin<&mut IO>, &mut Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.is_blocked = true;
        while !self.unsent.is_empty() {
            match ready!(write(Pin::new(&mut self.io), cx, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.unsent.advance(sent),
            }
            self.tickets = 0;
        }
        self.is_blocked = false;
        self.unsent = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Encrypts `plain` and sends it behind what is unsent; what does not leave at once is unsent.
    fn seal(&mut self, cx: &mut Context<'_>, plain: &[u8]) -> io::Result<()> {
        OUTPUT.with_borrow_mut(|records| {
            records.clear();
            if !self.unsent.is_empty() {
                records.append(&self.unsent);
                self.unsent = BytesMut::new();
                self.tickets = 0;
            }
            let sealed = self.session.write(plain, records);
            let mut left = records.as_slice();
            while !left.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, left) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(sent)) => left = &left[sent..],
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => {
                        self.is_blocked = true;
                        self.unsent.extend_from_slice(left);
                        break;
                    }
                }
            }
            sealed.map_err(io::Error::other)
        })
    }
}

impl<IO> AsyncRead for TlsStream<IO>
where
    IO: Transport,
{
    /// Ends when the client says so; a connection that is closed without a word is an error of the kind
    /// `UnexpectedEof` (RFC 8446, section 6.1).
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            if !this.plain.is_empty() {
                let count = this.plain.len().min(buffer.remaining());
                buffer.put_slice(&this.plain[..count]);
                this.plain.advance(count);
                if this.plain.is_empty() {
                    this.plain = Bytes::new();
                }
            }
            let is_done = buffer.filled().len() > before || buffer.remaining() == 0;
            if is_done || this.session.client_has_closed() {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_fill(cx, buffer))?;
        }
    }
}

impl<IO> AsyncWrite for TlsStream<IO>
where
    IO: Transport,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_blocked {
            ready!(this.poll_send(cx))?;
        }
        let count = bytes.len().min(MOST_WRITTEN);
        this.seal(cx, &bytes[..count])?;
        Poll::Ready(Ok(count))
    }

    /// All that is given at once, up to 64 KiB, is as few records as it can be.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut full = slices.iter().filter(|slice| !slice.is_empty());
        match (full.next(), full.next()) {
            (None, _) => return Poll::Ready(Ok(0)),
            (Some(one), None) => return self.poll_write(cx, one),
            (Some(_), Some(_)) => {}
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            for slice in slices {
                let room = MOST_WRITTEN - gathered.len();
                gathered.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            self.as_mut().poll_write(cx, gathered)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.has_urgent() {
            ready!(this.poll_send(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// Says `close_notify` and closes our end of the socket.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_closed {
            this.has_closed = true;
            this.session.close(&mut this.unsent);
        }
        ready!(this.poll_send_by(cx, IO::poll_write_last))?;
        if this.session.client_has_closed() {
            // Nothing is left to be read: dropping the socket says the rest.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

thread_local! {
    /// What is read from sockets, and decrypted in place.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// What is encrypted, on its way to sockets.
    static OUTPUT: RefCell<Records> = const { RefCell::new(Records::new()) };
    /// What is gathered from several places to be encrypted as one.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a client sends in one flight of its handshake, mostly.
const FLIGHT: usize = 2 << 10;

/// What one read takes, at least and at most: a head, and four records.
const LEAST_READ: usize = 4 << 10;
const MOST_READ: usize = (64 << 10) + 4 * RECORD_OVERHEAD;

/// What one write takes at most.
const MOST_WRITTEN: usize = 64 << 10;

/// A record's header, tag, type, and the explicit nonce of TLS 1.2.
const RECORD_OVERHEAD: usize = 32;
