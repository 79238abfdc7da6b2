//! Both versions against the examples of the specification, and against anything at all.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;

fn header(bytes: &[u8]) -> Header {
    match parse(bytes) {
        Ok(ControlFlow::Break(header)) => header,
        other => panic!("{other:?}"),
    }
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(block);
    bytes
}

#[test]
fn version_1_names_both_ends() {
    let text = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
    let found = header(text);
    assert_eq!(found.source, Some("192.168.0.1:56324".parse().unwrap()));
    assert_eq!(found.destination, Some("192.168.0.11:443".parse().unwrap()));
    assert_eq!(&text[found.len..found.len + 3], b"GET");
    let longest = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(header(longest).source.map(|source| source.port()), Some(65535));
}

#[test]
fn unknown_says_nothing_whatever_follows() {
    for text in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n"] {
        let header = header(text.as_bytes());
        assert_eq!((header.source, header.len), (None, text.len()));
    }
}

#[test]
fn version_1_is_taken_literally() {
    for (line, error) in [
        ("TCP4 1.2.3.4 1.2.3.4 +80 443", HeaderError::Addresses),
        ("TCP4 1.2.3.4 1.2.3.4 080 443", HeaderError::Addresses),
        ("TCP4 1.2.3.4 1.2.3.4 80 65536", HeaderError::Addresses),
        ("TCP4 1.2.3.4  1.2.3.4 80 443", HeaderError::Addresses),
        ("TCP4 1.2.3.4 1.2.3.4 80 443 ", HeaderError::Addresses),
        ("TCP4 ::1 ::1 80 443", HeaderError::Addresses),
        ("TCP6 1.2.3.4 1.2.3.4 80 443", HeaderError::Addresses),
        ("TCP4", HeaderError::Addresses),
        ("UDP4 1.2.3.4 1.2.3.4 80 443", HeaderError::Family),
        ("", HeaderError::Family),
    ] {
        assert_eq!(parse(format!("PROXY {line}\r\n").as_bytes()), Err(error), "{line}");
    }
    assert_eq!(parse(format!("PROXY {}", "1".repeat(107)).as_bytes()), Err(HeaderError::Length));
}

#[test]
fn something_else_is_seen_at_the_first_byte_that_differs() {
    for bytes in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01", b"PROXX", b"\r\n\r\n\0\r\nQUIX"] {
        assert_eq!(parse(bytes), Err(HeaderError::Absent));
    }
    assert_eq!(parse(b""), Ok(ControlFlow::Continue(15)));
    assert_eq!(parse(b"\r\n"), Ok(ControlFlow::Continue(16)));
    assert_eq!(parse(b"PROXY UNKNOWN .....\r"), Ok(ControlFlow::Continue(21)));
}

#[test]
fn local_is_whole_without_addresses() {
    let mut own = Vec::new();
    write_local(&mut own);
    assert_eq!(header(&own).command, Command::Local);
    // What follows is discarded, whatever it is.
    let odd = v2(0x20, 0xff, &[1, 0xff, 0xff]);
    assert_eq!((header(&odd).source, header(&odd).len), (None, 19));
}

#[test]
fn families_without_addresses_of_networks_are_whole() {
    assert_eq!(header(&v2(0x21, 0x00, &[])).source, None);
    assert_eq!(header(&v2(0x21, 0x31, &[0; 216])).source, None);
    let vectors = [&[0; 216][..], &[tlv::ALPN, 0, 2, b'h', b'2']].concat();
    let unix = v2(0x21, 0x31, &vectors);
    assert_eq!(header(&unix).tlvs(&unix).collect::<Vec<_>>(), [(tlv::ALPN, &b"h2"[..])]);
}

#[test]
fn version_2_is_bounded_and_checked() {
    let twelve = [0; 12];
    for (bytes, error) in [
        (v2(0x11, 0x11, &twelve), HeaderError::Version),
        (v2(0x22, 0x11, &twelve), HeaderError::Command),
        (v2(0x21, 0x41, &twelve), HeaderError::Family),
        (v2(0x21, 0x13, &twelve), HeaderError::Family),
        (v2(0x21, 0x11, &twelve[..11]), HeaderError::Addresses),
        (v2(0x21, 0x21, &twelve), HeaderError::Addresses),
        (v2(0x21, 0x31, &twelve), HeaderError::Addresses),
        (v2(0x21, 0x11, &[0; 14]), HeaderError::Vector),
        (v2(0x21, 0x11, &[&twelve[..], &[1, 0, 2, 0]].concat()), HeaderError::Vector),
        (v2(0x21, 0x11, &[0; 17_000]), HeaderError::Length),
    ] {
        assert_eq!(parse(&bytes), Err(error));
    }
}

