//! Heads as they are sent, as they may be sent, and as nobody sends them without bad intentions.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<RequestHead, BadHead> {
    let mut buffer = BytesMut::from(text);
    parse(&mut buffer, &Limits::default()).map(|head| head.expect("a whole head"))
}

fn with(fields: &str) -> Result<RequestHead, BadHead> {
    read(&format!("POST /p HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"))
}

#[test]
fn a_head_is_taken_off_and_what_follows_stays() {
    let mut buffer = BytesMut::from(
        "GET /p?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Mine:  1 \r\nx-mine: 2\r\n\r\nGET",
    );
    let head = parse(&mut buffer, &Limits::default()).expect("fine").expect("whole");
    assert_eq!(&buffer[..], b"GET");
    let request = &head.request;
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert_eq!(request.uri(), "/p?q=1");
    let mine: Vec<_> = request.fields().get_all("x-mine").collect();
    assert_eq!(mine, ["1", "2"]);
    assert_eq!((head.framing, head.keeps_alive), (Framing::Empty, true));
    assert!(!head.expects_continue);
    let mut incomplete = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n");
    assert!(parse(&mut incomplete, &Limits::default()).expect("fine").is_none());
    assert_eq!(&incomplete[..], b"GET / HTTP/1.1\r\nHost: a\r\n");
}

#[test]
fn a_head_says_where_its_body_ends() {
    assert_eq!(with("X: y").expect("fine").framing, Framing::Empty);
    assert_eq!(with("Content-Length: 0").expect("fine").framing, Framing::Empty);
    assert_eq!(with("Content-Length: 17").expect("fine").framing, Framing::Length(17));
    let most = with("Content-Length: 9999999999999999999").expect("fine");
    assert_eq!(most.framing, Framing::Length(9_999_999_999_999_999_999));
    assert_eq!(with("Transfer-Encoding: Chunked").expect("fine").framing, Framing::Chunked);
}

/// SPEC PX-5: CL.TE, TE.CL, TE.TE and their kin.
#[test]
fn a_body_whose_end_can_be_seen_in_two_ways_is_refused() {
    for length in
        ["+1", "-1", "1,1", "1, 1", "0x1", "1 1", "", "01", "1.0", "10000000000000000000", "١"]
    {
        let refused = with(&format!("Content-Length: {length}")).expect_err(length);
        assert_eq!(refused, BadHead::Length, "{length}");
    }
    for lengths in [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        assert_eq!(with(lengths).expect_err(lengths), BadHead::Length, "{lengths}");
    }
    for codings in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 1\r\nTransfer-Encoding: identity",
    ] {
        assert_eq!(with(codings).expect_err(codings), BadHead::TransferCoding, "{codings}");
    }
    let old = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read(old).expect_err("HTTP/1.0"), BadHead::TransferCoding);
}

/// SPEC PX-5: nothing but CR LF ends a line, and nothing goes on in the next one.
#[test]
fn a_head_that_is_not_to_the_letter_is_refused() {
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET\r\n\r\n",
        "GARBAGE\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTP/1.1x\r\n\r\n",
        "GET / HTTP/11\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(read(text).expect_err(text), BadHead::Malformed, "{text:?}");
    }
    for target in ["/a b", "/a\tb", "/a#b", "/a\u{7f}", " /", "/ ", "http://", "", "/a\u{1}"] {
        let text = format!("GET {target} HTTP/1.1\r\n\r\n");
        assert_eq!(read(&text).expect_err(&text), BadHead::Target, "{text:?}");
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"] {
        let text = format!("GET / {version}\r\n\r\n");
        assert_eq!(read(&text).expect_err(&text), BadHead::Version, "{text:?}");
    }
}

#[test]
fn one_empty_line_before_a_head_is_skipped() {
    assert_eq!(read("\r\nGET /x HTTP/1.1\r\n\r\n").expect("fine").request.uri(), "/x");
}

#[test]
fn limits_are_kept_to_the_byte() {
    let limits =
        Limits { request_head: 64, request_line: 20, request_fields: 2, ..Limits::default() };
    let bounded = |text: &str| {
        let head = parse(&mut BytesMut::from(text), &limits);
        head.map(|head| head.is_some())
    };
    assert_eq!(bounded("GET /23456 HTTP/1.1\r\n\r\n"), Ok(true));
    assert_eq!(bounded("GET /234567 HTTP/1.1\r\n\r\n"), Ok(true));
    assert_eq!(bounded("GET /2345678 HTTP/1.1\r\n\r\n"), Err(BadHead::LongLine));
    assert_eq!(bounded("GET /234567890123456789"), Err(BadHead::LongLine));
    assert_eq!(bounded("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n"), Ok(true));
    assert_eq!(bounded("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n"), Err(BadHead::TooLarge));
    let filled = |length| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(length));
    assert_eq!(filled(41).len(), 64);
    assert_eq!(bounded(&filled(41)), Ok(true));
    assert_eq!(bounded(&filled(42)), Err(BadHead::TooLarge));
    assert_eq!(bounded(&format!("GET / HTTP/1.1\r\n{}", "x".repeat(60))), Err(BadHead::TooLarge));
}

