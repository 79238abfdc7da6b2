//! Bodies over HTTP/1.1: the same in one piece and in many, and what is left is exactly what is behind
//! their end. The first byte says what the head has said: 255 for chunks, 254 for the
//! end of the connection, anything else for a length.

use bytes::BytesMut;
use portcullis::upstream::http1::decoder::Decoder;
use portcullis::upstream::http1::decoder::Framing;
use portcullis::upstream::http1::decoder::Piece;

pub(crate) fn check(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let framing = match first {
        0 => Framing::Empty,
        254 => Framing::UntilClose,
        255 => Framing::Chunked,
        length => Framing::Length(u64::from(*length)),
    };
    let whole = read(framing, body, usize::MAX);
    for size in [1, 2, 7] {
        assert_eq!(read(framing, body, size), whole, "in pieces of {size}");
    }
    match (framing, &whole) {
        (Framing::Empty, Read { data, end: End::At(0), .. }) => assert!(data.is_empty()),
        (Framing::Empty, _) => panic!("{whole:?}"),
        (Framing::Length(length), Read { data, end, .. }) => {
            let length = usize::try_from(length).expect("small");
            assert_eq!(data[..], body[..length.min(body.len())]);
            assert_eq!(*end == End::At(length), body.len() >= length);
        }
        (Framing::Chunked, Read { end: End::At(end), .. }) => {
            let taken = &body[..*end];
            assert!(taken.ends_with(b"\r\n\r\n"), "the last chunk, trailers, and an empty line");
            assert_eq!(read(framing, taken, usize::MAX), whole, "what follows changes nothing");
        }
        (Framing::Chunked, _) => {}
        (Framing::UntilClose, read) => assert_eq!(read.data, body),
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Read {
    data: Vec<u8>,
    trailers: String,
    end: End,
}

#[derive(Debug, Eq, PartialEq)]
enum End {
    /// All of it came; so many bytes were taken.
    At(usize),
    Bad,
    NotYet,
}

fn read(framing: Framing, bytes: &[u8], size: usize) -> Read {
    let mut decoder = Decoder::new(framing);
    let mut read = Read { data: Vec::new(), trailers: String::new(), end: End::NotYet };
    let mut buffer = BytesMut::new();
    let mut given = 0;
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Some(Piece::Data(data))) => {
                assert!(!data.is_empty());
                read.data.extend_from_slice(&data);
            }
            Ok(Some(Piece::End(trailers))) => {
                read.trailers = format!("{trailers:?}");
                read.end = End::At(given - buffer.len());
                return read;
            }
            Ok(None) if given == bytes.len() => return read,
            Ok(None) => {
                let more = size.min(bytes.len() - given);
                buffer.extend_from_slice(&bytes[given..given + more]);
                given += more;
            }
            Err(_) => {
                read.end = End::Bad;
                // How much of it came out before is a matter of pieces.
                read.data.clear();
                return read;
            }
        }
    }
}
