//! One stream as metrics and the application log see it: counted while it moves, written when it is
//! dropped, however it ended.

use std::time::Duration;

use tokio::time::Instant;

use crate::relay::Connection;
use crate::relay::error::StreamError;
use crate::service::Target;
use crate::telemetry::app_log::JsonLine;
use crate::upstream::Source;
use crate::upstream::Trace;

/// What is known so far.
#[derive(Debug)]
pub struct Record {
    connection: Connection,
    began: Instant,
    trace: Trace,
    received: u64,
    sent: u64,
    /// None: it has not ended.
    ended: Option<Result<(), StreamError>>,
    /// The line of a clean end is kept.
    is_sampled: bool,
}

impl Record {
    /// The connection belongs to its service from here on.
    pub fn begin(connection: Connection) -> Self {
        Self {
            is_sampled: connection.service.log.keeps_success(),
            connection,
            began: Instant::now(),
            trace: Trace::default(),
            received: 0,
            sent: 0,
            ended: None,
        }
    }

    /// Whose stream it is.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Who it comes from, and where is written down what happens with the pool.
    pub fn connecting(&mut self) -> (Source<'_>, &mut Trace) {
        (self.connection.source(), &mut self.trace)
    }

    /// All that was moved so far, each way.
    pub fn moved(&mut self, received: u64, sent: u64) {
        let (more_received, more_sent) = (received - self.received, sent - self.sent);
        // At once and not at the end: streams last for hours.
        self.connection.service.metrics.relayed(more_received, more_sent);
        (self.received, self.sent) = (received, sent);
    }

    /// It is over.
    pub fn ended(mut self, ended: Result<(), StreamError>) {
        self.ended = Some(ended);
    }

    fn render(&self, line: &mut JsonLine<'_>, reason: Option<&'static str>) {
        let Connection { client, peer, server_name, facts, service, .. } = &self.connection;
        line.str("event", "stream");
        line.str("portcullis.virtual_service", service.name.as_str());
        line.opt_str("portcullis.parent", service.parent.as_ref().map(|parent| parent.as_str()));
        line.str("portcullis.mode", service.mode_word());
        line.str("client.address", &client.0.ip().to_canonical().to_string());
        line.u64("client.port", u64::from(client.0.port()));
        if let Some(peer) = peer {
            line.str("network.peer.address", &peer.to_canonical().to_string());
        }
        match facts {
            Some(facts) => {
                facts.render(line);
                line.opt_str("tls.next_protocol", facts.agreed_alpn.map(|alpn| alpn.as_str()));
            }
            None => {
                let name = server_name.as_ref().map(|name| name.as_str());
                line.opt_str("tls.client.server_name", name);
            }
        }
        if let Target::Pool(pool) = &service.target {
            line.str("portcullis.pool", pool.name.as_str());
        }
        if let Some(endpoint) = &self.trace.endpoint {
            line.str("portcullis.endpoint", endpoint.label());
            line.u64("portcullis.retries", u64::from(self.trace.retries));
        }
        if let Some(connect) = self.trace.connect {
            line.u64("portcullis.duration_us.upstream_connect", micros(connect));
        }
        line.u64("portcullis.duration_us.total", micros(self.began.elapsed()));
        line.u64("portcullis.received_bytes", self.received);
        line.u64("portcullis.sent_bytes", self.sent);
        line.opt_str("error.type", reason);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Nobody drops a stream but a worker that stops.
        let ended = self.ended.take().unwrap_or(Err(StreamError::DrainTimeout));
        let reason = ended.as_ref().err().map(StreamError::reason);
        let service = &self.connection.service;
        if let Some(reason) = reason {
            service.metrics.stream_failed(reason);
        }
        if (self.is_sampled || reason.is_some()) && !service.log.is_off() {
            service.log.write(|line| self.render(line, reason));
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