#[test]
fn a_head_says_whether_the_connection_goes_on() {
    let keeps = |version: &str, fields: &str| {
        read(&format!("GET / {version}\r\n{fields}\r\n")).expect("fine").keeps_alive
    };
    assert!(keeps("HTTP/1.1", "") && keeps("HTTP/1.1", "Connection: upgrade\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: Close\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: te\r\nConnection: x , close\r\n"));
    assert!(!keeps("HTTP/1.0", "") && keeps("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("HTTP/1.0", "Connection: keep-alive, close\r\n"));
    let expects = |version: &str| {
        let text = format!("PUT / {version}\r\nExpect: 100-Continue\r\n\r\n");
        read(&text).expect("fine").expects_continue
    };
    assert!(expects("HTTP/1.1") && !expects("HTTP/1.0"));
}

#[test]
fn a_parser_reads_one_head_after_the_other() {
    let mut parser = Parser::default();
    let mut buffer = BytesMut::new();
    for number in 0..3 {
        buffer.extend_from_slice(format!("GET /{number} HTTP/1.1\r\nx: y\r\n\r\n").as_bytes());
    }
    for number in 0..3 {
        let head = parser.parse(&mut buffer, &Limits::default()).expect("fine").expect("whole");
        assert_eq!(head.request.uri().path(), format!("/{number}"));
        assert_eq!(head.request.fields().len(), 1);
    }
    assert!(parser.parse(&mut buffer, &Limits::default()).expect("fine").is_none());
}

/// A busy connection reads into the same buffer again and again.
#[test]
fn nothing_of_a_head_that_is_dropped_holds_the_buffer() {
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::with_capacity(4_096));
    let first = buffer.as_ptr() as usize;
    for _ in 0..100 {
        if buffer.capacity() < 1_024 {
            buffer.reserve(4_096);
        }
        assert!((first..first + 4_096).contains(&(buffer.as_ptr() as usize)));
        buffer.extend_from_slice(b"GET /some/path HTTP/1.1\r\nHost: a.example\r\nX-Y: z\r\n\r\n");
        parser.parse(&mut buffer, &Limits::default()).expect("fine").expect("whole");
    }
}

/// What comes of these bytes, said so that it can be compared.
fn outcome(pieces: &[&[u8]], limits: &Limits) -> String {
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::new());
    let mut result = Ok(None);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if !matches!(result, Ok(None)) {
            continue;
        }
        result = parser.parse(&mut buffer, limits);
    }
    match result {
        Ok(head) => format!("{head:?}, then {}", if head.is_some() { buffer.len() } else { 0 }),
        Err(bad) => format!("{bad:?}"),
    }
}

/// Bytes that look like a head, or nearly.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "GET ",
        "/",
        " HTTP/1.1",
        " HTTP/1.0",
        " HTTP/2.0",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Host: a",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        ": ",
        " ",
        "\t",
        "x",
        "#",
        "\0",
        "\u{e9}",
        "Connection: close",
        "aaaaaaaaaaaaaaaa",
    ]);
    let likely = prop::collection::vec(words, 0..24)
        .prop_map(|words| format!("GET / HTTP/1.1\r\n{}", words.concat()).into_bytes());
    let any_words = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![3 => likely, 1 => any_words]
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same(
        bytes in nearly_a_head(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let limits =
            Limits { request_head: 96, request_line: 24, request_fields: 3, ..Limits::default() };
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.push(bytes.len());
        places.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&bytes[from..place]);
            from = place;
        }
        let whole = outcome(&[&bytes], &limits);
        prop_assert_eq!(outcome(&pieces, &limits), &*whole);
        let drip: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(outcome(&drip, &limits), whole);
    }

    /// What is taken for a head can be written down again as one that says the same.
    #[test]
    fn a_head_that_is_taken_has_one_meaning(bytes in nearly_a_head()) {
        let mut buffer = BytesMut::from(&bytes[..]);
        if let Ok(Some(head)) = parse(&mut buffer, &Limits::default()) {
            let taken = &bytes[..bytes.len() - buffer.len()];
            prop_assert!(taken.ends_with(b"\r\n\r\n"));
            let bare = taken.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
            prop_assert!(!bare, "{:?}", String::from_utf8_lossy(taken));
            let fields = head.request.fields();
            let coding = fields.contains("transfer-encoding");
            prop_assert!(!(coding && fields.contains("content-length")));
            prop_assert_eq!(head.framing == Framing::Chunked, coding);
        }
    }
}
