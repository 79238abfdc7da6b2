//! The body of a response on its way to the wire.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body::Frame;

use crate::http::http1::encode;
use crate::http::http1::encode::Content;
use crate::http::http1::encode::Terms;
use crate::http::http1::wire::Wire;

/// Frames one body.
#[derive(Debug)]
pub struct Outlet {
    content: Content,
    takes_trailers: bool,
    state: Filled,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filled {
    /// It broke off: the client must not take what it has for all.
    Broken,
    /// All of it is on the wire, or about to be.
    Ended,
    /// The wire is full.
    Full,
    /// There is nothing more at the moment.
    Waiting,
}

impl Outlet {
    /// A body whose head has been written.
    pub fn new(content: Content, terms: Terms) -> Self {
        // Nobody asks for a piece of what is not to be sent.
        let state = if terms.is_head { Filled::Ended } else { Filled::Waiting };
        Self { content, takes_trailers: terms.takes_trailers, state }
    }

    /// Puts on the wire what there is.
    pub fn poll_fill<IO, B>(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut B,
        wire: &mut Wire<'_, IO>,
    ) -> Filled
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while !matches!(self.state, Filled::Broken | Filled::Ended) {
            if body.is_end_stream() {
                self.end(wire, None);
                break;
            }
            if !wire.has_room() {
                return Filled::Full;
            }
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                return Filled::Waiting;
            };
            match frame {
                None => self.end(wire, None),
                Some(Ok(frame)) => self.take(frame, body, wire),
                Some(Err(_)) => self.state = Filled::Broken,
            }
        }
        self.state
    }

    fn take<IO, B: Body>(&mut self, frame: Frame<Bytes>, body: &B, wire: &mut Wire<'_, IO>) {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let trailers = frame.into_trailers().ok().filter(|_| self.takes_trailers);
                return self.end(wire, trailers.as_ref());
            }
        };
        if data.is_empty() {
            return;
        }
        match &mut self.content {
            // What has no body has none.
            Content::None => self.state = Filled::Ended,
            Content::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    wire.add(data, b"");
                }
                // More than was promised would be taken for the next response.
                None => self.state = Filled::Broken,
            },
            Content::Chunked => {
                encode::chunk(wire.text(), data.len());
                if body.is_end_stream() {
                    wire.add(data, b"\r\n0\r\n\r\n");
                    self.state = Filled::Ended;
                } else {
                    wire.add(data, b"\r\n");
                }
            }
            Content::UntilClose => wire.add(data, b""),
        }
    }

    fn end<IO>(&mut self, wire: &mut Wire<'_, IO>, trailers: Option<&HeaderMap>) {
        self.state = match self.content {
            // Less than was promised.
            Content::Length(1..) => Filled::Broken,
            Content::Chunked => {
                encode::last_chunk(wire.text(), trailers);
                Filled::Ended
            }
            Content::Length(0) | Content::None | Content::UntilClose => Filled::Ended,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use bytes::BytesMut;
    use http::HeaderValue;
    use http::Version;
    use proptest::prelude::*;

    use super::*;
    use crate::http::activity::Activity;
    use crate::upstream::http1::decoder::Decoder;
    use crate::upstream::http1::decoder::Framing;
    use crate::upstream::http1::decoder::Piece;

    const GET: Terms = Terms {
        version: Version::HTTP_11,
        is_head: false,
        keeps_alive: true,
        takes_trailers: true,
    };

    /// Frames that are there at once; knows its end before it is asked, or not.
    struct Frames(VecDeque<Frame<Bytes>>, bool);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.1 && self.0.is_empty()
        }
    }

    fn body(pieces: &[&[u8]], knows: bool) -> Frames {
        let frame = |piece: &&[u8]| Frame::data(Bytes::copy_from_slice(piece));
        Frames(pieces.iter().map(frame).collect(), knows)
    }

    /// What is written, and how it ends.
    fn written(content: Content, terms: Terms, mut body: Frames) -> (Vec<u8>, Filled) {
        let activity = Activity::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut wire = Wire::new(Vec::new(), BytesMut::new(), &activity);
        let mut outlet = Outlet::new(content, terms);
        loop {
            let filled = outlet.poll_fill(&mut cx, &mut body, &mut wire);
            assert!(wire.poll_write(&mut cx).is_ready());
            if filled != Filled::Full {
                return (wire.into_parts().0, filled);
            }
        }
    }

    fn text(content: Content, body: Frames) -> (String, Filled) {
        let (bytes, filled) = written(content, GET, body);
        (String::from_utf8(bytes).expect("text"), filled)
    }

    #[test]
    fn a_body_that_is_not_as_long_as_promised_breaks_off() {
        let length = |length, pieces: &[&[u8]]| text(Content::Length(length), body(pieces, true));
        assert_eq!(length(4, &[b"so", b"me"]), ("some".to_owned(), Filled::Ended));
        assert_eq!(length(0, &[]), (String::new(), Filled::Ended));
        assert_eq!(length(5, &[b"some"]), ("some".to_owned(), Filled::Broken));
        // Nothing of what is too much, which the client would take for the next response.
        assert_eq!(length(3, &[b"so", b"me"]), ("so".to_owned(), Filled::Broken));
        assert_eq!(length(0, &[b"some"]), (String::new(), Filled::Broken));
    }

    #[test]
    fn what_has_no_body_gets_none() {
        let head = Terms { is_head: true, ..GET };
        for (content, terms) in [(Content::None, GET), (Content::Length(4), head)] {
            let (bytes, filled) = written(content, terms, body(&[b"some"], true));
            assert_eq!((bytes.len(), filled), (0, Filled::Ended));
        }
    }

    #[test]
    fn trailers_are_for_those_who_take_them() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let with_trailers = || {
            let mut body = body(&[b"some"], false);
            body.0.push_back(Frame::trailers(trailers.clone()));
            body
        };
        let (text, _) = text(Content::Chunked, with_trailers());
        assert_eq!(text, "4\r\nsome\r\n0\r\nx-sum: 1\r\n\r\n");
        let terms = Terms { takes_trailers: false, ..GET };
        let (bytes, filled) = written(Content::Chunked, terms, with_trailers());
        assert_eq!((&bytes[..], filled), (&b"4\r\nsome\r\n0\r\n\r\n"[..], Filled::Ended));
        let until_close = written(Content::UntilClose, GET, with_trailers());
        assert_eq!(until_close, (b"some".to_vec(), Filled::Ended));
    }

    proptest! {
        #[test]
        fn chunks_are_read_as_what_they_were(
            sizes in prop::collection::vec(0_usize..20_000, 0..6),
            knows in any::<bool>(),
        ) {
            let pieces: Vec<_> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
            let slices: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            let (bytes, filled) = written(Content::Chunked, GET, body(&slices, knows));
            prop_assert_eq!(filled, Filled::Ended);
            let (mut decoder, mut buffer) = (Decoder::new(Framing::Chunked), BytesMut::from(&bytes[..]));
            let mut read = 0;
            while let Some(piece) = decoder.decode(&mut buffer).expect("chunks") {
                match piece {
                    Piece::Data(data) => read += data.len(),
                    Piece::End(_) => prop_assert!(buffer.is_empty()),
                }
            }
            prop_assert!(decoder.has_ended());
            prop_assert_eq!(read, sizes.iter().sum::<usize>());
        }
    }
}
