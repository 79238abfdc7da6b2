//! One HTTP/2 stream of a client: its request to the recipe, its response back, and the end of both
//! when the client resets it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::Method;
use http::header;
use http_body::Body;
use http_body::Frame;

use crate::http::body::ResponseBody;
use crate::http::client_side::ClientSide;
use crate::http::date;
use crate::http::exchange;
use crate::http::fields;
use crate::http::forward;
use crate::http::gate;
use crate::http::stream_io::StreamIo;
use crate::http::websocket;
use crate::http2::Code;
use crate::http2::Receiving;
use crate::http2::Sending;
use crate::message::Request;
use crate::message::Response;
use crate::upstream::BodyError;
use crate::upstream::BodyPace;
use crate::upstream::ClientBody;
use crate::upstream::Hearing;
use crate::upstream::Interims;
use crate::upstream::Pace;
use crate::upstream::RequestBody;
use crate::upstream::StreamBody;
use crate::upstream::patience::Patience;

/// Serves a stream to its end. What is left of a request that was answered early is refused with
/// `NO_ERROR` (RFC 9113, section 8.1) when its body is dropped.
pub async fn serve(
    client: Arc<ClientSide>,
    request: Request<Receiving>,
    mut reply: Sending,
    pace: Arc<Pace>,
) {
    if websocket::is_extended_connect(&request) {
        // Boxed: hardly any stream becomes a tunnel.
        return Box::pin(serve_websocket(client, request, reply)).await;
    }
    let is_head = *request.method() == Method::HEAD;
    let interims = Arc::new(Interims::default());
    let hearing = interims.begin();
    let request = receive(request, &hearing, pace);
    let patience = Patience::new(client.settings().timeouts.response_write);
    let responding = forward::respond(client, request, Some(hearing));
    if let Some(response) = unless_reset(&mut reply, &interims, responding).await {
        send(reply, response, is_head, patience).await;
    }
}

/// A WebSocket over one stream (RFC 8441), of which the endpoint sees one over HTTP/1.1 (RFC 6455).
async fn serve_websocket(client: Arc<ClientSide>, request: Request<Receiving>, mut reply: Sending) {
    let (head, from) = request.into_parts();
    let request = Request::from_parts(head, RequestBody::Empty);
    let interims = Interims::default();
    let patience = Patience::new(client.settings().timeouts.response_write);
    let responding = forward::respond(Arc::clone(&client), request, None);
    let Some(mut response) = unless_reset(&mut reply, &interims, responding).await else { return };
    let Some(switched) = response.body_mut().take_switched() else {
        drop(from);
        return send(reply, response, false, patience).await;
    };
    let (mut head, _) = response.into_parts();
    websocket::to_extended_connect(&mut head);
    head.fields.insert_if_missing(header::DATE, date::now);
    if reply.respond(head.status, &head.fields, false).is_ok() {
        switched.relay(StreamIo::new(from, reply), Bytes::new(), &client).await;
    }
}

/// The response, and what comes before it; `None` if the client resets the stream meanwhile. That drops
/// the exchange, and with it what goes on at the endpoint.
async fn unless_reset(
    reply: &mut Sending,
    interims: &Interims,
    responding: impl Future<Output = Response<ResponseBody>>,
) -> Option<Response<ResponseBody>> {
    let mut responding = std::pin::pin!(responding);
    if std::future::poll_fn(|cx| Poll::Ready(reply.poll_reset(cx).is_ready())).await {
        // It was reset while it waited for its turn: nobody at the endpoint needs to know of it.
        return None;
    }
    std::future::poll_fn(|cx| {
        let response = responding.as_mut().poll(cx);
        for interim in interims.take() {
            send_interim(reply, interim);
        }
        match response {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => reply.poll_reset(cx).map(|_| None),
        }
    })
    .await
}

