//! One request and its response, as metrics and the application log see it (SPEC VS-7, VS-9).
//!
//! Created when the head of the request is there, written when it is dropped: however an exchange
//! ends, it is counted once and logged once, on the service that served it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::Uri;
use http::Version;
use http::header;
use hyper::body::Body;
use tokio::time::Instant;

use crate::http::client_side::ClientSide;
use crate::http::error::ForwardError;
use crate::http::forwarding::Forwarding;
use crate::http::gate::AdmittedHost;
use crate::http::identity::Identity;
use crate::message::Fields;
use crate::message::Request;
use crate::service::VirtualService;
use crate::telemetry::app_log::JsonLine;
use crate::telemetry::service_metrics::ActiveRequest;
use crate::telemetry::service_metrics::Protocol;
use crate::telemetry::service_metrics::RequestDone;
use crate::upstream::Trace;
use crate::upstream::body::Progress;

/// What is known so far. It keeps what it needs of the request by reference count.
#[derive(Debug)]
pub struct Exchange {
    client: Arc<ClientSide>,
    /// A sibling that serves the request in place of the connection's service.
    sibling: Option<Arc<VirtualService>>,
    began: Instant,
    version: Version,
    method: Method,
    uri: Uri,
    /// Errors are told as gRPC tells them.
    is_grpc: bool,
    /// The line of a success is kept.
    is_sampled: bool,
    /// The service's gauge knows of it.
    active: Option<ActiveRequest>,
    host: Option<AdmittedHost>,
    /// The place of the rule that applies.
    rule: Option<usize>,
    /// It was on its way to a pool.
    has_asked: bool,
    /// What a trusted proxy said; None: the client is who is connected.
    forwarding: Option<Box<Forwarding>>,
    identity: Option<Identity>,
    /// What happens on the upstream side.
    pub trace: Trace,
    received: Option<Arc<Progress>>,
    sent: u64,
    /// Bytes of a tunnel that the exchange became, and why it ended.
    tunnelled: Option<(u64, &'static str)>,
    /// When it became one.
    switched: Option<Duration>,
    /// 0: none was sent.
    status: u16,
    reason: Option<&'static str>,
    has_ended: bool,
}

impl Exchange {
    /// A request's head has come.
    pub fn begin<B: Body>(client: Arc<ClientSide>, request: &Request<B>) -> Box<Self> {
        client.activity().exchange_began();
        let has_body = !request.body().is_end_stream();
        Box::new(Self {
            is_sampled: false,
            active: None,
            sibling: None,
            began: Instant::now(),
            version: request.version(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            // A call always has a body.
            is_grpc: has_body && is_grpc(request.fields()),
            host: None,
            rule: None,
            has_asked: false,
            forwarding: None,
            identity: None,
            trace: Trace::default(),
            received: None,
            sent: 0,
            tunnelled: None,
            switched: None,
            status: 0,
            reason: None,
            has_ended: false,
            client,
        })
    }

    /// The service that serves it.
    pub fn service(&self) -> &Arc<VirtualService> {
        self.sibling.as_ref().unwrap_or_else(|| self.client.service())
    }

    /// The host has been checked.
    pub fn for_host(&mut self, host: AdmittedHost) {
        self.host = Some(host);
    }

    /// The host that was asked for, once it has been checked.
    pub fn host(&self) -> Option<&AdmittedHost> {
        self.host.as_ref()
    }

    /// When the head of the request was there.
    pub fn began(&self) -> std::time::Instant {
        self.began.into_std()
    }

    /// The service's policy has found a rule for it, or none.
    pub fn applies(&mut self, rule: Option<usize>) {
        self.rule = rule;
    }

    /// The place of the rule that applies.
    pub fn rule(&self) -> Option<usize> {
        self.rule
    }

    /// It goes to a pool.
    pub fn asks(&mut self) {
        self.has_asked = true;
    }

    /// Whether more came of the request's body than the service takes.
    pub fn has_overrun(&self) -> bool {
        self.received.as_ref().is_some_and(|progress| progress.has_overrun())
    }

    /// It is clear who serves it, the connection's service or a sibling: counts and lines are that
    /// service's.
    pub fn served_by(&mut self, sibling: Option<Arc<VirtualService>>) {
        self.sibling = sibling;
        self.count();
        self.is_sampled = self.service().log.keeps_success();
    }

    /// What a trusted proxy said about where it comes from.
    pub fn comes_from(&mut self, forwarding: Option<Box<Forwarding>>) {
        self.forwarding = forwarding;
    }

    /// What a trusted proxy said about where it comes from.
    pub fn forwarding(&self) -> Option<&Forwarding> {
        self.forwarding.as_deref()
    }

    /// Who it comes from: who is connected, or whom trusted proxies name.
    pub fn client(&self) -> IpAddr {
        self.forwarding.as_ref().map_or_else(|| self.client.peer(), |said| said.client)
    }

    /// Its id and trace.
    pub fn identified(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Whether the line is kept if all goes well.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// Where the bytes of the request's body are counted.
    pub fn receives(&mut self, progress: Option<Arc<Progress>>) {
        self.received = progress;
    }

    /// Whether the request is a gRPC call.
    pub fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// Whether the response has no body whatever its fields say.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The status that is on its way to the client.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
        if status == SWITCHED {
            self.switched = Some(self.began.elapsed());
        }
    }

    /// The request was not served.
    pub fn refused(&mut self, error: &ForwardError) {
        self.failed(error.reason());
        if matches!(error, ForwardError::HostMismatch) {
            self.service().metrics.host_mismatch();
        }
    }

    /// The first thing that goes wrong is what is counted and logged.
    pub fn failed(&mut self, reason: &'static str) {
        self.reason.get_or_insert(reason);
    }

    /// The response broke off; what was done to the endpoint's connection is not its fault.
    pub fn broke_off(&mut self, reason: &'static str) {
        let fault = self.received.as_ref().and_then(|progress| progress.client_reason());
        self.failed(fault.unwrap_or(reason));
    }

    /// Bytes of the response's body are on their way.
    pub fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// All of the response is on its way.
    pub fn response_ended(&mut self) {
        self.has_ended = true;
    }

    /// It became a tunnel, which has ended. Nobody's failure, but said in its line.
    pub fn tunnelled(&mut self, received: u64, sent: u64, end: &'static str) {
        self.sent += sent;
        self.tunnelled = Some((received, end));
    }

    fn count(&mut self) {
        if self.active.is_none() {
            self.active = Some(self.service().metrics.request_started());
        }
    }

    fn done(&self) -> RequestDone {
        let is_http2 = self.version == Version::HTTP_2;
        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
        RequestDone {
            protocol,
            status: if self.status == 0 { CLIENT_CLOSED } else { self.status },
            // How long a tunnel lasted says nothing about how fast it was opened.
            duration: self.switched.unwrap_or_else(|| self.began.elapsed()),
            upstream: self.trace.first_byte,
            received: match self.tunnelled {
                Some((bytes, _)) => bytes,
                None => self.received.as_ref().map_or(0, |progress| progress.bytes()),
            },
            sent: self.sent,
        }
    }

    fn render(&self, line: &mut JsonLine<'_>, done: &RequestDone) {
        let service = self.service();
        head(line, service, "http");
        self.client.render_facts(line, self.client());
        line.str("http.request.method", self.method.as_str());
        let host = self.host.as_ref().map(AdmittedHost::host);
        line.opt_str("server.address", host.as_ref().map(|host| host.name));
        line.str("url.path", self.uri.path());
        let status = Some(self.status).filter(|status| *status != 0);
        line.opt_u64("http.response.status_code", status.map(u64::from));
        line.u64("http.request.body.size", done.received);
        line.u64("http.response.body.size", done.sent);
        line.str("network.protocol.version", version_text(self.version));
        line.opt_u64("portcullis.duration_us.upstream_connect", self.trace.connect.map(micros));
        line.opt_u64("portcullis.duration_us.first_byte", self.trace.first_byte.map(micros));
        line.u64("portcullis.duration_us.total", micros(self.began.elapsed()));
        line.opt_u64("portcullis.rule", self.rule.map(|rule| rule as u64 + 1));
        // A request that was refused before has asked no pool.
        if let (Some(pool), true) = (service.pool(self.rule), self.has_asked) {
            line.str("portcullis.pool", pool.name.as_str());
        }
        if let Some(endpoint) = &self.trace.endpoint {
            line.str("portcullis.endpoint", endpoint.label());
            line.u64("portcullis.retries", u64::from(self.trace.retries));
        }
        if let Some(identity) = &self.identity {
            line.opt_str("portcullis.request_id", identity.request_id.to_str().ok());
            line.str("trace_id", identity.trace_id());
        }
        line.opt_str("portcullis.tunnel_end", self.tunnelled.map(|(_, end)| end));
        line.opt_str("error.type", self.reason);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.has_ended {
            // The body, or the request's future, was dropped, because the client left.
            self.failed("client_closed");
        }
        self.count();
        let done = self.done();
        let service = self.service();
        service.metrics.request(&done);
        if let Some(reason) = self.reason {
            service.metrics.request_failed(reason);
        }
        let is_kept = self.is_sampled || self.reason.is_some() || self.status >= 500;
        if is_kept && !service.log.is_off() {
            service.log.write(|line| self.render(line, &done));
        }
        self.client.activity().exchange_ended();
    }
}

/// What every line begins with.
pub(super) fn head(line: &mut JsonLine<'_>, service: &VirtualService, event: &str) {
    line.str("event", event);
    line.str("portcullis.virtual_service", service.name.as_str());
    line.opt_str("portcullis.parent", service.parent.as_ref().map(|parent| parent.as_str()));
}

pub(super) fn is_grpc(fields: &Fields) -> bool {
    let content_type = fields.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

pub(super) fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Switching Protocols.
const SWITCHED: u16 = 101;

/// How metrics count a client that left before the head of the response, as nginx does.
const CLIENT_CLOSED: u16 = 499;
