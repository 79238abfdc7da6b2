//! A connection to an endpoint while a request uses it.

use std::sync::Arc;
use std::sync::Weak;

use hyper::client::conn::http2;

use crate::message::Request;
use crate::message::Response;
use crate::telemetry::pool_metrics;
use crate::upstream::adapt;
use crate::upstream::body::Progress;
use crate::upstream::body::RequestBody;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::UpstreamError;
use crate::upstream::http1;
use crate::upstream::incoming::Incoming;
use crate::upstream::outgoing::Outgoing;

/// What a request is sent over.
#[derive(Debug)]
pub enum Sender {
    /// A connection of its own.
    Http1(Box<http1::Connection>),
    /// A clone of the worker's sender; the connection itself is a task of the same worker.
    Http2(http2::SendRequest<RequestBody>),
}

/// Counts a request in flight at an endpoint for as long as it lives.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    _counted: pool_metrics::InFlight,
}

/// A response under way: told of a clean end, or of another one.
#[derive(Debug)]
pub struct Lease {
    in_flight: InFlight,
    /// The body of the request that is being answered, if it has one.
    body: Option<Arc<Progress>>,
}

impl Sender {
    /// Sends a request and waits for the head of the response. A request that did not leave is put
    /// back.
    pub async fn send(self, outgoing: &mut Outgoing) -> Result<Response<Incoming>, UpstreamError> {
        match self {
            Self::Http1(connection) => send_http1(connection, outgoing).await,
            Self::Http2(sender) => Box::pin(send_http2(sender, outgoing)).await,
        }
    }
}

async fn send_http1(
    mut connection: Box<http1::Connection>,
    outgoing: &mut Outgoing,
) -> Result<Response<Incoming>, UpstreamError> {
    let (request, hearing) = outgoing.lend().ok_or(UpstreamError::NoEndpoint)?;
    adapt::for_http1(request);
    connection.begin(request);
    let answered = std::future::poll_fn(|cx| connection.poll_response(cx, hearing)).await;
    if answered.is_err() && !connection.has_written() {
        outgoing.take_back();
    }
    Ok(answered?.map(|()| Incoming::Http1(Some(connection))))
}

async fn send_http2(
    mut sender: http2::SendRequest<RequestBody>,
    outgoing: &mut Outgoing,
) -> Result<Response<Incoming>, UpstreamError> {
    if let Some(request) = outgoing.request() {
        adapt::for_http2(request)?;
    }
    let request = outgoing.take().ok_or(UpstreamError::NoEndpoint)?;
    let mut sending = std::pin::pin!(sender.try_send_request(request.into()));
    let hearing = outgoing.hearing.as_ref();
    let sent = std::future::poll_fn(|cx| {
        // The body, which may ask its client for more, is read by the connection's task.
        if let Some(hearing) = hearing {
            hearing.listen(cx);
        }
        sending.as_mut().poll(cx)
    });
    match sent.await {
        Ok(response) => Ok(Response::from(response).map(Incoming::Http2)),
        Err(mut error) => {
            outgoing.put_back(error.take_message().map(Request::from));
            Err(error.into_error().into())
        }
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
    /// A response whose head has come.
    pub fn new(in_flight: InFlight, body: Option<Arc<Progress>>) -> Self {
        Self { in_flight, body }
    }

    /// The connection is not HTTP's any more; its endpoint goes on counting it.
    pub fn into_in_flight(self) -> InFlight {
        self.in_flight
    }

    /// Where it comes from.
    pub fn endpoint(&self) -> Weak<Endpoint> {
        Arc::downgrade(&self.in_flight.endpoint)
    }

    /// The response broke off: by the endpoint, unless the client's half of the exchange did before.
    pub fn broke(self) {
        if self.body.as_deref().and_then(Progress::client_reason).is_none() {
            self.in_flight.endpoint.failed();
        }
    }

    /// The response has ended cleanly: the next request may have the connection that was its own.
    pub fn give_back(self, connection: Option<Box<http1::Connection>>) {
        let endpoint = &self.in_flight.endpoint;
        endpoint.standing.succeeded();
        match connection {
            Some(connection) if connection.is_reusable() => endpoint.keep(connection),
            Some(connection) => connection.close(),
            None => {}
        }
    }
}
