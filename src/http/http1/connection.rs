//! A connection while it is busy: head, exchange, head, in one future, with one timer for all that can
//! take too long.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::StatusCode;
use http::Version;
use http::header;
use http_body::Body;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::clock::Clock;
use crate::http::clock::micros;
use crate::http::http1::Bounds;
use crate::http::http1::encode;
use crate::http::http1::encode::Content;
use crate::http::http1::encode::Persistence;
use crate::http::http1::encode::Terms;
use crate::http::http1::head::BadHead;
use crate::http::http1::head::Parser;
use crate::http::http1::head::RequestHead;
use crate::http::http1::intake::Intake;
use crate::http::http1::outlet::Filled;
use crate::http::http1::outlet::Outlet;
use crate::http::http1::wire::Wire;
use crate::http::interim;
use crate::message::Request;
use crate::message::Response;
use crate::message::ResponseHead;
use crate::upstream::BodyFault;
use crate::upstream::RequestBody;

/// A connection with its buffers.
pub struct Connection<'a, IO> {
    wire: Wire<'a, IO>,
    bounds: Bounds<'a>,
    parser: Parser,
    clock: Clock,
    intake: Intake,
    phase: Phase,
}

/// Why a connection is busy no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// What came is no request.
    Bad(BadHead),
    /// The last response has left. `true`: the client may still be sending.
    Closed(bool),
    /// A response broke off, or the client left.
    Cut,
    /// A head did not come to its end in time.
    HeadTimeout,
    /// Nothing was asked for long enough.
    Idle,
    /// Nothing was asked for a moment: the buffers can go.
    Parked,
    /// The client did not take what was written.
    Stalled,
    /// The last response has switched protocols.
    Switched,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Since when the next head is incomplete, if it has begun.
    Head(Option<u64>),
    /// A response is awaited.
    Responding,
    /// A response is being sent.
    Sending,
    /// A response has been sent, and the body of its request is still sent on.
    Resting,
}

/// What a timer was for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    End(End),
    Body(BodyFault),
}

