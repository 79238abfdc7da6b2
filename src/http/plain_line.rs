//! What an exchange on a plain listener leaves behind: its counts and its line, on the service that
//! answered. The same names and words as over TLS, without what only TLS has.

use std::net::IpAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use crate::http::client_side;
use crate::http::exchange;
use crate::http::gate::AdmittedHost;
use crate::message::Request;
use crate::message::Response;
use crate::names::ClientAddr;
use crate::service::VirtualService;
use crate::telemetry::app_log::JsonFragment;
use crate::telemetry::service_metrics::Protocol;
use crate::telemetry::service_metrics::RequestDone;

/// The client of a plain connection.
#[derive(Debug)]
pub struct PlainClient {
    address: ClientAddr,
    peer: Option<IpAddr>,
    /// The part of each line that does not change; made for the first line that is written.
    facts: OnceLock<JsonFragment>,
}

/// A request that has been answered.
#[derive(Debug)]
pub struct PlainExchange<'a, B> {
    /// Its head, as it was admitted.
    pub request: &'a Request<B>,
    /// The host, where there was one.
    pub host: Option<AdmittedHost>,
    /// What was wrong.
    pub reason: Option<&'static str>,
    /// When the head was there.
    pub began: Instant,
}

impl PlainClient {
    /// Nothing is rendered before there is a line.
    pub fn new(address: ClientAddr, peer: Option<IpAddr>) -> Self {
        Self { address, peer, facts: OnceLock::new() }
    }

    /// The part of each line that is the same for all of this connection.
    pub fn facts(&self) -> &JsonFragment {
        self.facts.get_or_init(|| {
            JsonFragment::new(|line| {
                line.str("client.address", &client_side::address_text(self.address));
                line.u64("client.port", u64::from(self.address.0.port()));
                if let Some(peer) = self.peer {
                    line.str("network.peer.address", &peer.to_canonical().to_string());
                }
                line.str("url.scheme", "http");
            })
        })
    }

    /// Counts an answer and writes its line.
    pub fn record<B>(
        &self,
        by: &VirtualService,
        exchange: &PlainExchange<'_, B>,
        response: &Response<Bytes>,
    ) {
        let PlainExchange { request, host, reason, began } = exchange;
        let is_head = request.method() == Method::HEAD;
        let done = RequestDone {
            protocol: Protocol::Http1,
            status: response.status().as_u16(),
            duration: began.elapsed(),
            upstream: None,
            received: 0,
            sent: if is_head { 0 } else { response.body().len() as u64 },
        };
        by.metrics.request(&done);
        if let Some(reason) = reason {
            by.metrics.request_failed(reason);
        } else if !by.log.keeps_success() {
            return;
        }
        by.log.write(|line| {
            exchange::head(line, by, "http");
            line.raw(self.facts());
            line.str("http.request.method", request.method().as_str());
            let host = host.as_ref().map(AdmittedHost::host);
            line.opt_str("server.address", host.as_ref().map(|host| host.name));
            line.str("url.path", request.uri().path());
            line.u64("http.response.status_code", u64::from(done.status));
            line.u64("http.response.body.size", done.sent);
            line.str("network.protocol.version", exchange::version_text(request.version()));
            line.u64("portcullis.duration_us.total", exchange::micros(done.duration));
            line.opt_str("error.type", *reason);
        });
    }
}
