//! Offers of well-known clients, and of one that was captured, to ask the chooser about (SPEC TLS-5).

use thiserror::Error;

use crate::names::ServerName;
use crate::tls::hello::ClientHello;
use crate::tls::read_hello::HelloError;

/// The built-in clients with what they are.
pub const CLIENTS: &[(&str, &str)] = &[
    ("chrome", "Chrome and Edge: TLS 1.3 with post-quantum key exchange"),
    ("firefox", "Firefox: TLS 1.3 with post-quantum key exchange"),
    ("safari", "Safari and iOS: TLS 1.3"),
    ("curl", "curl with OpenSSL 3"),
    ("go", "a Go program"),
    ("openssl_1_2", "OpenSSL 3 limited to TLS 1.2"),
    ("java8", "Java 8 before update 261: TLS 1.2, no ALPN"),
    ("android7", "Android 7.0: TLS 1.2 with P-256 alone"),
    ("rsa_only", "TLS 1.3 and 1.2, but RSA signatures only"),
    ("tls10", "a client from before 2012: TLS 1.0"),
];

/// The offer of a built-in client, without a server name.
pub fn client(name: &str) -> Option<ClientHello> {
    Some(match name {
        "chrome" => chrome(),
        "firefox" => firefox(),
        "safari" => ClientHello {
            groups: Some(CLASSIC.to_vec()),
            key_shares: Some(vec![X25519]),
            ..chrome()
        },
        "curl" => curl(),
        "go" => go(),
        "openssl_1_2" => ClientHello {
            versions: vec![0x0303],
            cipher_suites: curl().cipher_suites.split_off(3),
            key_shares: None,
            alpn: Vec::new(),
            ..curl()
        },
        "java8" => java8(),
        "android7" => ClientHello {
            versions: vec![0x0303],
            cipher_suites: [MODERN_TLS12, &[0xc009, 0xc013, 0xc00a, 0xc014]].concat(),
            signature_schemes: Some(vec![
                0x0601, 0x0603, 0x0501, 0x0503, 0x0401, 0x0403, 0x0201, 0x0203,
            ]),
            groups: Some(vec![0x0017]),
            alpn: http(),
            ..ClientHello::default()
        },
        "rsa_only" => ClientHello {
            cipher_suites: vec![0x1301, 0x1302, 0x1303, 0xc02f, 0xc030, 0xcca8],
            signature_schemes: Some(vec![0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601]),
            ..curl()
        },
        "tls10" => ClientHello {
            versions: vec![0x0301],
            cipher_suites: vec![0xc009, 0xc013, 0xc00a, 0xc014, 0x002f, 0x0035, 0x000a],
            groups: Some(vec![0x0017, 0x0018]),
            ..ClientHello::default()
        },
        _ => return None,
    })
}

/// The same offer with another server name.
pub fn with_server_name(offer: ClientHello, server_name: Option<ServerName>) -> ClientHello {
    ClientHello { server_name, server_name_invalid: false, ..offer }
}

/// A captured ClientHello in hex: the record, or the handshake message alone. White space and colons are skipped.
pub fn parse_hex(text: &str) -> Result<ClientHello, HexError> {
    let digits: Vec<u8> =
        text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':').collect();
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(HexError::Odd) };
    let mut bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<Vec<u8>>>()
        .ok_or(HexError::Digit)?;
    if bytes.first() == Some(&HANDSHAKE_MESSAGE) {
        bytes = in_records(&bytes);
    }
    ClientHello::parse(&bytes)?.ok_or(HexError::Incomplete)
}

/// Why a text is no captured ClientHello.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum HexError {
    #[error("something else than hexadecimal digits")]
    Digit,
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("the ClientHello is cut off")]
    Incomplete,
    #[error("an odd number of hexadecimal digits")]
    Odd,
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn in_records(message: &[u8]) -> Vec<u8> {
    let mut records = Vec::with_capacity(message.len() + 5);
    for fragment in message.chunks(1 << 14) {
        records.extend_from_slice(&[22, 3, 1]);
        records.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        records.extend_from_slice(fragment);
    }
    records
}

