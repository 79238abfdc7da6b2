//! What goes wrong on a connection and is no request's: counted and logged on the connection's service.

use crate::http::exchange::head;
use crate::http::http1::head::BadHead;
use crate::http2::Fault;
use crate::service::VirtualService;
use crate::telemetry::app_log::JsonFragment;

/// Something on a connection that never became a request, and deserves a line all the same.
#[derive(Clone, Copy, Debug)]
pub enum Incident {
    /// A head that did not come to its end in time.
    HeadTimeout,
    /// An HTTP/2 connection had to be ended.
    Http2(Fault),
    /// Bytes that are no request.
    Malformed(BadHead),
    /// The service closes every connection.
    NoPool,
    /// The client did not take what was written.
    WriteTimeout,
}

impl Incident {
    /// Counts and logs it on the connection's service; `facts` is what its lines have in common.
    pub fn record<'f>(self, service: &VirtualService, facts: impl FnOnce() -> &'f JsonFragment) {
        service.metrics.request_failed(self.reason());
        service.log.write(|line| {
            head(line, service, "connection");
            line.raw(facts());
            line.opt_u64("http.response.status_code", self.status());
            line.str("error.type", self.reason());
        });
    }

    fn reason(self) -> &'static str {
        match self {
            Self::HeadTimeout => "request_head_timeout",
            Self::Http2(fault) => fault.reason(),
            Self::Malformed(bad) => bad.reason(),
            Self::NoPool => "no_pool",
            Self::WriteTimeout => "client_write_timeout",
        }
    }

    /// What the client was told.
    fn status(self) -> Option<u64> {
        match self {
            Self::HeadTimeout => Some(408),
            Self::Malformed(bad) => Some(u64::from(bad.status().as_u16())),
            Self::Http2(_) | Self::NoPool | Self::WriteTimeout => None,
        }
    }
}