impl<'a, IO> Connection<'a, IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    /// A connection of which `first` was read already.
    pub fn new(io: IO, first: BytesMut, bounds: Bounds<'a>) -> Self {
        Self {
            wire: Wire::new(io, first, bounds.activity),
            bounds,
            parser: Parser::default(),
            clock: Clock::default(),
            intake: Intake::Done,
            phase: Phase::Head(None),
        }
    }

    /// The stream, and what was read and not looked at.
    pub fn into_parts(self) -> (IO, BytesMut) {
        self.wire.into_parts()
    }

    /// Serves requests one after the other.
    pub async fn serve<F, R, B>(&mut self, on_request: F) -> End
    where
        F: Fn(Request<RequestBody>) -> R,
        R: Future<Output = Result<Response<B>, Infallible>>,
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            let head = match std::future::poll_fn(|cx| self.poll_head(cx)).await {
                Ok(head) => head,
                Err(end) => return end,
            };
            let (request, terms) = self.begin(head);
            // Boxed for as long as it takes: two thirds of what a busy connection is made of, and most
            // of them wait for the next request.
            let response = self.respond(Box::pin(on_request(request)).as_mut()).await;
            let response = match response {
                Ok(response) => response,
                Err(end) => return end,
            };
            if let Err(end) = self.send(response, terms).await {
                return end;
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<RequestHead, End>> {
        let mut has_begun = false;
        loop {
            if !self.wire.input.is_empty() {
                match self.parser.parse(&mut self.wire.input, &self.bounds.settings.limits) {
                    Ok(Some(head)) => return Poll::Ready(Ok(head)),
                    Ok(None) => has_begun = true,
                    Err(bad) => return Poll::Ready(Err(End::Bad(bad))),
                }
            }
            match self.wire.poll_read(cx, HEAD_ROOM) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::Closed(false))),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Cut)),
                Poll::Pending => break,
            }
        }
        if has_begun && self.phase == Phase::Head(None) {
            self.phase = Phase::Head(Some(self.bounds.activity.now()));
        }
        self.poll_clock(cx).map(Err)
    }

    fn begin(&mut self, head: RequestHead) -> (Request<RequestBody>, Terms) {
        let RequestHead { request, framing, keeps_alive, expects_continue, takes_trailers } = head;
        let terms = Terms {
            version: request.version(),
            is_head: *request.method() == http::Method::HEAD,
            keeps_alive,
            takes_trailers,
        };
        let (intake, body) = Intake::begin(framing, expects_continue, &mut self.wire.input);
        self.intake = intake;
        self.phase = Phase::Responding;
        (request.map(|()| body), terms)
    }

    async fn respond<R, B>(&mut self, mut responding: Pin<&mut R>) -> Result<Response<B>, End>
    where
        R: Future<Output = Result<Response<B>, Infallible>>,
    {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Ok(response)) = responding.as_mut().poll(cx) {
                return Poll::Ready(Ok(response));
            }
            // A client that does not read loses those that there is no room for.
            if self.wire.has_room()
                && let Some(interims) = self.bounds.activity.begun_interims()
            {
                interim::render(&interims.take(), self.wire.text());
            }
            self.poll_client(cx).map(Err)
        })
        .await
    }

    /// Sends a response, and stays until the next request can follow.
    async fn send<B>(&mut self, response: Response<B>, terms: Terms) -> Result<(), End>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, mut body) = response.into_parts();
        self.phase = Phase::Sending;
        let (content, persistence) = self.write_head(&head, &body, terms);
        let mut outlet = Outlet::new(content, terms);
        std::future::poll_fn(|cx| self.poll_send(cx, &mut outlet, &mut body)).await?;
        // Counted and logged before the connection goes on or ends.
        drop(body);
        match persistence {
            Persistence::Implied | Persistence::Said => {}
            Persistence::Close => return Err(End::Closed(self.is_unread())),
            Persistence::Switches => return Err(End::Switched),
        }
        self.phase = Phase::Resting;
        std::future::poll_fn(|cx| self.poll_rest(cx)).await?;
        self.phase = Phase::Head(None);
        Ok(())
    }

    fn write_head<B: Body>(
        &mut self,
        head: &ResponseHead,
        body: &B,
        terms: Terms,
    ) -> (Content, Persistence) {
        let exact = body.size_hint().exact();
        let content = Content::of(terms, head.status, exact);
        let can_follow = self.intake.settle(&mut self.wire.input);
        let says_close = head.fields.get(header::CONNECTION).is_some_and(|it| it == "close");
        let persistence = match head.status {
            StatusCode::SWITCHING_PROTOCOLS if self.bounds.activity.is_switching() => {
                Persistence::Switches
            }
            _ if !terms.keeps_alive || says_close || !can_follow => Persistence::Close,
            _ if content == Content::UntilClose => Persistence::Close,
            _ if terms.version == Version::HTTP_10 => Persistence::Said,
            _ => Persistence::Implied,
        };
        let said = exact.filter(|length| terms.is_head && *length > 0);
        encode::head(self.wire.text(), head, content, persistence, said);
        (content, persistence)
    }

    fn poll_send<B>(
        &mut self,
        cx: &mut Context<'_>,
        outlet: &mut Outlet,
        body: &mut B,
    ) -> Poll<Result<(), End>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            let filled = outlet.poll_fill(cx, body, &mut self.wire);
            match (self.wire.poll_write(cx), filled) {
                (Poll::Ready(Ok(())), Filled::Full) => {}
                (Poll::Ready(Ok(())), Filled::Ended) => return Poll::Ready(Ok(())),
                (Poll::Ready(Ok(())), Filled::Broken) | (Poll::Ready(Err(_)), _) => {
                    return Poll::Ready(Err(End::Cut));
                }
                (Poll::Ready(Ok(())), Filled::Waiting) | (Poll::Pending, _) => break,
            }
        }
        self.poll_client(cx).map(Err)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if let Poll::Ready(end) = self.poll_client(cx) {
            return Poll::Ready(Err(end));
        }
        match (self.intake.settle(&mut self.wire.input), &self.intake) {
            (true, Intake::Feeding(_)) => Poll::Pending,
            (true, _) => Poll::Ready(Ok(())),
            (false, _) => Poll::Ready(Err(End::Closed(true))),
        }
    }

    /// During an exchange: reads what is wanted of the request, writes what there is, looks at the
    /// clock, and notices a client that has left.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let may_say_continue = self.phase == Phase::Responding;
        self.intake.poll(cx, &mut self.wire, may_say_continue, self.bounds.activity);
        let is_watched = matches!(self.intake, Intake::Done | Intake::Abandoned(_));
        // At most one read ahead: what follows is the next request's.
        if is_watched
            && self.wire.input.is_empty()
            && let Poll::Ready(Ok(0) | Err(_)) = self.wire.poll_read(cx, HEAD_ROOM)
        {
            return Poll::Ready(End::Cut);
        }
        if let Poll::Ready(Err(_)) = self.wire.poll_write(cx) {
            return Poll::Ready(End::Cut);
        }
        self.poll_clock(cx)
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let next = self.next_due();
            if !self.clock.is_due(cx, self.bounds.activity, next.map(|(at, _)| at)) {
                return Poll::Pending;
            }
            match next {
                Some((_, Due::End(end))) => return Poll::Ready(end),
                Some((_, Due::Body(fault))) => self.intake.fail(fault),
                None => return Poll::Pending,
            }
        }
    }

    /// The next deadline, in times of the connection.
    fn next_due(&self) -> Option<(u64, Due)> {
        let Bounds { activity, settings, .. } = self.bounds;
        let timeouts = &settings.timeouts;
        if let Phase::Head(since) = self.phase {
            if let Some(since) = since {
                return Some((since + micros(timeouts.request_head), Due::End(End::HeadTimeout)));
            }
            let idle_since = activity.idle_since()?;
            let idle_until = self.bounds.idle_until(idle_since);
            let park_at = idle_since + micros(PARK_AFTER);
            let end = if park_at < idle_until { End::Parked } else { End::Idle };
            return Some((park_at.min(idle_until), Due::End(end)));
        }
        let blocked_since = self.wire.blocked_since();
        let stalled = blocked_since
            .map(|since| (since + micros(timeouts.response_write), Due::End(End::Stalled)));
        let body = self.intake.deadline(settings).map(|(at, fault)| (at, Due::Body(fault)));
        // An endpoint that does not take the rest of a body keeps the client no longer than that.
        let resting = (self.phase == Phase::Resting)
            .then(|| activity.idle_since())
            .flatten()
            .map(|since| (self.bounds.idle_until(since), Due::End(End::Idle)));
        [stalled, body, resting].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn is_unread(&self) -> bool {
        self.intake.is_unread() || !self.wire.input.is_empty()
    }
}

/// What is read at a time when a head is awaited.
const HEAD_ROOM: usize = 4 << 10;

/// Without a request for this long, the buffers are given back. Long enough that a busy client never
/// pays for it.
pub const PARK_AFTER: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