fn chrome() -> ClientHello {
    ClientHello {
        versions: vec![0x0304, 0x0303],
        cipher_suites: [&[0x1301, 0x1302, 0x1303], MODERN_TLS12, LEGACY_TLS12].concat(),
        signature_schemes: Some(vec![
            0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
        ]),
        groups: Some([&[X25519_MLKEM], CLASSIC].concat()),
        key_shares: Some(vec![X25519_MLKEM, X25519]),
        alpn: http(),
        ..ClientHello::default()
    }
}

fn firefox() -> ClientHello {
    ClientHello {
        cipher_suites: [&[0x1301, 0x1303, 0x1302], MODERN_TLS12, LEGACY_TLS12].concat(),
        signature_schemes: Some(vec![
            0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201,
        ]),
        groups: Some(vec![X25519_MLKEM, X25519, 0x0017, 0x0018, 0x0019, 0x0100, 0x0101]),
        key_shares: Some(vec![X25519_MLKEM, X25519, 0x0017]),
        ..chrome()
    }
}

fn curl() -> ClientHello {
    ClientHello {
        cipher_suites: vec![
            0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f,
            0x009e, 0xc00a, 0xc014, 0xc009, 0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0x00ff,
        ],
        signature_schemes: Some(vec![
            0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806,
            0x0401, 0x0501, 0x0601, 0x0303, 0x0301,
        ]),
        groups: Some(vec![X25519, 0x0017, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101]),
        key_shares: Some(vec![X25519]),
        ..chrome()
    }
}

fn go() -> ClientHello {
    ClientHello {
        cipher_suites: [MODERN_TLS12, &[0xc009, 0xc013, 0xc00a, 0xc014, 0x1301, 0x1302, 0x1303]]
            .concat(),
        signature_schemes: Some(vec![
            0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603, 0x0201,
            0x0203,
        ]),
        groups: Some(vec![X25519_MLKEM, X25519, 0x0017, 0x0018, 0x0019]),
        ..chrome()
    }
}

fn java8() -> ClientHello {
    ClientHello {
        versions: vec![0x0303],
        cipher_suites: vec![
            0xc023, 0xc027, 0x003c, 0xc009, 0xc013, 0x002f, 0xc02c, 0xc02b, 0xc030, 0x009d, 0xc02f,
            0x009c, 0x00ff,
        ],
        signature_schemes: Some(vec![
            0x0603, 0x0601, 0x0503, 0x0501, 0x0403, 0x0401, 0x0203, 0x0201,
        ]),
        groups: Some(vec![0x0017, 0x0018, 0x0019]),
        ..ClientHello::default()
    }
}

fn http() -> Vec<Box<[u8]>> {
    vec![b"h2".as_slice().into(), b"http/1.1".as_slice().into()]
}

const HANDSHAKE_MESSAGE: u8 = 1;
const X25519: u16 = 0x001d;
const X25519_MLKEM: u16 = 0x11ec;
const CLASSIC: &[u16] = &[X25519, 0x0017, 0x0018];
const MODERN_TLS12: &[u16] = &[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
const LEGACY_TLS12: &[u16] = &[0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_client_exists() {
        for (name, _) in CLIENTS {
            assert!(client(name).is_some(), "{name}");
        }
        assert!(client("netscape").is_none());
        let named = with_server_name(chrome(), "a.example.com".parse().ok());
        assert_eq!(named.server_name.unwrap().as_str(), "a.example.com");
    }

    #[test]
    fn hex_is_read_with_or_without_the_record() {
        let message =
            [&[1, 0, 0, 43, 3, 3][..], &[7; 32], &[0, 0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0]].concat();
        let hex =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}: \n")).collect::<String>();
        let bare = parse_hex(&hex(&message)).unwrap();
        assert_eq!(bare.cipher_suites, [0x1301, 0x1302]);
        assert_eq!(bare.versions, [0x0303]);
        assert_eq!(parse_hex(&hex(&in_records(&message))).unwrap(), bare);
        assert!(matches!(parse_hex("160"), Err(HexError::Odd)));
        assert!(matches!(parse_hex("16 zz"), Err(HexError::Digit)));
        assert!(matches!(parse_hex("16 03 01"), Err(HexError::Incomplete)));
    }
}
