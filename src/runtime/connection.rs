//! A connection from its first byte to its last: the product in one screen.
//!
//! Read the PROXY header, if one is due, and the hello; find the service in the table; shake hands as
//! that service, or leave that to whom the bytes are relayed to; serve. What goes wrong before a
//! service has the connection is the parent's to count and to log.
//!
//! No state is without an end (SPEC PX-5). What comes before the first request:
//!
//! | state | ends by | the client gets | reason |
//! |---|---|---|---|
//! | PROXY header | `timeouts.client_hello` | close | `proxy_header_missing` |
//! | hello, bytes that drip in too | `timeouts.client_hello` | close | `timeout` |
//! | address or rate not wanted | at once | close | `address_denied`, `connection_rate_limited` |
//! | too many handshakes | at once | close | `handshake_limit`, `handshake_rate` |
//! | waiting for its turn, and all flights | `timeouts.handshake` | close | `timeout` |
//! | the key is in a token: too many wait | at once | alert | `signing_queue_full` |
//! | waiting to begin to sign | `hsm.sign_timeout` | alert | `signing_timeout` |
//! | the token makes no signature | `hsm.sign_timeout` | alert (TLS 1.2), close | `signing_timeout`, `signing_failed` |
//! | last words of a refusal | 1 s to take them, 1 s to leave | alert | that of the refusal |
//! | stream, both ends silent | `tunnel_idle` | close | `tunnel_idle` |
//! | stream, client takes nothing | `timeouts.response_write` | close | `client_write_timeout` |

use std::future::Future;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time;
use tokio::time::Instant;

use crate::config::virtual_service::Mode;
use crate::hsm::SignError;
use crate::hsm::lane::Ended;
use crate::hsm::lane::Signs;
use crate::http;
use crate::http::redirect::PlainConnection;
use crate::relay;
use crate::relay::side::Side;
use crate::runtime::farewell;
use crate::runtime::handshake_failure::HandshakeFailure;
use crate::runtime::prefixed::Prefixed;
use crate::runtime::proxy_header;
use crate::runtime::proxy_header::Ends;
use crate::runtime::proxy_header::NoHeader;
use crate::runtime::turns::Line;
use crate::runtime::turnstile::Turn;
use crate::service::VirtualService;
use crate::service::listener::Listener;
use crate::service::settings::Settings;
use crate::service::table::Matched;
use crate::service::table::Table;
use crate::telemetry::listener_metrics::Unmatched;
use crate::telemetry::service_metrics::HandshakeDone;
use crate::tls::acceptor::Chosen;
use crate::tls::acceptor::unix_now;
use crate::tls::alert;
use crate::tls::alert::Alert;
use crate::tls::choose::Rule;
use crate::tls::choose::Unfit;
use crate::tls::facts::TlsFacts;
use crate::tls::failure::HandshakeError;
use crate::tls::read_hello::Hello;
use crate::tls::read_hello::read_hello_after;
use crate::tls::refusal::Refusal;
use crate::tls::stream::TlsStream;

/// Serves one accepted connection of a TLS listener until it closes.
pub async fn serve(stream: TcpStream, mut ends: Ends, listener: Arc<Listener>) {
    let table = listener.table.snapshot();
    // Boxed, so that an idle connection does not carry the room that a handshake needs.
    match Box::pin(handshake(stream, &mut ends, &listener, &table)).await {
        Ok(established) => {
            let settings = Arc::clone(&table.settings);
            drop(table);
            established.serve(ends, listener, settings).await;
        }
        Err(failure) => failure.record(&ends, &listener, table.parent()),
    }
}

/// Serves one accepted connection of a plain listener: a redirect to HTTPS and nothing else.
pub async fn serve_plain(mut stream: TcpStream, mut ends: Ends, listener: Arc<Listener>) {
    let table = listener.table.snapshot();
    let (service, settings) = (Arc::clone(table.parent()), Arc::clone(&table.settings));
    let begun = Box::pin(begin(&mut stream, &mut ends, &table, Instant::now())).await;
    drop(table);
    let first = match begun {
        Ok(first) => first,
        Err(failure) => return failure.record(&ends, &listener, &service),
    };
    let Ends { client, peer, .. } = ends;
    let connection = PlainConnection { client, peer, listener, service, settings };
    Box::pin(http::redirect::serve(Prefixed::new(first, stream), connection)).await;
}

/// A connection that belongs to a virtual service from here on.
struct Established {
    carrier: Carrier,
    service: Arc<VirtualService>,
}

/// What its bytes come from.
enum Carrier {
    /// The client's own, of which the hello has been read.
    Passthrough(TcpStream, Box<Hello>),
    /// TLS that has ended here.
    Tls(Box<TlsStream<TcpStream>>, Box<TlsFacts>),
}

impl Established {
    /// Not an `async fn`: its parts would be in the future twice, as arguments and in the box.
    fn serve(
        self,
        ends: Ends,
        listener: Arc<Listener>,
        settings: Arc<Settings>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Self { carrier, service } = self;
        let open = service.metrics.connection_opened();
        let Ends { client, peer, local } = ends;
        let (side, first, server_name, facts) = match carrier {
            Carrier::Tls(stream, facts) if service.mode == Mode::Http => {
                let connection =
                    http::Connection { client, peer, local, facts, service, listener, settings };
                return Box::pin(async move {
                    http::serve(stream, connection).await;
                    drop(open);
                });
            }
            Carrier::Tls(stream, facts) => {
                let server_name = facts.server_name.clone();
                (Side::Other(stream), Vec::new(), server_name, Some(facts))
            }
            Carrier::Passthrough(stream, hello) => {
                let Hello { offer, bytes } = *hello;
                (Side::Tcp(stream), bytes, offer.server_name, None)
            }
        };
        let connection =
            relay::Connection { client, peer, local, server_name, facts, service, settings };
        Box::pin(async move {
            relay::serve(side, first, connection).await;
            drop(open);
        })
    }
}

