//! A request to a pool: choose, send, and try again where that is safe.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;

use crate::message::Fields;
use crate::message::Response;
use crate::upstream::Members;
use crate::upstream::Pool;
use crate::upstream::Source;
use crate::upstream::UpstreamBody;
use crate::upstream::UpstreamError;
use crate::upstream::body::Progress;
use crate::upstream::choose::Tried;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::incoming::Incoming;
use crate::upstream::lease::InFlight;
use crate::upstream::lease::Lease;
use crate::upstream::lease::Sender;
use crate::upstream::outgoing::Manner;
use crate::upstream::outgoing::Outgoing;
use crate::upstream::pick::Picked;
use crate::upstream::pick::Wish;

/// What happened to a request on the upstream side; filled in as it happens, so that it is there
/// however the request ends.
#[derive(Debug, Default)]
pub struct Trace {
    /// The last endpoint that was tried.
    pub endpoint: Option<Arc<Endpoint>>,
    /// What connecting took, if a connection had to be made.
    pub connect: Option<Duration>,
    /// From the request sent to the head of the response.
    pub first_byte: Option<Duration>,
    /// Attempts after the first one. A fresh connection in place of a stale one is not one.
    pub retries: u32,
}

/// What all attempts of a request have in common.
#[derive(Clone, Copy)]
struct Terms<'a> {
    source: &'a Source<'a>,
    /// To the head of the response.
    timeout: Duration,
    /// Between two pieces of a body.
    body_timeout: Duration,
}

impl Pool {
    /// Sends a request and returns the response with its body still to be streamed.
    ///
    /// The request needs a path and a valid Host field; hop-by-hop fields are gone already. The
    /// source is whom a hash, a sticky cookie or a PROXY header is about.
    ///
    /// # Errors
    ///
    /// The last attempt's. Another endpoint is tried, at most `retries` times and within the pool's
    /// budget, if nothing was sent, or if the method is idempotent, there is no body, and the endpoint
    /// closed the connection before the head of a response.
    pub async fn forward(
        &self,
        outgoing: &mut Outgoing,
        source: Source<'_>,
        trace: &mut Trace,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.budget.mine().asked();
        let mut members = self.members.snapshot();
        let fields = outgoing.request().map(|request| request.fields());
        let wish = members.wish(fields, source.client.ip());
        let mut tried = Tried::default();
        let mut picked = self.pick(&mut members, &wish).await?;
        let config = &members.config;
        let (timeout, body_timeout) = (config.first_byte_timeout, config.body_timeout);
        let terms = Terms { source: &source, timeout, body_timeout };
        loop {
            let Picked { place, in_flight } = picked;
            let endpoint = &members.endpoints[place];
            trace.endpoint = Some(Arc::clone(endpoint));
            let error = match endpoint.exchange(in_flight, outgoing, terms, trace).await {
                Ok(mut response) => {
                    members.mark(&wish, place, response.fields_mut());
                    return Ok(response);
                }
                Err(error) => error,
            };
            endpoint.blame(&error);
            tried.add(place);
            let another = outgoing.is_here().then(|| self.retry(&members, &wish, &tried, trace));
            let Some(another) = another.flatten() else { return Err(error) };
            picked = another;
        }
    }

    /// Another endpoint for a request whose attempt failed, if it may have one.
    pub(super) fn retry(
        &self,
        members: &Members,
        wish: &Wish,
        tried: &Tried,
        trace: &mut Trace,
    ) -> Option<Picked> {
        if trace.retries >= members.config.retries || !members.has_another(wish, tried) {
            return None;
        }
        if !self.budget.mine().spend(members.config.retry_permille) {
            self.metrics.budget_exhausted();
            return None;
        }
        let another = members.try_pick(wish, tried).ok()?;
        trace.retries += 1;
        self.metrics.retried();
        Some(another)
    }
}

impl Endpoint {
    /// One attempt at this endpoint. Connections that turn out to be stale do not count: the next
    /// one is taken, and in the end a fresh one. After an error, a request that can be sent again
    /// is where it was.
    async fn exchange(
        self: &Arc<Self>,
        in_flight: InFlight,
        outgoing: &mut Outgoing,
        terms: Terms<'_>,
        trace: &mut Trace,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let manner = outgoing.manner;
        let mut may_reuse = manner != Manner::WebSocket;
        loop {
            let reused = if may_reuse { self.reuse() } else { None };
            let is_reused = reused.is_some();
            let sender = match reused {
                Some(sender) => sender,
                None => self.connect_timed(manner, terms.source, trace).await?,
            };
            let body = outgoing.request().and_then(|request| request.body().progress());
            let error = match first_byte(sender, outgoing, terms, trace).await {
                Ok(response) => {
                    let lease = Lease::new(in_flight, body);
                    return accept(response, lease, manner, terms.body_timeout);
                }
                Err(error) => error,
            };
            if !outgoing.is_here() && error.may_repeat() {
                // Written to a connection that the endpoint was closing: other idle ones are of the
                // same age.
                may_reuse = false;
                outgoing.repeat();
            }
            if !is_reused || !outgoing.is_here() {
                return Err(error);
            }
        }
    }

