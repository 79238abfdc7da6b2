//! One address of a pool and its connections of each worker.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use hyper::client::conn::http2;
use tokio::sync::Notify;

use crate::config::tls_profile::Alpn;
use crate::per_worker::PerWorker;
use crate::telemetry::pool_metrics::EndpointMetrics;
use crate::upstream::body::RequestBody;
use crate::upstream::connect::Call;
use crate::upstream::connect::Connecting;
use crate::upstream::error::Side;
use crate::upstream::error::UpstreamError;
use crate::upstream::http1;
use crate::upstream::http1::idle::Stack;
use crate::upstream::lease::Sender;
use crate::upstream::place::Place;
use crate::upstream::source::Source;
use crate::upstream::standing::Standing;
use crate::upstream::stream_io::StreamIo;

/// An endpoint. Its unused connections live as long as it does: a pool that drops it closes them.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub place: Place,
    label: Box<str>,
    /// Handles, registered once.
    pub metrics: Arc<EndpointMetrics>,
    /// Whether it may be chosen, and what it has in flight.
    pub standing: Arc<Standing>,
    connecting: Connecting,
    keeping: Keeping,
    connections: PerWorker<Connections>,
    /// The last connection agreed on HTTP/2.
    speaks_http2: AtomicBool,
}

/// How unused connections are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keeping {
    /// For how long.
    pub idle_timeout: Duration,
    /// How many for each worker.
    pub idle_connections: usize,
    /// Number of workers.
    pub workers: usize,
}

/// A worker's own connections.
#[derive(Debug, Default)]
struct Connections {
    /// Only this worker takes the lock; it is there for `Sync`.
    kept: Mutex<Kept>,
    /// Rings when a connect has ended, for those who wait to share an HTTP/2 connection.
    connected: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    idle: Stack,
    http2: Option<Shared>,
    connecting: bool,
    is_looked_after: bool,
}

#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    used: Instant,
}

impl Endpoint {
    /// An endpoint without connections.
    pub fn new(
        place: Place,
        standing: Arc<Standing>,
        metrics: Arc<EndpointMetrics>,
        connecting: Connecting,
        keeping: Keeping,
    ) -> Self {
        Self {
            label: place.to_string().into_boxed_str(),
            place,
            metrics,
            standing,
            connecting,
            keeping,
            connections: PerWorker::new(keeping.workers, Connections::default),
            speaks_http2: AtomicBool::new(false),
        }
    }

    /// The address as metrics and log lines write it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A connection of this worker that is open and unused, or an HTTP/2 one.
    pub fn reuse(&self) -> Option<Sender> {
        let mut kept = self.connections.mine().lock();
        if let Some(shared) = &mut kept.http2 {
            if shared.sender.is_ready() {
                shared.used = Instant::now();
                return Some(Sender::Http2(shared.sender.clone()));
            }
            kept.http2 = None;
        }
        kept.idle.pop(self.keeping.idle_timeout).map(Sender::Http1)
    }

    /// A new connection; of requests that come while an HTTP/2 connection is being made, one makes
    /// it and the others share it.
    pub async fn connect(self: &Arc<Self>, source: &Source<'_>) -> Result<Sender, UpstreamError> {
        let call = self.connecting.call_for(self, source);
        if self.connecting.proxy_protocol {
            // Nobody else's: it says whose it is.
            return self.counted(self.connecting.open(self, call).await);
        }
        let mine = self.connections.mine();
        if self.speaks_http2.load(Ordering::Relaxed) {
            let mut connected = std::pin::pin!(mine.connected.notified());
            connected.as_mut().enable();
            if mine.lock().connecting {
                connected.await;
                if let Some(sender) = self.reuse() {
                    return Ok(sender);
                }
            }
        }
        mine.lock().connecting = true;
        let _ends = Connect(mine);
        let sender = self.counted(self.connecting.open(self, call).await)?;
        Ok(self.share(sender))
    }

    /// A connection of its own for a stream. ALPN offers what the client's own connection agreed on,
    /// if that was HTTP/2, so that the endpoint knows what the bytes are; otherwise nothing.
    pub async fn connect_stream(&self, source: &Source<'_>) -> Result<StreamIo, UpstreamError> {
        let is_http2 = source.facts.is_some_and(|facts| facts.agreed_alpn == Some(Alpn::Http2));
        let alpn = is_http2.then(|| Alpn::Http2.as_str().as_bytes().to_vec());
        let call = self.connecting.call_for(self, source);
        let call = Call { alpn: Some(alpn.into_iter().collect()), ..call };
        self.counted(self.connecting.open_bare(self, call).await)
    }

