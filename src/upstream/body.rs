//! Bodies between a client and an endpoint: streamed, never gathered, and enums instead of boxes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::upstream::client_body::ClientBody;
use crate::upstream::error::BodyError;
use crate::upstream::http1::apart::Apart;
use crate::upstream::incoming::Incoming;
use crate::upstream::lease::Lease;
use crate::upstream::patience::Patience;
use crate::upstream::piped::BodyFault;
use crate::upstream::trailers;
use crate::upstream::tunnel::Switch;

/// The body of a request on its way to an endpoint.
#[derive(Debug)]
pub enum RequestBody {
    /// There is none.
    Empty,
    /// What the client sends.
    Streamed {
        /// The client's stream.
        incoming: ClientBody,
        /// Counts what passes.
        progress: Arc<Progress>,
        /// How many bytes may pass.
        most: u64,
    },
}

/// How far a request body has come. The connection to the endpoint writes it; the exchange reads it.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    /// Frames so far, so that a deadline can see that something moves.
    frames: AtomicU64,
    /// The endpoint wants more and the client has not sent it.
    starved: AtomicBool,
    /// More has come than may pass.
    overran: AtomicBool,
    /// What the client did wrong.
    fault: OnceLock<BodyFault>,
}

/// The body of a response on its way to the client. When it has ended cleanly, the connection that
/// it came over is given back; when it is dropped before, that connection is closed.
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    patience: Patience,
    /// Not a body, but the consent to switch protocols.
    switches: bool,
}

impl RequestBody {
    /// The client's body, or `Empty` if it is known to be.
    pub fn new(incoming: ClientBody) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streamed { incoming, progress: Arc::default(), most: u64::MAX }
        }
    }

    /// A handle on the progress of a streamed body.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed { progress, .. } => Some(Arc::clone(progress)),
        }
    }

    /// Bounds it: the piece that goes beyond is an error in its place, and the connection that it was
    /// to go over is cut.
    pub fn bound(&mut self, bytes: u64) {
        if let Self::Streamed { most, .. } = self {
            *most = bytes;
        }
    }

    /// Whether there is no body, so that the request can be repeated.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Progress {
    /// Bytes that have passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Changes whenever something has passed.
    pub fn mark(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Whether it is the client that is waited for.
    pub fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Whether there was more of it than may pass.
    pub fn has_overrun(&self) -> bool {
        self.overran.load(Ordering::Relaxed)
    }

    /// What the client did wrong with it, if anything.
    pub fn fault(&self) -> Option<BodyFault> {
        self.fault.get().copied()
    }

    /// The word for it where it is the client's doing that an exchange failed.
    pub fn client_reason(&self) -> Option<&'static str> {
        match self.has_overrun() {
            true => Some("request_body_too_large"),
            false => self.fault().map(BodyFault::reason),
        }
    }

    fn failed(&self, error: &BodyError) {
        let fault = match error {
            BodyError::Client(fault) => *fault,
            _ => BodyFault::BrokenOff,
        };
        self.fault.get_or_init(|| fault);
    }

    fn count(&self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streamed { incoming, progress, most } => {
                let polled = Pin::new(&mut *incoming).poll_frame(cx).map_ok(without_misplaced);
                progress.starved.store(polled.is_pending(), Ordering::Relaxed);
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => progress.count(frame),
                    Poll::Ready(Some(Err(error))) => progress.failed(error),
                    Poll::Ready(None) | Poll::Pending => {}
                }
                if progress.bytes() > *most {
                    progress.overran.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl UpstreamBody {
    /// The body of a response that came over the leased connection.
    /// `limit` is how long the endpoint may be silent while it is waited for.
    pub fn new(mut incoming: Incoming, lease: Lease, limit: Duration) -> Self {
        let patience = Patience::new(limit);
        if let Incoming::Http1(connection) = &mut incoming
            && let Some(connection) = connection.take_if(|connection| !connection.has_sent())
        {
            incoming = Incoming::Apart(Apart::begin(connection, lease.endpoint(), limit));
        }
        let mut body = Self { incoming, lease: Some(lease), patience, switches: false };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The empty body of a response that switches protocols as it was asked to.
    pub fn switching(incoming: Incoming, lease: Lease) -> Self {
        let patience = Patience::new(Duration::MAX);
        Self { incoming, lease: Some(lease), patience, switches: true }
    }

    /// The connection, if this is the response that switches protocols.
    pub fn take_switch(&mut self) -> Option<Switch> {
        if !self.switches {
            return None;
        }
        Some(Switch::new(self.incoming.take_connection()?, self.lease.take()?))
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back(self.incoming.take_connection());
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            ready!(self.patience.poll_end(cx));
            self.lease = None;
            return Poll::Ready(Some(Err(BodyError::Silent(self.patience.limit()))));
        };
        self.patience.renew();
        let frame = frame.map(|frame| frame.map(without_misplaced));
        match &frame {
            // Nothing follows trailers, and whoever writes them does not ask again.
            Some(Ok(frame)) if frame.is_trailers() || self.incoming.is_end_stream() => {
                self.give_back();
            }
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                if let Some(lease) = self.lease.take() {
                    lease.broke();
                }
            }
            None => self.give_back(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Trailers are cleaned on their way through, in both directions.
fn without_misplaced(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        trailers::clean(trailers);
    }
    frame
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").field("leased", &self.lease.is_some()).finish()
    }
}