    async fn connect_timed(
        self: &Arc<Self>,
        manner: Manner,
        source: &Source<'_>,
        trace: &mut Trace,
    ) -> Result<Sender, UpstreamError> {
        let started = Instant::now();
        // Boxed: it is large, and rare among requests.
        let connected = match manner {
            Manner::Plain | Manner::Grpc => Box::pin(self.connect(source)).await,
            Manner::WebSocket => Box::pin(self.connect_alone(source)).await,
        };
        trace.connect = Some(started.elapsed());
        connected
    }
}

/// Sends and waits for the head of the response. The limit runs from the last thing that moved: a
/// long upload is no silence.
async fn first_byte(
    sender: Sender,
    outgoing: &mut Outgoing,
    terms: Terms<'_>,
    trace: &mut Trace,
) -> Result<Response<Incoming>, UpstreamError> {
    let (started, timeout) = (Instant::now(), terms.timeout);
    let progress = outgoing.request().and_then(|request| request.body().progress());
    let is_grpc = outgoing.manner == Manner::Grpc;
    let mut sending = std::pin::pin!(sender.send(outgoing));
    let mut mark = 0;
    let mut quiet = 0;
    loop {
        if let Ok(sent) = tokio::time::timeout(timeout, sending.as_mut()).await {
            if sent.is_ok() {
                trace.first_byte = Some(started.elapsed());
            }
            return sent.map_err(|error| blame_client(progress.as_deref(), error));
        }
        let now = progress.as_ref().map_or(0, |progress| progress.mark());
        quiet = if now == mark { quiet + 1 } else { 0 };
        let may_pause = is_grpc && progress.as_deref().is_some_and(Progress::is_starved);
        if timeout * quiet >= if may_pause { terms.body_timeout } else { timeout } {
            return Err(silence(progress.as_deref(), timeout));
        }
        mark = now;
    }
}

/// What failed because the body of the request did is no fault of the endpoint's.
fn blame_client(progress: Option<&Progress>, error: UpstreamError) -> UpstreamError {
    progress.and_then(Progress::fault).map_or(error, UpstreamError::ClientBody)
}

/// Who was silent.
fn silence(progress: Option<&Progress>, timeout: Duration) -> UpstreamError {
    if progress.is_some_and(Progress::is_starved) {
        UpstreamError::ClientBodyTimeout(timeout)
    } else {
        UpstreamError::FirstByteTimeout(timeout)
    }
}

/// A response is one unless it switches protocols; and that is one if it was asked for.
fn accept(
    response: Response<Incoming>,
    lease: Lease,
    manner: Manner,
    limit: Duration,
) -> Result<Response<UpstreamBody>, UpstreamError> {
    if response.status().as_u16() > 599 {
        return Err(UpstreamError::InvalidStatus(response.status().as_u16()));
    }
    check_framing(response.version(), response.fields())?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if manner != Manner::WebSocket {
            return Err(UpstreamError::UnaskedSwitch);
        }
        return Ok(response.map(|incoming| UpstreamBody::switching(incoming, lease)));
    }
    Ok(response.map(|incoming| UpstreamBody::new(incoming, lease, limit)))
}

/// RFC 9112, section 6.3, without its leniency: whoever reads a response in another way than the proxy
/// would take a part of it for the next one.
fn check_framing(version: Version, fields: &Fields) -> Result<(), UpstreamError> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH);
    let length = lengths.next();
    let is_number = |value: &HeaderValue| value.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some() || length.is_some_and(|it| it.is_empty() || !is_number(it)) {
        return Err(UpstreamError::ResponseLength);
    }
    let mut codings = fields.get_all(header::TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(_), _) if length.is_some() => Err(UpstreamError::LengthAndCoding),
        (Some(coding), None)
            if version == Version::HTTP_11
                && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        (Some(_), _) => Err(UpstreamError::ResponseCoding),
    }
}
