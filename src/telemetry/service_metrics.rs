//! The handles of one virtual service, parent or child, for what happens after it is selected.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::Counter;
use metrics::Gauge;
use metrics::Histogram;

use crate::names::VirtualServiceName;
use crate::telemetry::catalog::Family;
use crate::telemetry::lazy::LazyCounters;
use crate::telemetry::recorder::Recorder;
use crate::telemetry::recorder::Scope;

/// Counts for one virtual service.
///
/// Until its first connection a service has no series and costs what this struct is: a front door
/// with 10,000 children has mostly idle ones.
#[derive(Debug)]
pub struct ServiceMetrics {
    name: VirtualServiceName,
    scope: Scope,
    busy: OnceLock<Box<Busy>>,
}

#[derive(Debug)]
struct Busy {
    connections: Counter,
    connections_active: Gauge,
    handshakes: LazyCounters<(&'static str, &'static str, bool, bool)>,
    ciphers: LazyCounters<&'static str>,
    groups: LazyCounters<&'static str>,
    handshake_duration: Histogram,
    requests: [[OnceLock<Counter>; CLASSES.len()]; 2],
    requests_active: Gauge,
    request_duration: Histogram,
    upstream_duration: OnceLock<Histogram>,
    received: Counter,
    sent: Counter,
    rare: OnceLock<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    host_mismatches: OnceLock<Counter>,
    expired_served: OnceLock<Counter>,
    fallbacks: LazyCounters<&'static str>,
    failures: LazyCounters<&'static str>,
    refused: LazyCounters<&'static str>,
    stream_failures: LazyCounters<&'static str>,
}

/// A finished handshake; the words come from closed lists in code.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeDone {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The IANA name of the suite.
    pub cipher: &'static str,
    /// The key exchange group.
    pub group: &'static str,
    /// `ec`, `rsa` or `ed25519`.
    pub key_type: &'static str,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the session keys are forward secret.
    pub pfs: bool,
    /// From the ClientHello to the end.
    pub duration: Duration,
}

