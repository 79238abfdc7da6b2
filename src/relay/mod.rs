//! One byte stream between a client and an endpoint (SPEC VS-11): `mode = "passthrough"`, where TLS
//! goes through as it came, and `mode = "tcp"`, where it has ended.
//!
//! [`ways`] moves the bytes of both ways, through the kernel's [`pipe`] between two TCP sockets; an
//! HTTP connection that has become a WebSocket ends up there too. [`record`] writes metrics and one log
//! line when a stream is over. A stream survives reloads, and is cut when the process has drained for as
//! long as it may. Must not know HTTP, nor the configuration's text.

pub mod direction;
pub mod error;
pub mod pipe;
pub mod record;
pub mod side;
pub mod ways;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::names::ClientAddr;
use crate::names::ServerName;
use crate::relay::error::StreamError;
use crate::relay::record::Record;
use crate::relay::side::Side;
use crate::relay::ways::Ending;
use crate::relay::ways::Party;
use crate::relay::ways::Patience;
use crate::relay::ways::Ways;
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
    let patience = record.connection().patience();
    let moved = |received, sent| record.moved(received, sent);
    match Ways::starting_with(first).run(client, upstream, patience, moved).await {
        Ending::Broken(Party::Client, error) => Err(StreamError::Client(error)),
        Ending::Broken(Party::Upstream, error) => Err(StreamError::Upstream(error)),
        Ending::Finished(_) => Ok(()),
        Ending::Idle => Err(StreamError::Idle(patience.idle)),
        Ending::Unread => Err(StreamError::Unread(patience.unread)),
    }
}

impl Connection {
    fn patience(&self) -> Patience {
        Patience {
            idle: self.service.tunnel_idle(&self.settings),
            unread: self.settings.timeouts.response_write,
        }
    }

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
