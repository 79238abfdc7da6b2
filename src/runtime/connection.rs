//! A connection from its first byte to its last: the product in one screen.
//!
//! Read the hello; find the service in the table; shake hands as that service; serve. What goes
//! wrong before a service has the connection is the parent's to count and to log.

use std::future::Future;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::http;
use crate::http::redirect::PlainConnection;
use crate::names::ClientAddr;
use crate::runtime::farewell;
use crate::runtime::handshake_failure::HandshakeFailure;
use crate::service::VirtualService;
use crate::service::listener::Listener;
use crate::service::settings::Settings;
use crate::service::table::Matched;
use crate::service::table::Table;
use crate::telemetry::listener_metrics::Unmatched;
use crate::telemetry::service_metrics::HandshakeDone;
use crate::tls::facts::TlsFacts;
use crate::tls::read_hello::Hello;
use crate::tls::read_hello::read_hello;

/// Serves one accepted connection of a TLS listener until it closes.
pub async fn serve(stream: TcpStream, client: ClientAddr, listener: Arc<Listener>) {
    let table = listener.table.snapshot();
    // Boxed, so that an idle connection does not carry the room that a handshake needs.
    match Box::pin(handshake(stream, client, &listener, &table)).await {
        Ok(established) => {
            let settings = Arc::clone(&table.settings);
            drop(table);
            established.serve(client, listener, settings).await;
        }
        Err(failure) => failure.record(client, &listener, table.parent()),
    }
}

/// Serves one accepted connection of a plain listener: a redirect to HTTPS and nothing else.
pub async fn serve_plain(stream: TcpStream, client: ClientAddr, listener: Arc<Listener>) {
    let table = listener.table.snapshot();
    let (service, settings) = (Arc::clone(table.parent()), Arc::clone(&table.settings));
    drop(table);
    let connection = PlainConnection { client, listener, service, settings };
    Box::pin(http::redirect::serve(stream, connection)).await;
}

/// A connection that belongs to a virtual service from here on.
struct Established {
    stream: TlsStream<TcpStream>,
    facts: Box<TlsFacts>,
    service: Arc<VirtualService>,
}

impl Established {
    /// Not an `async fn`: its parts would be in the future twice, as arguments and in the box.
    fn serve(
        self: Box<Self>,
        client: ClientAddr,
        listener: Arc<Listener>,
        settings: Arc<Settings>,
    ) -> Pin<Box<impl Future<Output = ()> + use<>>> {
        let Self { stream, facts, service } = *self;
        let local = stream.get_ref().0.local_addr().unwrap_or(UNKNOWN);
        let open = service.metrics.connection_opened();
        let connection = http::Connection { client, local, facts, service, listener, settings };
        Box::pin(async move {
            http::serve(stream, connection).await;
            drop(open);
        })
    }
}

async fn handshake(
    mut stream: TcpStream,
    client: ClientAddr,
    listener: &Listener,
    table: &Table,
) -> Result<Box<Established>, HandshakeFailure> {
    let accepted = Instant::now();
    let timeouts = &table.settings.timeouts;

    let read = within(accepted + timeouts.client_hello, read_hello(&mut stream)).await?;
    let hello = match read {
        Ok(hello) => hello,
        Err(error) => {
            farewell::to_hello(stream, &error).await;
            return Err(error.into());
        }
    };

    let service = match select(listener, &hello) {
        Ok(service) => service,
        Err(failure) => {
            farewell::unrecognized_name(stream).await;
            return Err(failure);
        }
    };

    let finished = accepted + timeouts.handshake;
    let (stream, facts) = match within(finished, service.tls.accept(stream, &hello)).await {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => return Err(HandshakeFailure::refused(&error, hello.offer, service)),
        Err(timeout) => return Err(timeout.during(hello.offer, service)),
    };
    count(&service, &facts, accepted.elapsed());
    tracing::trace!(%client, service = %service.name, "established");
    Ok(Box::new(Established { stream, facts, service }))
}

/// The child that owns the server name; else the parent, unless it refuses names it does not know.
fn select(listener: &Listener, hello: &Hello) -> Result<Arc<VirtualService>, HandshakeFailure> {
    let table = listener.table.current();
    let found = table.find(hello.offer.server_name.as_ref());
    match found.matched {
        Matched::Child => return Ok(Arc::clone(found.service)),
        Matched::Absent => listener.metrics.sni_unmatched(Unmatched::Absent),
        Matched::Unknown => listener.metrics.sni_unmatched(Unmatched::Unknown),
    }
    if found.matched == Matched::Unknown && table.strict_sni {
        return Err(HandshakeFailure::unrecognized_name(hello.offer.clone()));
    }
    Ok(Arc::clone(found.service))
}

fn count(service: &VirtualService, facts: &TlsFacts, duration: Duration) {
    service.metrics.handshake(&HandshakeDone {
        version: facts.version,
        cipher: facts.cipher,
        group: facts.group,
        key_type: facts.key_type.as_str(),
        resumed: facts.resumed,
        pfs: facts.pfs,
        duration,
    });
    if facts.expired {
        service.metrics.expired_served();
    }
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, HandshakeFailure> {
    time::timeout_at(deadline, work).await.map_err(|_| HandshakeFailure::timeout())
}

/// The address of a socket whose peer has reset it.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::fixture;
    use crate::telemetry::listener_metrics::ListenerMetrics;

    /// Multiplied by every idle connection.
    #[tokio::test]
    async fn the_task_of_a_connection_is_small() {
        let table = Arc::new(fixture::table(fixture::service("front", &[]), &[]));
        let name: crate::names::VirtualServiceName = "front".parse().unwrap();
        let metrics = ListenerMetrics::new(&fixture::recorder(), &name);
        let listener = Arc::new(Listener::new(name, table, metrics));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let client = ClientAddr(stream.local_addr().unwrap());
        let task = serve(stream, client, listener);
        assert!(size_of_val(&task) <= 512, "{} bytes", size_of_val(&task));
    }
}
