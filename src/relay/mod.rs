//! One byte stream between a client and an endpoint (SPEC VS-11): `mode = "passthrough"`, where TLS
//! goes through as it came, and `mode = "tcp"`, where it has ended.
//!
//! [`direction`] moves the bytes of one way, through the kernel's [`pipe`] between two TCP sockets;
//! [`record`] writes metrics and one log line when a stream is over. A stream survives reloads, and is
//! cut when the process has drained for as long as it may. Must not know HTTP, nor the
//! configuration's text.

pub mod direction;
pub mod error;
pub mod pipe;
pub mod record;
pub mod side;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time;
use tokio::time::Instant;

use crate::names::ClientAddr;
use crate::names::ServerName;
use crate::relay::direction::Direction;
use crate::relay::error::StreamError;
use crate::relay::record::Record;
use crate::relay::side::Side;
use crate::service::Target;
use crate::service::VirtualService;
use crate::service::settings::Settings;
use crate::tls::facts::TlsFacts;
use crate::upstream::Source;

/// A client connection whose bytes are relayed.
#[derive(Debug)]
pub struct Connection {
    /// Where the client is.
    pub client: ClientAddr,
    /// Who really connected, where a PROXY protocol header said that it is not the client.
    pub peer: Option<IpAddr>,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// What it asked for in its ClientHello.
    pub server_name: Option<ServerName>,
    /// What the handshake agreed on; None where TLS passes through.
    pub facts: Option<Box<TlsFacts>>,
    /// The service that was selected; the connection keeps it until it closes.
    pub service: Arc<VirtualService>,
    /// Bounds.
    pub settings: Arc<Settings>,
}

/// Relays a connection until both ends have finished. `first` is what was read from the client
/// already. Dropping the future cuts the connection.
pub async fn serve(mut client: Side, first: Vec<u8>, connection: Connection) {
    let mut record = Record::begin(connection);
    let service = Arc::clone(&record.connection().service);
    let Target::Pool(pool) = &service.target else {
        return record.ended(Err(StreamError::NoPool));
    };
    let (source, trace) = record.connecting();
    // Boxed, so that a stream does not carry the room that a handshake with an endpoint needs.
    let stream = match Box::pin(pool.open_stream(source, trace)).await {
        Ok(stream) => stream,
        Err(error) => return record.ended(Err(StreamError::Connect(error))),
    };
    // What counts the stream at the endpoint stays in `stream` until it is over.
    let mut upstream = Side::from(stream.io);
    let ended = relay(&mut client, &mut upstream, first, &mut record).await;
    if matches!(ended, Err(StreamError::Client(_))) {
        // An upload that broke off must not look like one that is complete.
        upstream.abort();
    }
    record.ended(ended);
}

async fn relay(
    client: &mut Side,
    upstream: &mut Side,
    first: Vec<u8>,
    record: &mut Record,
) -> Result<(), StreamError> {
    let idle = record.connection().settings.timeouts.tunnel_idle;
    let mut requests = Direction::starting_with(first);
    let mut responses = Direction::default();
    let mut silence = Silence { since: Instant::now(), limit: idle };
    let mut timer = pin!(time::sleep(idle));
    poll_fn(|cx| {
        let received = requests.poll(cx, client, upstream);
        let sent = responses.poll(cx, upstream, client);
        if record.moved(requests.delivered(), responses.delivered()) {
            silence.since = Instant::now();
        }
        let received = received.map_err(StreamError::of_request)?;
        let sent = sent.map_err(StreamError::of_response)?;
        if received.is_ready() && sent.is_ready() {
            return Poll::Ready(Ok(()));
        }
        while timer.as_mut().poll(cx).is_ready() {
            match silence.ends() {
                Some(later) => timer.as_mut().reset(later),
                None => return Poll::Ready(Err(StreamError::Idle(idle))),
            }
        }
        Poll::Pending
    })
    .await
}

/// How long nothing has moved. The timer is not touched for each byte: when it rings, it is set to
/// where it should be.
struct Silence {
    since: Instant,
    limit: Duration,
}

impl Silence {
    /// When it will have been too long; None: it has.
    fn ends(&self) -> Option<Instant> {
        let end = self.since + self.limit;
        (end > Instant::now()).then_some(end)
    }
}

impl Connection {
    /// Who the stream comes from, for a pool.
    fn source(&self) -> Source<'_> {
        Source {
            client: self.client.0,
            local: self.local,
            server_name: self.server_name.as_ref(),
            facts: self.facts.as_deref(),
        }
    }
}