#[test]
fn what_tls_agreed_on_is_in_a_vector_of_vectors() {
    let ssl =
        Ssl { version: "TLSv1.3", cipher: "X", client_certificate: true, common_name: Some("c") };
    let tlvs = Tlvs { alpn: Some(b"h2"), authority: Some("a.example"), ssl: Some(ssl) };
    let mut bytes = Vec::new();
    write_v2(&mut bytes, "1.2.3.4:5".parse().unwrap(), "[::1]:6".parse().unwrap(), &tlvs);
    let header = header(&bytes);
    assert_eq!(header.source, Some("[::ffff:1.2.3.4]:5".parse().unwrap()));
    let vectors: Vec<_> = header.tlvs(&bytes).collect();
    assert_eq!(vectors[0], (tlv::ALPN, &b"h2"[..]));
    assert_eq!(vectors[1], (tlv::AUTHORITY, &b"a.example"[..]));
    let (kind, value) = vectors[2];
    assert_eq!((kind, &value[..5]), (tlv::SSL, &[7, 0, 0, 0, 0][..]));
    let inner: Vec<_> = v2::vectors(&value[5..]).map(Result::unwrap).collect();
    let expected = [
        (tlv::SSL_VERSION, &b"TLSv1.3"[..]),
        (tlv::SSL_CIPHER, &b"X"[..]),
        (tlv::SSL_COMMON_NAME, &b"c"[..]),
    ];
    assert_eq!(inner, expected);
}

fn tlv_words() -> impl Strategy<Value = (Option<Vec<u8>>, Option<String>, Option<String>)> {
    (
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        proptest::option::of("[a-z.]{0,300}"),
        proptest::option::of(".{0,2000}"),
    )
}

/// Whole headers of both versions.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let address = || (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from);
    let written = (address(), address(), tlv_words()).prop_map(|(from, to, words)| {
        let mut bytes = Vec::new();
        write(&mut bytes, from, to, &words);
        bytes
    });
    let line = (any::<[u8; 4]>(), any::<u16>(), "[ -~]{0,90}").prop_map(|(from, port, rest)| {
        let [a, b, c, d] = from;
        match port % 2 {
            0 => format!("PROXY TCP4 {a}.{b}.{c}.{d} 127.0.0.1 {port} 443\r\n").into_bytes(),
            _ => format!("PROXY UNKNOWN {rest}\r\n").into_bytes(),
        }
    });
    prop_oneof![written, line]
}

fn write(
    bytes: &mut Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    (alpn, authority, common_name): &(Option<Vec<u8>>, Option<String>, Option<String>),
) {
    let ssl = common_name.as_deref().map(|name| Ssl {
        version: "TLSv1.2",
        cipher: "TLS_AES_128_GCM_SHA256",
        client_certificate: true,
        common_name: Some(name),
    });
    let tlvs = Tlvs { alpn: alpn.as_deref(), authority: authority.as_deref(), ssl };
    write_v2(bytes, from, to, &tlvs);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        from in (any::<IpAddr>(), any::<u16>()),
        to in (any::<IpAddr>(), any::<u16>()),
        words in tlv_words(),
        rest: Vec<u8>,
    ) {
        let (from, to) = (SocketAddr::from(from), SocketAddr::from(to));
        let mut bytes = Vec::new();
        write(&mut bytes, from, to, &words);
        let len = bytes.len();
        bytes.extend_from_slice(&rest);
        let header = header(&bytes);
        prop_assert_eq!(header.len, len);
        let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        prop_assert_eq!(header.source.map(plain), Some(plain(from)));
        prop_assert_eq!(header.destination.map(plain), Some(plain(to)));
        let find = |kind| header.tlvs(&bytes).find(|(found, _)| *found == kind);
        prop_assert_eq!(find(tlv::ALPN).map(|(_, value)| value.to_vec()), words.0);
        prop_assert_eq!(find(tlv::SSL).is_some(), words.2.is_some());
    }

    /// However few bytes have come, nothing is asked for that does not belong to the header.
    #[test]
    fn a_part_of_a_header_asks_for_more_of_it(bytes in headers(), cut in any::<prop::sample::Index>()) {
        let whole = header(&bytes);
        let cut = cut.index(whole.len);
        match parse(&bytes[..cut]) {
            Ok(ControlFlow::Continue(needed)) => prop_assert!(cut < needed && needed <= whole.len),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn nothing_that_comes_is_a_panic(
        bytes: Vec<u8>,
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY TCP4 "[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21"[..])],
    ) {
        let bytes = [start, &bytes].concat();
        if let Ok(ControlFlow::Break(header)) = parse(&bytes) {
            prop_assert!(header.len <= bytes.len());
            header.tlvs(&bytes).for_each(drop);
        }
    }
}
