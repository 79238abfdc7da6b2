//! A connection to an endpoint while a request uses it.

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;

use crate::telemetry::pool_metrics;
use crate::upstream::adapt;
use crate::upstream::body::Progress;
use crate::upstream::body::RequestBody;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing::Outgoing;

/// The sending half of a connection; the connection itself is a task of the same worker.
#[derive(Debug)]
pub enum Sender {
    /// One request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// A clone of the worker's sender.
    Http2(http2::SendRequest<RequestBody>),
}

/// Counts a request in flight at an endpoint for as long as it lives.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    _counted: pool_metrics::InFlight,
}

/// A connection in use. Given back after a clean end; dropped, and thereby closed, otherwise.
#[derive(Debug)]
pub struct Lease {
    sender: Sender,
    in_flight: InFlight,
    /// The body of the request that is being answered, if it has one.
    body: Option<Arc<Progress>>,
}

impl Sender {
    /// Sends a request and waits for the head of the response. A request that did not leave is put
    /// back.
    pub async fn send(
        &mut self,
        outgoing: &mut Outgoing,
    ) -> Result<Response<Incoming>, UpstreamError> {
        if let Some(request) = outgoing.request() {
            match self {
                Self::Http1(_) => adapt::for_http1(request),
                Self::Http2(_) => adapt::for_http2(request)?,
            }
        }
        let hearing = outgoing.hearing.clone();
        let mut request = outgoing.take().ok_or(UpstreamError::NoEndpoint)?;
        // hyper tells of the interim responses of HTTP/1.1 endpoints alone.
        if let (Self::Http1(_), Some(hearing)) = (&*self, hearing) {
            hyper::ext::on_informational(&mut request, move |interim| {
                hearing.tell(interim.status(), interim.headers());
            });
        }
        let sent = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            outgoing.put_back(error.take_message());
            error.into_error().into()
        })
    }
}

impl InFlight {
    /// Counts one more at this endpoint, unless it has as many as it may.
    pub fn begin(endpoint: &Arc<Endpoint>) -> Option<Self> {
        let counted = || endpoint.metrics.request_started();
        let is_mine = endpoint.standing.acquire();
        is_mine.then(|| Self { _counted: counted(), endpoint: Arc::clone(endpoint) })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.standing.release();
    }
}

impl Lease {
    /// A connection that carries a response.
    pub fn new(sender: Sender, in_flight: InFlight, body: Option<Arc<Progress>>) -> Self {
        Self { sender, in_flight, body }
    }

    /// The connection is not HTTP's any more; its endpoint goes on counting it.
    pub fn into_in_flight(self) -> InFlight {
        self.in_flight
    }

    /// Whether it is one of many streams.
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The response broke off: by the endpoint, unless the client's half of the exchange did before.
    pub fn broke(self) {
        if self.body.as_deref().and_then(Progress::client_reason).is_none() {
            self.in_flight.endpoint.failed();
        }
    }

    /// The response has ended cleanly: the next request may have the connection.
    pub fn give_back(self) {
        let endpoint = &self.in_flight.endpoint;
        endpoint.standing.succeeded();
        match self.sender {
            Sender::Http1(sender) if sender.is_ready() => endpoint.keep(sender),
            // The request body is still on its way, or the connection is about to close.
            Sender::Http1(mut sender) if !sender.is_closed() => {
                let endpoint = Arc::downgrade(endpoint);
                tokio::spawn(async move {
                    if sender.ready().await.is_ok()
                        && let Some(endpoint) = endpoint.upgrade()
                    {
                        endpoint.keep(sender);
                    }
                });
            }
            Sender::Http1(_) | Sender::Http2(_) => {}
        }
    }
}
