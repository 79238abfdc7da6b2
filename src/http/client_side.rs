//! Everything that stays the same on one client connection, made once and shared by its requests.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use bytes::Bytes;
use http::HeaderValue;

use crate::config::tls_profile::Alpn;
use crate::http::Connection;
use crate::http::activity::Activity;
use crate::http::client_certificate::CertificateFields;
use crate::http::forwarding::Forwarding;
use crate::http::incident::Incident;
use crate::http::tunnel::Switched;
use crate::message::Fields;
use crate::names::ClientAddr;
use crate::service::VirtualService;
use crate::service::host::Came;
use crate::service::host::Host;
use crate::service::host::Owner;
use crate::service::settings::Settings;
use crate::telemetry::app_log::JsonFragment;
use crate::telemetry::app_log::JsonLine;
use crate::upstream::Source;

/// A client connection as its requests see it.
#[derive(Debug)]
pub struct ClientSide {
    connection: Connection,
    activity: Arc<Activity>,
    address: HeaderValue,
    port: HeaderValue,
    /// The part of each log line that does not change; made for the first line that is written.
    facts: OnceLock<JsonFragment>,
    /// What an HTTP/1.1 connection becomes when the response that says so has been written.
    switched: Mutex<Option<Box<Switched>>>,
    /// The same without the addresses, for a request whose client is not who is connected.
    tls_facts: OnceLock<JsonFragment>,
    certificate: OnceLock<Box<CertificateFields>>,
    node: OnceLock<Box<str>>,
}

impl ClientSide {
    /// Renders what each request will carry.
    pub fn new(connection: Connection) -> Self {
        let mut digits = itoa::Buffer::new();
        let port = Bytes::copy_from_slice(digits.format(connection.local.port()).as_bytes());
        let address = address_text(connection.client);
        Self {
            activity: Arc::default(),
            // Digits, dots and colons are always a field value.
            address: HeaderValue::from_maybe_shared(Bytes::from(address))
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            port: HeaderValue::from_maybe_shared(port)
                .unwrap_or_else(|_| HeaderValue::from_static("0")),
            facts: OnceLock::new(),
            switched: Mutex::new(None),
            tls_facts: OnceLock::new(),
            certificate: OnceLock::new(),
            node: OnceLock::new(),
            connection,
        }
    }

    /// The service that was selected by the server name.
    pub fn service(&self) -> &Arc<VirtualService> {
        &self.connection.service
    }

    /// Whether HTTP/1.1 is spoken.
    pub fn is_http1(&self) -> bool {
        self.connection.facts.alpn == Alpn::Http1
    }

    /// What the connection is doing.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// How long and how much.
    pub fn settings(&self) -> &Settings {
        &self.connection.settings
    }

    /// The response that is about to be written makes a tunnel of this HTTP/1.1 connection.
    pub fn switches(&self, switched: Switched) {
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(switched));
        self.activity.switches();
    }

    /// The tunnel, when that response has been written.
    pub fn take_switched(&self) -> Option<Box<Switched>> {
        self.switched.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client's address as a field value, without the port.
    pub fn address(&self) -> &HeaderValue {
        &self.address
    }

    /// The port that the client connected to, as a field value.
    pub fn port(&self) -> &HeaderValue {
        &self.port
    }

    /// Where the other end of the connection is: the client, unless it is a trusted proxy.
    pub fn peer(&self) -> IpAddr {
        self.connection.client.0.ip()
    }

    /// What a trusted proxy says about a request; None: the client is who is connected. A service
    /// that trusts nobody pays nothing.
    pub fn said_by(&self, fields: &Fields, service: &VirtualService) -> Option<Box<Forwarding>> {
        Forwarding::read(fields, &service.trusted_proxies, self.peer())
    }

    /// Who a request of this client comes from, for a pool.
    pub fn source(&self, client: IpAddr) -> Source<'_> {
        let Connection { client: connected, local, facts, .. } = &self.connection;
        let server_name = facts.server_name.as_ref();
        let is_connected = client == connected.0.ip();
        let client = if is_connected { connected.0 } else { SocketAddr::new(client, 0) };
        Source { client, local: *local, server_name, facts: Some(facts) }
    }

    /// The fields that tell about the client's certificate, if it has shown one.
    pub fn certificate(&self) -> Option<&CertificateFields> {
        let facts = self.connection.facts.client_certificate.as_ref()?;
        Some(self.certificate.get_or_init(|| Box::new(CertificateFields::of(facts))))
    }

    /// The client's address and port as a node of RFC 7239, in quotes.
    pub fn node(&self) -> &str {
        let address = self.connection.client.0;
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.node.get_or_init(|| format!("\"{address}\"").into())
    }

    /// Whose request is it that asks for this host?
    pub fn owner(&self, host: Host<'_>) -> Owner {
        let facts = &self.connection.facts;
        let came = Came {
            service: &self.connection.service,
            server_name: facts.server_name.as_ref(),
            certificate: &facts.certificate,
        };
        came.owner(host, || self.connection.listener.table.snapshot())
    }

    /// The part of each log line that is the same for all requests of this connection.
    pub fn facts(&self) -> &JsonFragment {
        self.facts.get_or_init(|| JsonFragment::new(|line| self.render(line)))
    }

    /// Writes the part of a log line that is the same for all requests from one client over this
    /// connection.
    pub fn render_facts(&self, line: &mut JsonLine<'_>, client: IpAddr) {
        if client == self.peer() {
            line.raw(self.facts());
            return;
        }
        let connected = self.connection.peer.unwrap_or(self.peer());
        line.str("client.address", &client.to_string());
        line.str("network.peer.address", &connected.to_canonical().to_string());
        line.raw(self.tls_facts.get_or_init(|| JsonFragment::new(|line| self.render_tls(line))));
    }

    /// Logs and counts what is not a request but deserves a line.
    pub fn incident(&self, incident: Incident) {
        incident.record(self.service(), || self.facts());
    }

    fn render(&self, line: &mut JsonLine<'_>) {
        let Connection { client, peer, .. } = &self.connection;
        line.str("client.address", &address_text(*client));
        line.u64("client.port", u64::from(client.0.port()));
        if let Some(peer) = peer {
            line.str("network.peer.address", &peer.to_canonical().to_string());
        }
        self.render_tls(line);
    }

    fn render_tls(&self, line: &mut JsonLine<'_>) {
        let facts = &self.connection.facts;
        facts.render(line);
        line.str("tls.next_protocol", facts.alpn.as_str());
    }
}

/// The address without the port; an IPv4 client of a dual-stack socket as IPv4.
pub(super) fn address_text(client: ClientAddr) -> String {
    match client.0.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string()),
        IpAddr::V4(v4) => v4.to_string(),
    }
}
