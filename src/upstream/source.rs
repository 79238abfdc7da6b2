//! Who a request or a stream comes from, as far as a pool cares.

use std::net::SocketAddr;

use crate::names::ServerName;
use crate::tls::facts::TlsFacts;

/// For hashes, and for the PROXY protocol header to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The client, as it is believed to be: behind trusted proxies, not the address that connected.
    pub client: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// What it asked for in its ClientHello.
    pub server_name: Option<&'a ServerName>,
    /// What its TLS handshake agreed on; None where TLS does not end here.
    pub facts: Option<&'a TlsFacts>,
}