/// A finished request.
#[derive(Clone, Copy, Debug)]
pub struct RequestDone {
    /// What the client spoke.
    pub protocol: Protocol,
    /// The status that the client got.
    pub status: u16,
    /// From the head of the request to the end of the response.
    pub duration: Duration,
    /// From sending it upstream to the head of the response, if it got that far.
    pub upstream: Option<Duration>,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    fn label(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

impl ServiceMetrics {
    /// The handles of a service, none of which exists yet.
    pub fn new(recorder: &Recorder, name: &VirtualServiceName) -> Arc<Self> {
        Arc::new(Self { name: name.clone(), scope: recorder.scope(), busy: OnceLock::new() })
    }

    /// Counts a connection that was given to this service; it is active until the guard goes.
    pub fn connection_opened(self: &Arc<Self>) -> OpenConnection {
        let busy = self.busy();
        busy.connections.increment(1);
        busy.connections_active.increment(1.0);
        OpenConnection(self.clone())
    }

    /// Counts a connection that was selected for this service and closed before its handshake.
    pub fn connection_refused(&self, reason: &'static str) {
        self.rare().refused.increment(reason, || {
            let labels = [self.label(), ("reason", reason)];
            self.scope.counter(Family::ConnectionsRefused, &labels)
        });
    }

    /// Counts a finished handshake.
    pub fn handshake(&self, done: &HandshakeDone) {
        let busy = self.busy();
        let HandshakeDone { version, cipher, group, key_type, resumed, pfs, duration } = *done;
        busy.handshakes.increment((version, key_type, resumed, pfs), || {
            let labels = [
                self.label(),
                ("version", version),
                ("key_type", key_type),
                ("resumed", word(resumed)),
                ("pfs", word(pfs)),
            ];
            self.scope.counter(Family::Handshakes, &labels)
        });
        busy.ciphers.increment(cipher, || {
            self.scope.counter(Family::Ciphers, &[self.label(), ("cipher", cipher)])
        });
        busy.groups.increment(group, || {
            self.scope.counter(Family::Groups, &[self.label(), ("group", group)])
        });
        busy.handshake_duration.record(duration);
    }

    /// Counts a request as in progress until the guard goes.
    pub fn request_started(self: &Arc<Self>) -> ActiveRequest {
        self.busy().requests_active.increment(1.0);
        ActiveRequest(self.clone())
    }

    /// Counts a finished request.
    pub fn request(&self, done: &RequestDone) {
        let busy = self.busy();
        let class = usize::from(done.status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        busy.requests[done.protocol as usize][class]
            .get_or_init(|| {
                let labels =
                    [self.label(), ("code", CLASSES[class]), ("protocol", done.protocol.label())];
                self.scope.counter(Family::Requests, &labels)
            })
            .increment(1);
        busy.request_duration.record(done.duration);
        if let Some(upstream) = done.upstream {
            busy.upstream_duration
                .get_or_init(|| self.scope.histogram(Family::UpstreamDuration, &[self.label()]))
                .record(upstream);
        }
        busy.received.increment(done.received);
        busy.sent.increment(done.sent);
    }

    /// Counts a request whose host does not belong here (SPEC VS-6).
    pub fn host_mismatch(&self) {
        self.rare()
            .host_mismatches
            .get_or_init(|| self.scope.counter(Family::HostMismatches, &[self.label()]))
            .increment(1);
    }

    /// Counts a handshake with an expired certificate.
    pub fn expired_served(&self) {
        self.rare()
            .expired_served
            .get_or_init(|| self.scope.counter(Family::ExpiredServed, &[self.label()]))
            .increment(1);
    }

    /// Counts a handshake without the preferred certificate, for a reason that lies with the certificate.
    pub fn certificate_fell_back(&self, reason: &'static str) {
        self.rare().fallbacks.increment(reason, || {
            let labels = [self.label(), ("reason", reason)];
            self.scope.counter(Family::CertificateFallbacks, &labels)
        });
    }

    /// Counts a request that failed, whatever status the client got.
    pub fn request_failed(&self, reason: &'static str) {
        self.rare().failures.increment(reason, || {
            self.scope.counter(Family::RequestFailures, &[self.label(), ("reason", reason)])
        });
    }

    /// Counts bytes of a stream, as they pass.
    pub fn relayed(&self, received: u64, sent: u64) {
        let busy = self.busy();
        busy.received.increment(received);
        busy.sent.increment(sent);
    }

    /// Counts a stream that ended otherwise than by both ends.
    pub fn stream_failed(&self, reason: &'static str) {
        self.rare().stream_failures.increment(reason, || {
            self.scope.counter(Family::StreamFailures, &[self.label(), ("reason", reason)])
        });
    }

    /// How many connections are open; for status, as it searches.
    pub fn active_connections(&self) -> u64 {
        let recorder = self.scope.recorder();
        recorder.value(Family::ConnectionsActive, &[self.label()]).unwrap_or(0.0) as u64
    }

    fn label(&self) -> (&'static str, &str) {
        ("virtual_service", self.name.as_str())
    }

    fn rare(&self) -> &Rare {
        self.busy().rare.get_or_init(Box::default)
    }

    fn busy(&self) -> &Busy {
        self.busy.get_or_init(|| {
            let labels = &[self.label()];
            let (scope, histogram) = (&self.scope, |family| self.scope.histogram(family, labels));
            Box::new(Busy {
                connections: scope.counter(Family::Connections, labels),
                connections_active: scope.gauge(Family::ConnectionsActive, labels),
                handshakes: LazyCounters::default(),
                ciphers: LazyCounters::default(),
                groups: LazyCounters::default(),
                handshake_duration: histogram(Family::HandshakeDuration),
                requests: Default::default(),
                requests_active: scope.gauge(Family::RequestsActive, labels),
                request_duration: histogram(Family::RequestDuration),
                upstream_duration: OnceLock::new(),
                received: scope.counter(Family::ReceivedBytes, labels),
                sent: scope.counter(Family::SentBytes, labels),
                rare: OnceLock::new(),
            })
        })
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct OpenConnection(Arc<ServiceMetrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.busy().connections_active.decrement(1.0);
    }
}

/// A request in progress.
#[derive(Debug)]
pub struct ActiveRequest(Arc<ServiceMetrics>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.busy().requests_active.decrement(1.0);
    }
}

/// The label of a flag.
fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// By the hundreds of the status; a status from 600 up (an origin's own) is `other`.
const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::Filter;
    use crate::telemetry::recorder::tests::recorder;

    fn metrics(recorder: &Recorder) -> Arc<ServiceMetrics> {
        ServiceMetrics::new(recorder, &"shop".parse().unwrap())
    }

    pub(super) const HANDSHAKE: HandshakeDone = HandshakeDone {
        version: "1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        group: "X25519",
        key_type: "ec",
        resumed: false,
        pfs: true,
        duration: Duration::from_micros(400),
    };

    pub(super) const REQUEST: RequestDone = RequestDone {
        protocol: Protocol::Http1,
        status: 204,
        duration: Duration::from_micros(900),
        upstream: Some(Duration::from_micros(800)),
        received: 10,
        sent: 20,
    };

    #[test]
    fn an_idle_service_has_no_series_and_is_small() {
        let recorder = recorder();
        let metrics = metrics(&recorder);
        assert_eq!(recorder.render(&Filter::default()), "");
        assert!(size_of_val(&*metrics) <= 80, "{}", size_of_val(&*metrics));
    }

    #[test]
    fn connections_are_active_until_the_guard_goes() {
        let recorder = recorder();
        let metrics = metrics(&recorder);
        let guards = [metrics.connection_opened(), metrics.connection_opened()];
        assert_eq!(metrics.active_connections(), 2);
        drop(guards);
        assert_eq!(metrics.active_connections(), 0);
        assert_eq!(recorder.value(Family::Connections, &[metrics.label()]), Some(2.0));
    }

    #[test]
    fn requests_count_by_class_and_protocol() {
        let recorder = recorder();
        let metrics = metrics(&recorder);
        for status in [200, 204, 404, 999] {
            let active = metrics.request_started();
            metrics.request(&RequestDone { status, ..REQUEST });
            drop(active);
        }
        let text = recorder.render(&Filter::default());
        for (code, count) in [("2xx", 2), ("4xx", 1), ("other", 1)] {
            let labels = format!("virtual_service=\"shop\",code=\"{code}\",protocol=\"http/1.1\"");
            let line = format!("portcullis_http_requests_total{{{labels}}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains("portcullis_sent_bytes_total{virtual_service=\"shop\"} 80\n"));
        assert!(text.contains("portcullis_http_requests_active{virtual_service=\"shop\"} 0\n"));
    }

    #[test]
    fn handshakes_count_by_version_key_type_resumption_and_secrecy() {
        let recorder = recorder();
        let metrics = metrics(&recorder);
        metrics.handshake(&HANDSHAKE);
        metrics.handshake(&HandshakeDone { resumed: true, ..HANDSHAKE });
        metrics.handshake(&HandshakeDone { key_type: "rsa", version: "1.2", ..HANDSHAKE });
        let text = recorder.render(&Filter::default());
        assert_eq!(text.matches("portcullis_tls_handshakes_total{").count(), 3);
        assert!(text.contains(
            "{virtual_service=\"shop\",version=\"1.2\",key_type=\"rsa\",resumed=\"false\",pfs=\"true\"} 1"
        ));
        assert!(text.contains("cipher=\"TLS_AES_128_GCM_SHA256\"} 3"));
    }
}
