//! Heads of responses: what they say, what is none, and what they may be made of.

use proptest::prelude::*;

use super::*;

fn read(text: &[u8]) -> Result<Option<Response<()>>, BadHead> {
    parse(&mut BytesMut::from(text), MOST)
}

fn head(text: &str) -> Response<()> {
    read(text.as_bytes()).expect("a head").expect("whole")
}

#[test]
fn a_head_is_a_status_line_and_fields() {
    let mut input = BytesMut::from("HTTP/1.1 200 OK\r\nServer: x\r\nX-A:  1 \r\nx-a:\r\n\r\nbody");
    let head = parse(&mut input, MOST).expect("a head").expect("whole");
    assert_eq!((head.status(), head.version()), (StatusCode::OK, Version::HTTP_11));
    assert_eq!(input, "body");
    assert_eq!(head.head().reason, None);
    let fields = head.fields();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(format!("{fields:?}"), r#"[("server", "x"), ("x-a", "1"), ("x-a", "")]"#);
}

#[test]
fn unusual_words_are_kept_and_no_words_too() {
    for (line, status, words) in [
        ("HTTP/1.1 200 Fine", 200, "Fine"),
        ("HTTP/1.1 200 ", 200, ""),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.1 404 a b\tc", 404, "a b\tc"),
        ("HTTP/1.1 999 High", 999, "High"),
        ("HTTP/1.1 200  OK", 200, " OK"),
    ] {
        let head = head(&format!("{line}\r\n\r\n"));
        assert_eq!(head.status().as_u16(), status, "{line}");
        assert_eq!(head.head().reason.as_deref(), Some(words.as_bytes()), "{line}");
    }
    assert_eq!(head("HTTP/1.0 200 OK\r\n\r\n").version(), Version::HTTP_10);
    assert_eq!(
        head("HTTP/1.1 200 OK\nx: y\n\n").fields().get("x").expect("kept"),
        "y",
        "a bare LF ends a line"
    );
}

/// SPEC PX-1
#[test]
fn what_is_no_head_is_told_as_soon_as_it_is_seen() {
    let malformed = [
        "\r\n",
        "SSH-2.0-x\r\n",
        "\u{15}\u{3}\u{1}",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.2 200 OK\r\n",
        "HTTP/1.1\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200 a\0b\r\n",
        "HTTP/1.1 200 a\rb\r\n",
    ];
    for text in malformed {
        assert_eq!(read(text.as_bytes()).unwrap_err(), BadHead::Malformed, "{text:?}");
    }
    for text in ["HTTP/1.1 20\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 099 x\r\n", "HTTP/1.1 2000\r\n"]
    {
        assert_eq!(read(text.as_bytes()).unwrap_err(), BadHead::Status, "{text:?}");
    }
    for field in
        ["x", "x : 1", " x: 1", "x: 1\r\n folded", ": 1", "bad name: 1", "x: a\0b", "x: a\rb"]
    {
        let text = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
        assert_eq!(read(text.as_bytes()).unwrap_err(), BadHead::Field, "{text:?}");
    }
}

#[test]
fn a_head_has_its_bounds() {
    let of = |length: usize| {
        let text = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(length));
        (text.len(), read(text.as_bytes()).map(|head| head.is_some()))
    };
    assert_eq!(of(MOST - 24), (MOST, Ok(true)));
    assert_eq!(of(MOST - 23), (MOST + 1, Err(BadHead::TooLarge)));
    let begun = [b"HTTP/1.1 200 OK\r\nx: ", &*b"y".repeat(MOST)].concat();
    assert!(read(&begun[..MOST - 1]).expect("not yet too large").is_none());
    assert_eq!(read(&begun[..MOST]).unwrap_err(), BadHead::TooLarge);
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(head(&many(100)).fields().len(), 100);
    assert_eq!(read(many(101).as_bytes()).unwrap_err(), BadHead::TooLarge);
}

#[test]
fn a_body_ends_where_the_head_says() {
    let of = |method: Method, status: &str, fields: &str| {
        framing(&head(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n\r\n")), &method)
    };
    let length = "content-length: 5";
    assert_eq!(of(Method::GET, "200", length), Ok(Framing::Length(5)));
    assert_eq!(of(Method::GET, "200", "content-length: 0"), Ok(Framing::Empty));
    assert_eq!(of(Method::GET, "200", "transfer-encoding: chunked"), Ok(Framing::Chunked));
    assert_eq!(of(Method::GET, "200", "x: y"), Ok(Framing::UntilClose));
    for (method, status) in [(Method::HEAD, "200"), (Method::GET, "204"), (Method::GET, "304")] {
        assert_eq!(of(method, status, length), Ok(Framing::Empty), "{status}");
    }
    for bad in ["+5", "-5", "", "five", "5 5", "0x5", "5, 6", "18446744073709551616"] {
        let said = of(Method::GET, "200", &format!("content-length: {bad}"));
        assert_eq!(said, Err(BadHead::Length), "{bad}");
    }
    let old = head("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(framing(&old, &Method::GET), Err(BadHead::TransferCoding));
}

#[test]
fn a_connection_is_kept_unless_it_is_said_to_close() {
    let keeps = |text: &str| keeps_alive(&head(&format!("HTTP/1.{text}\r\n\r\n")));
    assert!(keeps("1 200 OK") && keeps("1 200 OK\r\nconnection: keep-alive"));
    assert!(!keeps("1 200 OK\r\nconnection: x\r\nconnection: y, Close"));
    assert!(!keeps("0 200 OK") && !keeps("0 200 OK\r\nconnection: keep-alive"));
}

fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 301\n",
        "HTTP/1.",
        "x: y\r\n",
        "content-length: 5\r\n",
        "\r\n",
        "\n",
        "\r",
        ":",
        " ",
        "\0",
        "200",
    ]);
    let begin = prop::sample::select(vec!["HTTP/1.1 200 OK\r\n", "HTTP/1.1 103\n", ""]);
    (begin, prop::collection::vec(words, 0..8))
        .prop_map(|(begin, words)| [begin, &words.concat()].concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same(bytes in nearly_a_head()) {
        let shown = |read: Result<Option<Response<()>>, BadHead>| format!("{read:?}");
        let whole = shown(read(&bytes));
        for size in 1..4 {
            let mut input = BytesMut::new();
            let mut last = Ok(None);
            for piece in bytes.chunks(size) {
                input.extend_from_slice(piece);
                last = parse(&mut input, MOST);
                if !matches!(last, Ok(None)) {
                    break;
                }
            }
            prop_assert_eq!(&shown(last), &whole);
        }
    }

    #[test]
    fn nothing_that_comes_is_a_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(read(&bytes));
        drop(read(&[BEGIN, &bytes].concat()));
        drop(read(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()));
    }
}

const MOST: usize = 4_000;