    /// A new HTTP/1.1 connection that nobody else gets, for a request that asks to switch protocols.
    /// ALPN offers nothing else, whatever the pool would agree on.
    pub async fn connect_alone(
        self: &Arc<Self>,
        source: &Source<'_>,
    ) -> Result<Sender, UpstreamError> {
        if !self.connecting.can_speak_http1() {
            return Err(UpstreamError::NoWebSocket);
        }
        let http1 = Alpn::Http1.as_str().as_bytes().to_vec();
        let call = self.connecting.call_for(self, source);
        let call = Call { alpn: Some(vec![http1]), ..call };
        self.counted(self.connecting.open(self, call).await)
    }

    /// How it is connected to.
    pub fn connecting(&self) -> &Connecting {
        &self.connecting
    }

    fn counted<T>(&self, connected: Result<T, UpstreamError>) -> Result<T, UpstreamError> {
        match &connected {
            Ok(_) => self.metrics.connected(),
            Err(error) => self.metrics.connect_failed(error.reason()),
        }
        connected
    }

    /// Its answer failed, as far as that is its own doing.
    pub fn failed(&self) {
        if self.standing.failed() {
            self.metrics.ejected();
        }
    }

    /// An attempt that ended like this. Without a connection, others go first for a moment.
    pub fn blame(&self, error: &UpstreamError) {
        match (error.side(), error.unsent()) {
            (Side::Upstream, true) => {
                if self.standing.unreachable() {
                    self.metrics.ejected();
                }
            }
            (Side::Upstream, false) => self.failed(),
            (Side::Client | Side::Proxy, _) => {}
        }
    }

    /// Puts an unused connection on top of this worker's stack.
    pub fn keep(self: &Arc<Self>, connection: Box<http1::Connection>) {
        let mut kept = self.connections.mine().lock();
        let is_full = kept.idle.len() >= self.keeping.idle_connections;
        if is_full || self.connecting.proxy_protocol {
            return connection.close();
        }
        kept.idle.push(connection, self.metrics.idle());
        self.look_after(&mut kept);
    }

    /// An HTTP/2 connection of this worker has ended: it is not kept any longer.
    pub fn forget_closed(&self) {
        let mut kept = self.connections.mine().lock();
        kept.http2.take_if(|shared| shared.sender.is_closed());
    }

    /// The first HTTP/2 connection of this worker is everybody's.
    fn share(self: &Arc<Self>, sender: Sender) -> Sender {
        let Sender::Http2(sender) = sender else {
            self.speaks_http2.store(false, Ordering::Relaxed);
            return sender;
        };
        self.speaks_http2.store(true, Ordering::Relaxed);
        let mut kept = self.connections.mine().lock();
        kept.http2 = Some(Shared { sender: sender.clone(), used: Instant::now() });
        self.look_after(&mut kept);
        Sender::Http2(sender)
    }

    fn look_after(self: &Arc<Self>, kept: &mut Kept) {
        if !std::mem::replace(&mut kept.is_looked_after, true) {
            tokio::spawn(look_after(Arc::downgrade(self), self.keeping.idle_timeout));
        }
    }

    /// Closes what has been unused for too long; says whether anything is left.
    fn sweep(&self) -> bool {
        let timeout = self.keeping.idle_timeout;
        let mut kept = self.connections.mine().lock();
        kept.idle.sweep(timeout);
        kept.http2.take_if(|shared| shared.used.elapsed() >= timeout || shared.sender.is_closed());
        kept.is_looked_after = !kept.idle.is_empty() || kept.http2.is_some();
        if !kept.is_looked_after {
            kept.idle.unwatch();
        }
        kept.is_looked_after
    }

    fn watch(&self, waker: &Waker) {
        self.connections.mine().lock().idle.watch(waker);
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connect under way, however it ends.
struct Connect<'endpoint>(&'endpoint Connections);

impl Drop for Connect<'_> {
    fn drop(&mut self) {
        self.0.lock().connecting = false;
        self.0.connected.notify_waiters();
    }
}

/// Looks after the unused connections of this worker: drops those that their endpoint closes and those
/// that are here for too long, and ends when there are none.
async fn look_after(endpoint: Weak<Endpoint>, period: Duration) {
    loop {
        let watching = std::future::poll_fn(|cx| match endpoint.upgrade() {
            Some(endpoint) => {
                endpoint.watch(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        });
        // Unconstrained: however many there are, each is looked at.
        let watching = tokio::task::unconstrained(watching);
        drop(tokio::time::timeout(period, watching).await);
        let Some(endpoint) = endpoint.upgrade() else { return };
        if !endpoint.sweep() {
            return;
        }
    }
}
