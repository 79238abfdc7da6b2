//! The body of a request on its way from the wire to whoever sends it on: strictly framed, read only
//! when it is asked for, and no slower than the settings allow.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;

use crate::http::activity::Activity;
use crate::http::http1::decoder::Decoder;
use crate::http::http1::decoder::Piece;
use crate::http::http1::head::Framing;
use crate::http::http1::micros;
use crate::http::http1::wire::Wire;
use crate::service::settings::Settings;
use crate::upstream::BodyFault;
use crate::upstream::ClientBody;
use crate::upstream::RequestBody;
use crate::upstream::piped;
use crate::upstream::piped::BodyFeed;
use crate::upstream::piped::Demand;

/// Where the body of the request under way is.
#[derive(Debug)]
pub enum Intake {
    /// There is none, or all of it has come: the next request follows.
    Done,
    /// It is being read.
    Feeding(Feeding),
    /// Nobody wants the rest.
    Abandoned(Decoder),
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
        let mut intake = Self::Feeding(feeding);
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
            match wire.poll_read(cx, ROOM) {
                Poll::Ready(Ok(read @ 1..)) => feeding.came(read, activity),
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
            *self = Self::Abandoned(feeding.decoder);
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

/// A body may begin as slowly as it likes, for so long.
const RATE_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });
