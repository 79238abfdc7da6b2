//! The parser against real hellos, cut, split and damaged.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;

use super::*;

/// What rustls as a client sends.
fn real(name: &str) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = WireName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// A hello with these extensions alone.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (kind, content) in extensions {
        block.extend_from_slice(&kind.to_be_bytes());
        block.extend_from_slice(&(content.len() as u16).to_be_bytes());
        block.extend_from_slice(content);
    }
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0]].concat();
    body.extend_from_slice(&(block.len() as u16).to_be_bytes());
    body.extend_from_slice(&block);
    in_records(&message(&body), usize::MAX)
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 0];
    message.extend_from_slice(&(body.len() as u16).to_be_bytes());
    message.extend_from_slice(body);
    message
}

fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for fragment in message.chunks(size.min(MAX_RECORD)) {
        records.extend_from_slice(&[22, 3, 1]);
        records.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        records.extend_from_slice(fragment);
    }
    records
}

fn sni(names: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        list.push(0);
        list.extend_from_slice(&(name.len() as u16).to_be_bytes());
        list.extend_from_slice(name);
    }
    [&(list.len() as u16).to_be_bytes()[..], &list].concat()
}

#[test]
fn a_real_hello_is_read_as_it_was_meant() {
    let hello = ClientHello::parse(&real("Shop.Example.com")).unwrap().unwrap();
    assert_eq!(hello.server_name.unwrap().as_str(), "shop.example.com");
    assert_eq!(hello.versions, [0x0304, 0x0303]);
    assert_eq!(hello.groups.as_deref().unwrap()[0], 0x11ec);
    assert_eq!(hello.key_shares.as_deref(), Some(&[0x11ec, 0x001d][..]));
    assert_eq!(hello.alpn, [b"h2".as_slice().into(), b"http/1.1".as_slice().into()]);
    assert!(hello.cipher_suites.contains(&0x1301) && !hello.offers_resumption);
    assert!(hello.signature_schemes.unwrap().contains(&0x0403));
}

#[test]
fn a_hello_cut_anywhere_is_incomplete() {
    let bytes = real("a.example.com");
    for end in 0..bytes.len() {
        assert!(ClientHello::parse(&bytes[..end]).unwrap().is_none(), "{end}");
    }
    let more = [&bytes[..], b"what comes after"].concat();
    assert!(ClientHello::parse(&more).unwrap().is_some());
}

#[test]
fn a_hello_may_come_in_pieces() {
    let bytes = real("a.example.com");
    let whole = ClientHello::parse(&bytes).unwrap().unwrap();
    for size in [1, 3, 4, 5, 100, 1000] {
        let pieces = in_records(&bytes[RECORD_HEADER..], size);
        assert_eq!(ClientHello::parse(&pieces).unwrap().as_ref(), Some(&whole), "{size}");
        for end in [1, pieces.len() / 2, pieces.len() - 1] {
            assert!(ClientHello::parse(&pieces[..end]).unwrap().is_none(), "{size} {end}");
        }
    }
}

#[test]
fn a_name_that_is_none_counts_as_none() {
    let parse = |names: &[&[u8]]| {
        let bytes = with_extensions(&[(SERVER_NAME, &sni(names))]);
        let hello = ClientHello::parse(&bytes).unwrap().unwrap();
        (hello.server_name.map(|name| name.to_string()), hello.server_name_invalid)
    };
    assert_eq!(parse(&[b"A.example.com."]), (Some("a.example.com".into()), false));
    for bad in [&b"192.0.2.1"[..], b"::1", b"a b", b"\xff\xfe", b"", b"-a", b"a..b"] {
        assert_eq!(parse(&[bad]), (None, true), "{bad:?}");
    }
    assert_eq!(parse(&[b"a.example.com", b"b.example.com"]), (None, true));
    assert_eq!(parse(&[]), (None, true));
    let without = ClientHello::parse(&with_extensions(&[])).unwrap().unwrap();
    assert_eq!((without.server_name, without.server_name_invalid), (None, false));
}

#[test]
fn versions_come_from_the_extension_or_the_old_field() {
    let parse = |extensions: &[(u16, &[u8])]| {
        ClientHello::parse(&with_extensions(extensions)).unwrap().unwrap()
    };
    let grease = parse(&[(SUPPORTED_VERSIONS, &[4, 0x1a, 0x1a, 3, 4]), (0x2a2a, &[0])]);
    assert_eq!(grease.versions, [0x1a1a, 0x0304]);
    assert_eq!(parse(&[]).versions, [0x0303]);
    assert!(parse(&[(SESSION_TICKET, &[1])]).offers_resumption);
    assert!(!parse(&[(SESSION_TICKET, &[])]).offers_resumption);
}

#[test]
fn what_is_no_hello_is_named() {
    let error = |bytes: &[u8]| ClientHello::parse(bytes).unwrap_err();
    assert!(matches!(error(b"GET / HTTP/1.1\r\n"), HelloError::NotTls));
    assert!(matches!(error(&[0x80, 0x2e, 1, 0, 2]), HelloError::NotTls));
    assert!(matches!(error(&[22, 3, 1, 0, 0]), HelloError::Malformed(_)));
    assert!(matches!(error(&[22, 3, 1, 0xff, 0xff]), HelloError::Malformed(_)));
    assert!(matches!(error(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), HelloError::Malformed(_)));
    assert!(matches!(error(&[22, 3, 1, 0, 4, 1, 1, 0, 0]), HelloError::TooLarge));
    assert!(matches!(error(&in_records(&message(&[3, 3]), 64)), HelloError::Malformed(_)));
    let odd = with_extensions(&[(SUPPORTED_GROUPS, &[0, 3, 0, 0x1d, 0])]);
    assert!(matches!(error(&odd), HelloError::Malformed(_)));
}

#[test]
fn more_protocols_than_anybody_speaks_are_refused() {
    let offer = |names: u16| {
        let list: Vec<u8> = (0..names).flat_map(|_| [1, b'x']).collect();
        let list = [&(names * 2).to_be_bytes()[..], &list].concat();
        ClientHello::parse(&with_extensions(&[(ALPN, &list)]))
    };
    assert_eq!(offer(64).unwrap().unwrap().alpn.len(), 64);
    assert!(matches!(offer(65), Err(HelloError::Malformed(_))));
}

/// A byte at a time, each in a record of its own: what was looked at is not looked at again.
#[test]
fn the_smallest_pieces_are_looked_at_once() {
    let bytes = real("a.example.com");
    let pieces = in_records(&bytes[RECORD_HEADER..], 1);
    let mut locator = Locator::default();
    for end in 0..pieces.len() {
        let before = locator.at;
        let ControlFlow::Continue(needed) = locator.advance(&pieces[..end]).unwrap() else {
            panic!("{end} of {} bytes are not enough", pieces.len());
        };
        assert!(needed > end && locator.at - before <= RECORD_HEADER + 1);
    }
    let ControlFlow::Break(body) = locator.advance(&pieces).unwrap() else { panic!("all of it") };
    assert_eq!(Some(ClientHello::of_body(&body).unwrap()), ClientHello::parse(&bytes).unwrap());
}

#[tokio::test]
async fn a_hello_is_read_from_a_connection_with_what_follows() {
    use crate::tls::read_hello::read_hello;
    let bytes = [&real("a.example.com")[..], b"more"].concat();
    let mut io = &bytes[..];
    let hello = read_hello(&mut io).await.unwrap();
    assert_eq!(hello.offer.server_name.unwrap().as_str(), "a.example.com");
    assert_eq!(hello.bytes, bytes[..hello.bytes.len()]);

    assert!(matches!(read_hello(&mut &b""[..]).await, Err(HelloError::Closed)));
    assert!(matches!(read_hello(&mut &bytes[..100]).await, Err(HelloError::Truncated)));
    assert!(matches!(read_hello(&mut &b"GET /"[..]).await, Err(HelloError::PlainHttp)));
    assert!(matches!(read_hello(&mut &b"\0"[..]).await, Err(HelloError::NotTls)));
    let endless: Vec<u8> = (0..20_000).flat_map(|_| [22, 3, 1, 0, 1, 1]).collect();
    let mut start = in_records(&[1, 0, 0xff, 0xff], 4);
    start.extend_from_slice(&endless);
    assert!(matches!(read_hello(&mut &start[..]).await, Err(HelloError::TooLarge)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        size in 1..300_usize,
    ) {
        let _ = ClientHello::parse(&bytes);
        let _ = ClientHello::parse(&in_records(&bytes, size));
        let _ = ClientHello::parse(&in_records(&message(&bytes), size));
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0], &bytes].concat();
        let _ = ClientHello::parse(&in_records(&message(&body), size));
    }

    #[test]
    fn flipped_bits_are_survived(flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..6)) {
        let mut bytes = real("a.example.com");
        for (position, bit) in flips {
            let position = position.index(bytes.len());
            bytes[position] ^= 1_u8 << bit;
        }
        let _ = ClientHello::parse(&bytes);
    }
}
