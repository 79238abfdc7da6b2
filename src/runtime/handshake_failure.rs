//! Why a connection never reached a virtual service, and the parent's line about it (SPEC VS-7).

use std::sync::Arc;

use crate::runtime::proxy_header::Ends;
use crate::runtime::proxy_header::NoHeader;
use crate::service::VirtualService;
use crate::service::listener::Listener;
use crate::service::policy::Denial;
use crate::telemetry::app_log::JsonLine;
use crate::tls::failure::HandshakeError;
use crate::tls::hello::ClientHello;
use crate::tls::read_hello::HelloError;
use crate::tls::refusal::Refusal;

/// A connection that ended before it was established.
#[derive(Debug)]
pub struct HandshakeFailure {
    /// One stable word: the same in log, metric and test.
    reason: &'static str,
    /// What was missing, in a sentence.
    message: String,
    /// Nothing was sent at all.
    silent: bool,
    /// What the client offered, as far as it got.
    offer: Option<Box<ClientHello>>,
    /// The service that would have had the connection.
    selected: Option<Arc<VirtualService>>,
    /// It was that service which did not want it: counts and lines are that service's.
    is_denied: bool,
}

impl HandshakeFailure {
    /// The selected service's profile or certificates did not fit, or the client broke off.
    pub fn refused(
        error: &HandshakeError,
        offer: ClientHello,
        selected: Arc<VirtualService>,
    ) -> Self {
        Self::new(error.reason().as_str(), error.detail()).during(offer, selected)
    }

    /// The selected service does not want the connection.
    pub fn denied(denial: Denial, offer: ClientHello, selected: Arc<VirtualService>) -> Self {
        let failure = Self::new(denial.reason(), denial.to_string()).during(offer, selected);
        Self { is_denied: true, ..failure }
    }

    /// A name that no child owns, on a parent with `strict_sni`.
    pub fn unrecognized_name(offer: ClientHello) -> Self {
        let refusal = Refusal::unrecognized_name();
        Self { offer: Some(Box::new(offer)), ..Self::new(refusal.reason.as_str(), refusal.missing) }
    }

    /// The client was too slow.
    pub fn timeout() -> Self {
        let error = HandshakeError::TimedOut;
        Self::new(error.reason().as_str(), error.detail())
    }

    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message, silent: false, offer: None, selected: None, is_denied: false }
    }

    /// Adds what was known when the time was over.
    pub fn during(self, offer: ClientHello, selected: Arc<VirtualService>) -> Self {
        Self { offer: Some(Box::new(offer)), selected: Some(selected), ..self }
    }

    /// Counts it and writes its line, both on the parent, or both on the service that denied it.
    pub fn record(&self, ends: &Ends, listener: &Listener, parent: &VirtualService) {
        if let (Some(selected), true) = (&self.selected, self.is_denied) {
            selected.metrics.connection_refused(self.reason);
            if !selected.log.is_off() && selected.handshakes.deserves_line() {
                self.write_denied(ends, selected);
            }
            return;
        }
        listener.metrics.handshake_failed(self.reason);
        if self.silent {
            // Port probes and health checks connect and leave.
            return;
        }
        parent.log.write(|line| {
            line.str("event", "tls");
            line.str("portcullis.virtual_service", parent.name.as_str());
            if let Some(selected) = &self.selected {
                line.str("portcullis.selected", selected.name.as_str());
            }
            self.write_client(ends, line);
            line.str("error.type", self.reason);
            line.str("error.message", &self.message);
            if let Some(offer) = &self.offer {
                line.str("tls.client.offer", &offer.describe());
            }
        });
    }
}

impl HandshakeFailure {
    fn write_denied(&self, ends: &Ends, service: &VirtualService) {
        service.log.write(|line| {
            line.str("event", "connection");
            line.str("portcullis.virtual_service", service.name.as_str());
            line.opt_str(
                "portcullis.parent",
                service.parent.as_ref().map(|parent| parent.as_str()),
            );
            self.write_client(ends, line);
            line.str("error.type", self.reason);
        });
    }

    fn write_client(&self, ends: &Ends, line: &mut JsonLine<'_>) {
        line.str("client.address", &ends.client.0.ip().to_canonical().to_string());
        line.u64("client.port", ends.client.0.port().into());
        if let Some(peer) = ends.peer {
            line.str("network.peer.address", &peer.to_canonical().to_string());
        }
        let server_name = self.offer.as_deref().and_then(|offer| offer.server_name.as_ref());
        line.opt_str("tls.client.server_name", server_name.map(|name| name.as_str()));
    }
}

impl From<HelloError> for HandshakeFailure {
    fn from(error: HelloError) -> Self {
        let silent = matches!(error, HelloError::Closed);
        Self { silent, ..Self::new(error.reason().as_str(), error.to_string()) }
    }
}

impl From<NoHeader> for HandshakeFailure {
    fn from(error: NoHeader) -> Self {
        let silent = matches!(error, NoHeader::Closed);
        Self { silent, ..Self::new(error.reason(), error.to_string()) }
    }
}