async fn send(
    mut reply: Sending,
    response: Response<ResponseBody>,
    is_head: bool,
    patience: Patience,
) {
    let (mut head, body) = response.into_parts();
    head.fields.insert_if_missing(header::DATE, date::now);
    let is_empty = body.is_end_stream();
    if (!is_empty || is_head)
        && let Some(length) = body.size_hint().exact()
        && length > 0
    {
        head.fields.insert_if_missing(header::CONTENT_LENGTH, || length.into());
    }
    let ends = is_empty || is_head;
    match reply.respond(head.status, &head.fields, ends) {
        Ok(()) if ends => {}
        // An error means that the stream is gone, or that the configuration added a field that HTTP/2
        // does not know.
        Err(_) => reply.reset(Code::INTERNAL_ERROR),
        Ok(()) => {
            // Their room is used by the next.
            drop(head);
            Pipe { to: reply, body, waiting: None, patience }.await;
        }
    }
}

/// The request with its body; a body that is known to be empty lets go of the stream's receiving half.
fn receive(
    request: Request<Receiving>,
    hearing: &Hearing,
    pace: Arc<Pace>,
) -> Request<RequestBody> {
    let length = request.fields().get(header::CONTENT_LENGTH).and_then(gate::length);
    let asks = fields::expects_continue(request.fields()).then(|| hearing.clone());
    // Callers of gRPC may be silent for as long as they hear something.
    let pace = (!exchange::is_grpc(request.fields())).then(|| BodyPace::new(pace));
    request.map(|stream| {
        RequestBody::new(ClientBody::Http2(StreamBody::new(stream, length, asks, pace)))
    })
}

fn send_interim(reply: &mut Sending, mut interim: Response<()>) {
    fields::prepare_interim(interim.fields_mut());
    reply.inform(interim.status(), interim.fields());
}

/// A body on its way into a stream, no faster than the client takes it.
struct Pipe {
    to: Sending,
    body: ResponseBody,
    /// A piece for which the client has no room yet, and whether it is the last one.
    waiting: Option<(Bytes, bool)>,
    /// How long it may have none.
    patience: Patience,
}

impl Future for Pipe {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if this.to.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            let done = match this.waiting {
                Some(_) => ready!(this.poll_send(cx)),
                None => match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => this.begin(frame),
                    Some(Err(error)) => this.break_off(&error),
                    None => this.finish(),
                },
            };
            if done == Done::Yes {
                return Poll::Ready(());
            }
        }
    }
}

/// Whether a stream needs to be polled again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Done {
    Yes,
    NotYet,
}

impl Pipe {
    fn begin(&mut self, frame: Frame<Bytes>) -> Done {
        match frame.into_data() {
            Ok(data) => {
                let is_last = self.body.is_end_stream();
                if data.is_empty() {
                    return if is_last { self.finish() } else { Done::NotYet };
                }
                self.waiting = Some((data, is_last));
                Done::NotYet
            }
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { return Done::NotYet };
                // An error means that the stream is gone.
                let _ = self.to.finish_with(&trailers.into());
                Done::Yes
            }
        }
    }

    /// Sends what waits, as there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        let Some((data, is_last)) = &mut self.waiting else { return Poll::Ready(Done::NotYet) };
        let (before, is_last) = (data.len(), *is_last);
        let sent = self.to.poll_send(cx, data, is_last);
        if data.len() < before {
            self.patience.renew();
        }
        match sent {
            Poll::Ready(Ok(())) => {
                self.waiting = None;
                Poll::Ready(if is_last { Done::Yes } else { Done::NotYet })
            }
            Poll::Ready(Err(_)) => Poll::Ready(Done::Yes),
            Poll::Pending if self.to.lacks_window() => {
                ready!(self.patience.poll_end(cx));
                self.body.failed("client_write_timeout");
                self.to.reset(Code::CANCEL);
                Poll::Ready(Done::Yes)
            }
            // A connection that takes nothing has its own deadline.
            Poll::Pending => {
                self.patience.renew();
                Poll::Pending
            }
        }
    }

    fn finish(&mut self) -> Done {
        // An error means that the stream is gone.
        let _ = self.to.finish();
        Done::Yes
    }

    /// The client must not take what it has for all.
    fn break_off(&mut self, _: &BodyError) -> Done {
        self.to.reset(Code::INTERNAL_ERROR);
        Done::Yes
    }
}
