//! The body of a request on its way from the wire to whoever sends it on: strictly framed, read only
//! when it is asked for, and no slower than the settings allow.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;

use crate::http::activity::Activity;
use crate::http::clock::micros;
use crate::http::http1::wire::Wire;
use crate::service::settings::Settings;
use crate::upstream::BodyFault;
use crate::upstream::ClientBody;
use crate::upstream::RequestBody;
use crate::upstream::http1::decoder::Decoder;
use crate::upstream::http1::decoder::Framing;
use crate::upstream::http1::decoder::Piece;
use crate::upstream::piped;
use crate::upstream::piped::BodyFeed;
use crate::upstream::piped::Demand;

/// Where the body of the request under way is.
#[derive(Debug)]
pub enum Intake {
    /// There is none, or all of it has come: the next request follows.
    Done,
    /// It is being read. Boxed: most requests have none, and each connection would have room for one.
    Feeding(Box<Feeding>),
    /// Nobody wants the rest.
    Abandoned(Box<Decoder>),
    /// Where it ends will never be known.
    Broken,
}

/// A body that is being read.
#[derive(Debug)]
pub struct Feeding {
    decoder: Decoder,
    feed: BodyFeed,
    /// A piece that was read before the one before it was taken.
    held: Option<Bytes>,
    /// The client waits for `100 Continue`.
    asks: bool,
    /// Of the body, as it was framed.
    bytes: u64,
    /// How long the client was waited for, in microseconds, before `waiting_since`.
    waited: u64,
    waiting_since: Option<u64>,
}

impl Intake {
    /// The body that follows a head, and what is sent on in its place. What has come with the head is
    /// there at once.
    pub fn begin(framing: Framing, asks: bool, input: &mut BytesMut) -> (Self, RequestBody) {
        if framing == Framing::Empty {
            return (Self::Done, RequestBody::Empty);
        }
        let decoder = Decoder::new(framing);
        let (feed, body) = piped::pipe(decoder.length());
        let bytes = input.len() as u64;
        let feeding =
            Feeding { decoder, feed, held: None, asks, bytes, waited: 0, waiting_since: None };
        let mut intake = Self::Feeding(Box::new(feeding));
        intake.pass_on(input);
        (intake, RequestBody::new(ClientBody::Http1(body)))
    }