async fn handshake(
    mut stream: TcpStream,
    ends: &mut Ends,
    listener: &Listener,
    table: &Table,
) -> Result<Established, HandshakeFailure> {
    let accepted = Instant::now();
    let timeouts = &table.settings.timeouts;

    let first = begin(&mut stream, ends, table, accepted).await?;
    let reading = read_hello_after(&mut stream, first);
    let hello = match within(accepted + timeouts.client_hello, reading).await? {
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
    if let Err(denial) = service.admits(ends.client.0.ip()) {
        return Err(HandshakeFailure::denied(denial, hello.offer, service));
    }
    if service.mode == Mode::Passthrough {
        let carrier = Carrier::Passthrough(stream, Box::new(hello));
        return Ok(Established { carrier, service });
    }

    let finished = accepted + timeouts.handshake;
    let shaken = match service.handshakes.begin() {
        Ok(_under_way) => within(finished, shake_hands(stream, &hello, &service)).await,
        Err(denial) => {
            return Err(HandshakeFailure::denied(denial, hello.offer, Arc::clone(&service)));
        }
    };
    let (stream, facts) = match shaken {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => return Err(HandshakeFailure::refused(&error, hello.offer, service)),
        Err(timeout) => return Err(timeout.during(hello.offer, service)),
    };
    count(&service, &facts, accepted.elapsed());
    tracing::trace!(client = %ends.client, service = %service.name, "established");
    Ok(Established { carrier: Carrier::Tls(stream, facts), service })
}

/// The handshake: here, or where it may wait for a token.
async fn shake_hands(
    mut stream: TcpStream,
    hello: &Hello,
    service: &Arc<VirtualService>,
) -> Shaken {
    let mut chosen = service.tls.choose(&hello.offer, unix_now());
    let Some(group) = chosen.as_mut().ok().and_then(|chosen| chosen.group.take()) else {
        return by_turns(stream, hello, service, chosen).await;
    };
    let _counted = group.handshake();
    let Ok(admitted) = group.lane().admit() else {
        return refuse_signing(&mut stream, group.refused_for_queue()).await;
    };
    let (service, hello, of) = (Arc::clone(service), hello.clone(), Arc::clone(&group));
    let signs = match &chosen {
        Ok(chosen) if chosen.negotiation.needs_hello_retry => Signs::Later,
        Ok(_) | Err(_) => Signs::Now,
    };
    let shaken = admitted.run(async move |mut place| {
        let first = place.comes_before(end_of(&stream));
        match time::timeout(of.config().sign_timeout, first).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())),
            Err(_) => return refuse_signing(&mut stream, of.refused_for_time()).await,
        }
        place.holding(signs, Box::pin(service.tls.accept(stream, &hello, chosen))).await
    });
    let closed = || HandshakeError::Signing(SignError::Closed { hsm: group.name().to_string() });
    shaken.await.unwrap_or_else(|Ended| Err(closed()))
}

/// Nothing has been sent: the client hears whose fault it is.
async fn refuse_signing(stream: &mut TcpStream, error: SignError) -> Shaken {
    let _ = alert::deliver(stream, &Alert::InternalError.record()).await;
    Err(HandshakeError::Signing(error))
}

/// The handshake, when others of this worker have had their turns too.
async fn by_turns(
    stream: TcpStream,
    hello: &Hello,
    service: &Arc<VirtualService>,
    chosen: Result<Chosen, Refusal>,
) -> Shaken {
    let mut turn = Turn::at(Line(Arc::as_ptr(service).addr()));
    if turn.comes_before(end_of(&stream)).await.is_err() {
        return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    // Boxed: it is large, and each future around it would have room for it twice.
    turn.by_turns(Box::pin(service.tls.accept(stream, hello, chosen))).await
}

type Shaken = Result<(Box<TlsStream<TcpStream>>, Box<TlsFacts>), HandshakeError>;

/// When a client leaves that has nothing more to say.
async fn end_of(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        // Behind these bytes nothing can be seen.
        Ok(_) => pending().await,
    }
}

/// Reads the PROXY protocol header of those who send one. Gives back what came behind it.
async fn begin(
    stream: &mut TcpStream,
    ends: &mut Ends,
    table: &Table,
    accepted: Instant,
) -> Result<Vec<u8>, HandshakeFailure> {
    if !table.expects_proxy_protocol(ends.client.0.ip()) {
        return Ok(Vec::new());
    }
    let deadline = accepted + table.settings.timeouts.client_hello;
    let read = time::timeout_at(deadline, proxy_header::read(stream, *ends)).await;
    let (told, first) = read.unwrap_or(Err(NoHeader::TimedOut))?;
    *ends = told;
    Ok(first)
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
    if let (Rule::Instead(unfit @ (Unfit::CannotSign | Unfit::OutOfDate)), false) =
        (facts.rule, facts.resumed)
    {
        service.metrics.certificate_fell_back(unfit.as_str());
    }
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, HandshakeFailure> {
    time::timeout_at(deadline, work).await.map_err(|_| HandshakeFailure::timeout())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ClientAddr;
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
        let ends = Ends::of(&stream, client, None);
        let task = serve(stream, ends, listener);
        assert!(size_of_val(&task) <= 512, "{} bytes", size_of_val(&task));
    }
}
