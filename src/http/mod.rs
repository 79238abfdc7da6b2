//! One HTTP connection of a client, and each of its requests on its way to a pool and back.
//!
//! In the order a request travels: [`http1`] or [`http2`] and [`stream`] read it, [`forward`] is the
//! recipe, the [`gate`] refuses what is no proper request, [`fields`] edits the head, [`policy`] applies
//! the service's rules, the pool sends it, [`body`] streams what comes back, and [`exchange`] writes
//! metrics and one log line when it is dropped. A WebSocket goes on as a [`tunnel`]. What the proxy
//! answers by itself is in [`answer`]. Must not know sockets or the configuration's text.
//!
//! `100 Continue` is sent to the client by the proxy itself, as soon as the endpoint's connection asks
//! for the body. Other responses with a 1xx status of HTTP/1.1 endpoints, Early Hints above all, are
//! passed on ([`interim`]) as long as no final response has begun; those of HTTP/2 endpoints are
//! dropped, because hyper's client does not tell of them.

pub mod activity;
pub mod answer;
pub mod body;
pub mod client_certificate;
pub mod client_side;
pub mod clock;
pub mod date;
pub mod error;
pub mod exchange;
pub mod fields;
pub mod forward;
pub mod forwarded_field;
pub mod forwarding;
pub mod gate;
pub mod http1;
pub mod http2;
pub mod identity;
pub mod incident;
pub mod interim;
pub mod plain_line;
pub mod policy;
pub mod redirect;
pub mod stream;
pub mod stream_io;
pub mod tunnel;
pub mod websocket;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Version;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::config::tls_profile::Alpn;
use crate::http::body::ResponseBody;
use crate::http::client_side::ClientSide;
use crate::http::http1::Finish;
use crate::http::incident::Incident;
use crate::message::Request;
use crate::message::Response;
use crate::names::ClientAddr;
use crate::service::Listener;
use crate::service::VirtualService;
use crate::service::settings::Settings;
use crate::tls::facts::TlsFacts;
use crate::upstream::RequestBody;

/// A client connection after its handshake: what HTTP needs to know about it.
#[derive(Debug)]
pub struct Connection {
    /// Where the client is.
    pub client: ClientAddr,
    /// Who really connected, where a PROXY protocol header said that it is not the client.
    pub peer: Option<IpAddr>,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// What the handshake agreed on.
    pub facts: Box<TlsFacts>,
    /// The service that was selected; the connection keeps it until it closes.
    pub service: Arc<VirtualService>,
    /// Where it was accepted; its table is asked when a host is not the server name.
    pub listener: Arc<Listener>,
    /// Bounds.
    pub settings: Arc<Settings>,
}

/// Serves a connection until it closes. Ends by itself when the service is retired; dropping the
/// future cuts the connection.
///
/// Must be driven by one task: it registers its wake-ups once.
pub async fn serve<IO>(mut io: IO, connection: Connection)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let protocol = connection.facts.alpn;
    let client = Arc::new(ClientSide::new(connection));
    if client.service().serves_nothing() {
        client.incident(Incident::NoPool);
        // The peer may be gone already; there is nobody left to tell.
        drop(io.shutdown().await);
        return;
    }
    match protocol {
        Alpn::Http1 => {
            let on_request = {
                let client = Arc::clone(&client);
                move |request| respond_http1(Arc::clone(&client), request)
            };
            let service = client.service();
            let bounds = http1::Bounds {
                activity: client.activity(),
                settings: client.settings(),
                retirement: &service.retirement,
                dressed_by: Some(service),
            };
            match http1::serve(io, bounds, on_request).await {
                Finish::HeadTimeout => client.incident(Incident::HeadTimeout),
                Finish::Malformed(bad) => client.incident(Incident::Malformed(bad)),
                Finish::Stalled => client.incident(Incident::WriteTimeout),
                Finish::Switched(io, first) => {
                    if let Some(switched) = client.take_switched() {
                        // Boxed: hardly any connection becomes a tunnel.
                        Box::pin(switched.relay(io, first, &client)).await;
                    }
                }
                Finish::Closed => {}
            }
        }
        Alpn::Http2 => {
            if let Some(fault) = http2::serve(io, &client).await {
                client.incident(Incident::Http2(fault));
            }
        }
    }
}

/// A request over HTTP/1.1. Clients of HTTP/1.0 know no interim responses (RFC 9110, section 15.2).
async fn respond_http1(
    client: Arc<ClientSide>,
    request: Request<RequestBody>,
) -> Result<Response<ResponseBody>, Infallible> {
    let interims = Arc::clone(client.activity().interims());
    let hearing = (request.version() == Version::HTTP_11).then(|| interims.begin());
    let mut response = forward::respond(Arc::clone(&client), request, hearing).await;
    interims.end();
    if let Some(switched) = response.body_mut().take_switched() {
        client.switches(switched);
    }
    Ok(response)
}