    /// Reads and passes on as long as somebody asks for it.
    pub fn poll<IO: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire<'_, IO>,
        may_say_continue: bool,
        activity: &Activity,
    ) {
        loop {
            let Self::Feeding(feeding) = self else { return };
            let demand = feeding.feed.demand(cx);
            match demand {
                Demand::Gone => return self.abandon(),
                Demand::Full => return feeding.has_waited(activity),
                Demand::Room | Demand::Wanted => {}
            }
            if self.pass_on(&mut wire.input) != Passed::Nothing {
                continue;
            }
            let Self::Feeding(feeding) = self else { return };
            if demand == Demand::Room {
                return feeding.has_waited(activity);
            }
            if feeding.asks && may_say_continue {
                feeding.asks = false;
                wire.text().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let room = feeding.room();
            match wire.poll_read(cx, room) {
                Poll::Ready(Ok(read @ 1..)) => {
                    feeding.came(read, activity);
                    // What else is there goes with it: an endpoint gets a few large pieces rather than
                    // many small ones. How it ended is told again by the next read.
                    while wire.input.len() < room
                        && let Poll::Ready(Ok(read @ 1..)) = wire.poll_read(cx, room)
                    {
                        feeding.came(read, activity);
                    }
                }
                Poll::Ready(Ok(0) | Err(_)) => return self.fail(BodyFault::BrokenOff),
                Poll::Pending => return feeding.waits(activity),
            }
        }
    }

    /// The next deadline, in times of the connection, and what is wrong when it has passed.
    pub fn deadline(&self, settings: &Settings) -> Option<(u64, BodyFault)> {
        let Self::Feeding(feeding) = self else { return None };
        let since = feeding.waiting_since?;
        let silent = since.saturating_add(micros(settings.timeouts.request_body));
        let slow = match settings.limits.request_body_rate as u64 {
            0 => u64::MAX,
            rate => {
                let enough_for = feeding.bytes.saturating_mul(1_000_000) / rate;
                since.saturating_add(enough_for.max(micros(RATE_AFTER))) - feeding.waited.min(since)
            }
        };
        Some(if slow < silent { (slow, BodyFault::TooSlow) } else { (silent, BodyFault::Silent) })
    }

    /// The client does not send it as it should: whoever sends it on is told.
    pub fn fail(&mut self, fault: BodyFault) {
        if let Self::Feeding(feeding) = std::mem::replace(self, Self::Broken) {
            feeding.feed.fail(fault);
        }
    }

    /// A response has come. If nobody wants the rest of the body, it is thrown away as far as it is
    /// there; says whether another request can follow.
    pub fn settle(&mut self, input: &mut BytesMut) -> bool {
        if let Self::Feeding(feeding) = self
            && feeding.feed.is_gone()
        {
            self.abandon();
        }
        if let Self::Abandoned(decoder) = self {
            match drain(decoder, input) {
                Ok(true) => *self = Self::Done,
                Ok(false) => {}
                Err(()) => *self = Self::Broken,
            }
        }
        matches!(self, Self::Done | Self::Feeding(_))
    }

    /// Whether the client may still be sending it.
    pub fn is_unread(&self) -> bool {
        !matches!(self, Self::Done)
    }

    fn abandon(&mut self) {
        if let Self::Feeding(feeding) = std::mem::replace(self, Self::Broken) {
            *self = Self::Abandoned(Box::new(feeding.decoder));
        }
    }

    /// Passes on one piece of what has come; there must be room for it.
    fn pass_on(&mut self, input: &mut BytesMut) -> Passed {
        let Self::Feeding(feeding) = self else { return Passed::End };
        let mut passed = Passed::Nothing;
        if let Some(held) = feeding.held.take() {
            feeding.feed.push(held);
            passed = Passed::Data;
        }
        loop {
            match feeding.decoder.decode(input) {
                Ok(None) => return passed,
                Ok(Some(Piece::Data(data))) if passed == Passed::Nothing => {
                    feeding.asks = false;
                    feeding.feed.push(data);
                    passed = Passed::Data;
                }
                Ok(Some(Piece::Data(data))) => {
                    feeding.held = Some(data);
                    return passed;
                }
                // Said with the last piece, so that it can be sent on together.
                Ok(Some(Piece::End(trailers))) => {
                    if let Self::Feeding(feeding) = std::mem::replace(self, Self::Done) {
                        feeding.feed.end(trailers);
                    }
                    return Passed::End;
                }
                Err(_) => {
                    self.fail(BodyFault::Malformed);
                    return Passed::End;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Passed {
    Nothing,
    Data,
    End,
}

impl Feeding {
    fn came(&mut self, bytes: usize, activity: &Activity) {
        self.asks = false;
        self.bytes += bytes as u64;
        self.has_waited(activity);
    }

    /// How much is read at a time.
    fn room(&self) -> usize {
        if self.bytes < MUCH { ROOM } else { ROOM_OF_MUCH }
    }

    fn waits(&mut self, activity: &Activity) {
        self.waiting_since.get_or_insert_with(|| activity.now());
    }

    fn has_waited(&mut self, activity: &Activity) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += activity.now().saturating_sub(since);
        }
    }
}

/// Whether all of it was there.
fn drain(decoder: &mut Decoder, input: &mut BytesMut) -> Result<bool, ()> {
    while decoder.decode(input).map_err(|_| ())?.is_some() {}
    Ok(decoder.has_ended())
}

/// What is read at a time: a TLS record.
const ROOM: usize = 16 << 10;

/// The same of a body of which there is more, and when it counts as one.
const ROOM_OF_MUCH: usize = 64 << 10;
const MUCH: u64 = 64 << 10;

/// A body may begin as slowly as it likes, for so long.
const RATE_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Waker;

    use http_body::Body;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::config::limits::Limits;
    use crate::config::timeouts::Timeouts;
    use crate::upstream::BodyError;

    fn settings() -> Settings {
        Settings {
            timeouts: Timeouts { request_body: Duration::from_secs(3), ..Timeouts::default() },
            limits: Limits { request_body_rate: 10, ..Limits::default() },
        }
    }

    /// A turn of the connection's task.
    fn turn<IO: AsyncRead + Unpin>(intake: &mut Intake, wire: &mut Wire<'_, IO>, of: &Activity) {
        intake.poll(&mut Context::from_waker(Waker::noop()), wire, true, of);
    }

    fn ask(body: &mut RequestBody) -> Poll<Option<Result<usize, BodyError>>> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map_ok(|frame| frame.into_data().map_or(0, |data| data.len()))
    }

    /// SPEC PX-5: who waits for the endpoint does not wait for the client.
    #[tokio::test(start_paused = true)]
    async fn only_the_wait_for_the_client_counts() {
        let (activity, settings) = (Activity::new(), settings());
        let (mut client, io) = tokio::io::duplex(64);
        let mut wire = Wire::new(io, BytesMut::new(), &activity);
        let (mut intake, mut body) = Intake::begin(Framing::Length(60), false, &mut wire.input);
        turn(&mut intake, &mut wire, &activity);
        assert_eq!(intake.deadline(&settings), None, "nobody asks");
        assert!(ask(&mut body).is_pending());
        turn(&mut intake, &mut wire, &activity);
        let began = activity.now();
        let slow = Some((began + micros(RATE_AFTER), BodyFault::TooSlow));
        assert_eq!(intake.deadline(&settings), slow, "the body is waited for");
        client.write_all(&[b'x'; 20]).await.expect("sent");
        tokio::time::advance(Duration::from_millis(40)).await;
        turn(&mut intake, &mut wire, &activity);
        assert_eq!(intake.deadline(&settings), None, "a piece waits for the endpoint");
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(matches!(ask(&mut body), Poll::Ready(Some(Ok(20)))));
        assert!(ask(&mut body).is_pending());
        turn(&mut intake, &mut wire, &activity);
        // Twenty bytes are enough for two seconds, of which 40 ms are over.
        let slow = Some((activity.now() + 1_960_000, BodyFault::TooSlow));
        assert_eq!(intake.deadline(&settings), slow);
        let patient = Settings {
            limits: Limits { request_body_rate: 0, ..Limits::default() },
            ..settings.clone()
        };
        let silent = Some((activity.now() + 3_000_000, BodyFault::Silent));
        assert_eq!(intake.deadline(&patient), silent);
        intake.fail(BodyFault::TooSlow);
        let fault = ask(&mut body);
        assert!(
            matches!(fault, Poll::Ready(Some(Err(BodyError::Client(BodyFault::TooSlow))))),
            "{fault:?}"
        );
        assert!(!intake.settle(&mut wire.input), "no request can follow");
    }

    #[tokio::test]
    async fn to_go_on_is_said_once_and_only_to_those_who_send_nothing_before() {
        let activity = Activity::new();
        for (first, said) in [(&b""[..], 1), (b"some", 0)] {
            let (_client, io) = tokio::io::duplex(64);
            let mut wire = Wire::new(io, BytesMut::from(first), &activity);
            let (mut intake, mut body) = Intake::begin(Framing::Length(9), true, &mut wire.input);
            turn(&mut intake, &mut wire, &activity);
            assert!(wire.text().is_empty(), "nobody asks");
            while matches!(ask(&mut body), Poll::Ready(Some(Ok(_)))) {}
            turn(&mut intake, &mut wire, &activity);
            turn(&mut intake, &mut wire, &activity);
            let text = String::from_utf8_lossy(wire.text()).into_owned();
            assert_eq!(text.matches("100 Continue").count(), said, "{text}");
        }
    }
}
