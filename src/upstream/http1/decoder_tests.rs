//! Bodies in one piece and in many, and chunks that are none.

use proptest::prelude::*;

use super::*;

/// Body, trailers and what is left over, from bytes that come in these pieces; `None` if they are not
/// all of it.
type Outcome = Result<Option<(Vec<u8>, String, usize)>, BadBody>;

fn decode(framing: Framing, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(framing);
    let (mut buffer, mut body, mut end) = (BytesMut::new(), Vec::new(), None);
    for piece in pieces.iter().copied().chain([&[][..]]) {
        buffer.extend_from_slice(piece);
        while let Some(piece) = decoder.decode(&mut buffer)? {
            match piece {
                Piece::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(&data);
                }
                Piece::End(trailers) => end = Some(format!("{trailers:?}")),
            }
        }
    }
    assert_eq!(decoder.has_ended(), end.is_some());
    Ok(end.map(|end| (body, end, buffer.len())))
}

fn chunks(text: &str) -> Outcome {
    decode(Framing::Chunked, &[text.as_bytes()])
}

fn body(outcome: Outcome) -> (String, usize) {
    let (body, _, left) = outcome.expect("fine").expect("whole");
    (String::from_utf8(body).expect("text"), left)
}

#[test]
fn a_body_ends_where_its_framing_says() {
    assert_eq!(body(decode(Framing::Empty, &[b"next"])), (String::new(), 4));
    assert_eq!(body(decode(Framing::Length(5), &[b"hel", b"lonext"])), ("hello".to_owned(), 4));
    assert_eq!(decode(Framing::Length(5), &[b"hell"]), Ok(None));
    let text = "5\r\nhello\r\n00A;name=\"v\"\r\n, everyone\r\n0\r\n\r\nnext";
    assert_eq!(body(chunks(text)), ("hello, everyone".to_owned(), 4));
    assert_eq!(chunks("5\r\nhello\r\n0\r\n"), Ok(None));
    assert_eq!(chunks("ffffffffffffffff\r\nx"), Ok(None));
}

#[test]
fn endpoints_may_pad_the_sizes_of_their_chunks() {
    let padded = BytesMut::from("5   \r\nhello\r\n0\t\r\n\r\n");
    let all = |mut decoder: Decoder| {
        let (mut buffer, mut read) = (padded.clone(), 0);
        while let Some(piece) = decoder.decode(&mut buffer)? {
            if let Piece::Data(data) = piece {
                read += data.len();
            }
        }
        Ok((read, decoder.has_ended()))
    };
    assert_eq!(all(Decoder::of_response(Framing::Chunked)), Ok((5, true)));
    assert_eq!(all(Decoder::new(Framing::Chunked)), Err(BadBody), "clients may not");
}

#[test]
fn what_has_no_end_ends_with_its_connection() {
    let mut buffer = BytesMut::from("some");
    let mut decoder = Decoder::new(Framing::UntilClose);
    assert!(matches!(decoder.decode(&mut buffer), Ok(Some(Piece::Data(data))) if data == "some"));
    assert!(matches!(decoder.decode(&mut buffer), Ok(None)));
    assert_eq!((decoder.length(), decoder.has_ended()), (None, false));
    assert!(decoder.closed() && decoder.has_ended());
    for framing in [Framing::Length(5), Framing::Chunked] {
        assert!(!Decoder::new(framing).closed(), "{framing:?}");
    }
}

#[test]
fn trailers_are_fields() {
    let (_, trailers, _) = chunks("0\r\nX-Sum: 1\r\n\r\n").expect("fine").expect("whole");
    assert_eq!(trailers, "Some({\"x-sum\": \"1\"})");
    for bad in ["x : y", " x: y", "x", "x: \0", ": y"] {
        assert_eq!(chunks(&format!("0\r\n{bad}\r\n\r\n")), Err(BadBody), "{bad:?}");
    }
    assert_eq!(chunks(&format!("0\r\nx: {}\r\n\r\n", "y".repeat(20_000))), Err(BadBody));
    assert_eq!(chunks(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(33))), Err(BadBody));
}

/// SPEC PX-5
#[test]
fn a_size_is_plain_hexadecimal_and_its_line_ends_in_cr_lf() {
    for bad in [
        "\r\n",
        ";\r\n",
        "x\r\n",
        "zz\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "5 ;x\r\nhello\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\r\nhello\r\n",
        "5\r\nhello\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "5;a\nb\r\nhello\r\n",
        "5;a\0\r\nhello\r\n",
        "5;a\u{7f}\r\nhello\r\n",
        "5_0\r\n",
        "00000000000000005\r\nhello\r\n",
        "10000000000000000\r\n",
        "0\r\n\n",
        "0\n\r\n",
    ] {
        assert_eq!(chunks(bad), Err(BadBody), "{bad:?}");
    }
    let talkative = format!("1;{}\r\nx\r\n", "e".repeat(1_000)).repeat(17);
    assert_eq!(chunks(&talkative), Err(BadBody));
}

#[test]
fn a_size_of_sixteen_digits_may_begin_with_zeros() {
    assert_eq!(body(chunks("0000000000000005\r\nhello\r\n0\r\n\r\n")), ("hello".to_owned(), 0));
}

fn nearly_chunks() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "a;x=y\r\n",
        "0123456789",
        "\r\n",
        "\n",
        "\r",
        ";",
        "1",
        "ff",
        "x: y\r\n",
        " ",
        "\0",
        "content-length: 1\r\n",
    ]);
    let likely = prop::collection::vec(words, 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![3 => likely, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same(bytes in nearly_chunks(), length in 0_u64..20) {
        for framing in [Framing::Chunked, Framing::Length(length), Framing::Empty] {
            let whole = decode(framing, &[&bytes]);
            for size in 1..6 {
                let pieces: Vec<_> = bytes.chunks(size).collect();
                prop_assert_eq!(&decode(framing, &pieces), &whole);
            }
        }
    }

    #[test]
    fn what_was_chunked_is_what_comes_out(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
    ) {
        let mut text = Vec::new();
        for piece in &pieces {
            text.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            text.extend_from_slice(piece);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\nGET");
        let (body, _, left) = decode(Framing::Chunked, &[&text]).expect("fine").expect("whole");
        prop_assert_eq!(body, pieces.concat());
        prop_assert_eq!(left, 3);
    }
}
