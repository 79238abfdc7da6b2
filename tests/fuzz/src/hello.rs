//! ClientHellos: split anywhere, over records and over reads, one says the same; and whatever name it
//! asks for, the table gives it to the service that owns it, or to the parent.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::OnceLock;

use portcullis::config::Config;
use portcullis::config::limits::Limits;
use portcullis::config::timeouts::Timeouts;
use portcullis::service::Table;
use portcullis::service::settings::Settings;
use portcullis::tls::hello::ClientHello;

use crate::services::service;

pub(crate) fn check(bytes: &[u8]) {
    let whole = ClientHello::parse(bytes);
    check_prefixes(bytes, &whole);
    let Ok(Some(hello)) = whole else { return };
    check_records(bytes, &hello);
    check_service(&hello);
}

/// What is not decided yet is not refused later for what has been there.
fn check_prefixes<E: std::fmt::Debug>(bytes: &[u8], whole: &Result<Option<ClientHello>, E>) {
    // As a slow client sends it, and never more than a few hundred times.
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        match ClientHello::parse(&bytes[..end]) {
            Ok(None) => {}
            Ok(Some(hello)) => {
                let same = whole.as_ref().is_ok_and(|whole| whole.as_ref() == Some(&hello));
                assert!(same, "{end} bytes: {hello:?}, all: {whole:?}");
            }
            Err(error) => assert!(whole.is_err(), "{end} bytes: {error:?}, all: {whole:?}"),
        }
    }
}

/// The same message in records of other sizes.
fn check_records(bytes: &[u8], hello: &ClientHello) {
    let Some(message) = message(bytes) else { return };
    for size in [1, 7, 100, 1 << 14] {
        let mut records = Vec::new();
        for fragment in message.chunks(size) {
            records.extend_from_slice(&[22, 3, 1]);
            records.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
            records.extend_from_slice(fragment);
        }
        let again = ClientHello::parse(&records).expect("as well formed as before");
        assert_eq!(again.as_ref(), Some(hello), "in records of {size}");
    }
}

/// The handshake message that the records at the beginning carry.
fn message(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = bytes;
    let end = loop {
        if let [_, high, middle, low, ..] = message[..] {
            let length = u32::from_be_bytes([0, high, middle, low]) as usize + 4;
            if message.len() >= length {
                break ControlFlow::<usize>::Break(length);
            }
        }
        let length = usize::from(u16::from_be_bytes([*rest.get(3)?, *rest.get(4)?]));
        message.extend_from_slice(rest.get(5..5 + length)?);
        rest = &rest[5 + length..];
    };
    let ControlFlow::Break(length) = end else { return None };
    message.truncate(length);
    Some(message)
}

fn check_service(hello: &ClientHello) {
    let found = table().find(hello.server_name.as_ref());
    let name = hello.server_name.as_ref().map_or("", |name| name.as_str());
    assert_eq!(name, name.to_ascii_lowercase());
    assert!(!(hello.server_name_invalid && hello.server_name.is_some()));
    // Said once more, and in another way than the table looks.
    let expected = match name {
        "shop.example.com" => "shop",
        // Whose it is where two patterns say so is the table's own test.
        name if name.starts_with("intranet.") && name.contains(".example.") => return,
        name if name.ends_with(".example.com") => "below",
        name if name == "example.org" || name.ends_with(".example.org") => "org",
        name if name.starts_with("intranet.") => "stem",
        _ => "front",
    };
    assert_eq!(found.service.name.as_str(), expected, "{name}");
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let loaded = Config::parse("table.toml", include_str!("table.toml"));
        let config = loaded.unwrap_or_else(|complaints| panic!("{complaints}")).config;
        let named = |name: &str| {
            let config = &config.virtual_services[name];
            Arc::new(service(config))
        };
        let children = ["shop", "below", "org", "stem"].map(named);
        let settings = Settings { timeouts: Timeouts::default(), limits: Limits::default() };
        Table::new(named("front"), &children, false, Arc::new(settings))
    })
}
