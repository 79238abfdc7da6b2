//! A parser of the ClientHello (RFC 8446, section 4.1.2): what a client offers, before anything is decided.
//!
//! A pure function over bytes that anybody may send: it never panics, and its work is bounded by their number.
//! The TLS library parses the same bytes again afterwards and is stricter; what it will refuse need not be refused here.

use std::borrow::Cow;
use std::ops::ControlFlow;

use rustls::pki_types::ServerName as WireName;

use crate::names::ServerName;
use crate::tls::read_hello::HelloError;

/// What a client offers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientHello {
    /// The name that the client asks for (RFC 6066, section 3).
    pub server_name: Option<ServerName>,
    /// A name was sent, but it is an address or no DNS name; it counts as none.
    pub server_name_invalid: bool,
    /// All of `supported_versions`; without that extension the one of `legacy_version`, at most 1.2.
    pub versions: Vec<u16>,
    /// In the client's order.
    pub cipher_suites: Vec<u16>,
    /// None: the extension is absent.
    pub signature_schemes: Option<Vec<u16>>,
    /// In the client's order. None: the extension is absent.
    pub groups: Option<Vec<u16>>,
    /// The groups for which a share was sent. None: the extension is absent.
    pub key_shares: Option<Vec<u16>>,
    /// Protocol names in the client's order; empty: the extension is absent.
    pub alpn: Vec<Box<[u8]>>,
    /// Whether the client has a session that it would like to resume.
    pub offers_resumption: bool,
}

impl ClientHello {
    /// Parses the records at the start of a connection. None: more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HelloError> {
        match locate(bytes)? {
            ControlFlow::Continue(_) => Ok(None),
            ControlFlow::Break(body) => parse_body(&body)
                .map(Some)
                .ok_or(HelloError::Malformed("a field has the wrong length")),
        }
    }
}

/// Finds the body of the ClientHello, which may be spread over several records.
/// `Continue` holds how many bytes there must be before it is worth looking again.
pub(super) fn locate(bytes: &[u8]) -> Result<ControlFlow<Cow<'_, [u8]>, usize>, HelloError> {
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut length = None;
    let mut spans = Vec::new();
    let mut collected = 0;
    let mut at = 0;
    loop {
        let Some(header) = bytes.get(at..at + RECORD_HEADER) else {
            return Ok(ControlFlow::Continue(at + RECORD_HEADER));
        };
        check_record(header, at == 0)?;
        let payload = at + RECORD_HEADER..at + RECORD_HEADER + length_of(&header[3..]);
        let Some(fragment) = bytes.get(payload.clone()) else {
            return Ok(ControlFlow::Continue(payload.end));
        };
        at = payload.end;
        collected += fragment.len();
        spans.push(payload);
        if length.is_none() && collected >= HANDSHAKE_HEADER {
            message = joined(bytes, &spans);
            length = Some(check_handshake(&message)?);
        }
        if let Some(length) = length.filter(|length| collected >= *length) {
            if message.len() < length {
                message = joined(bytes, &spans);
            }
            return Ok(ControlFlow::Break(match message {
                Cow::Borrowed(message) => Cow::Borrowed(&message[HANDSHAKE_HEADER..length]),
                Cow::Owned(mut message) => {
                    message.truncate(length);
                    message.drain(..HANDSHAKE_HEADER);
                    Cow::Owned(message)
                }
            }));
        }
    }
}

fn joined<'a>(bytes: &'a [u8], spans: &[std::ops::Range<usize>]) -> Cow<'a, [u8]> {
    match spans {
        [one] => Cow::Borrowed(&bytes[one.clone()]),
        many => Cow::Owned(many.iter().flat_map(|span| &bytes[span.clone()]).copied().collect()),
    }
}

fn check_record(header: &[u8], first: bool) -> Result<(), HelloError> {
    match header[0] {
        RECORD_HANDSHAKE if header[1] == 3 => {}
        _ if first => return Err(HelloError::NotTls),
        _ => return Err(HelloError::Malformed("another record within the ClientHello")),
    }
    match length_of(&header[3..]) {
        0 => Err(HelloError::Malformed("an empty record")),
        1..=MAX_RECORD => Ok(()),
        _ => Err(HelloError::Malformed("a record above 16 KiB")),
    }
}

/// The length of the whole message with its header.
fn check_handshake(message: &[u8]) -> Result<usize, HelloError> {
    if message[0] != CLIENT_HELLO {
        return Err(HelloError::Malformed("the first message is no ClientHello"));
    }
    if message[1] != 0 {
        return Err(HelloError::TooLarge);
    }
    Ok(HANDSHAKE_HEADER + length_of(&message[2..]))
}

fn length_of(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn parse_body(body: &[u8]) -> Option<ClientHello> {
    let mut body = Bytes(body);
    let legacy_version = body.u16()?;
    body.take(RANDOM)?;
    body.short_list()?;
    let cipher_suites = codes(body.long_list()?)?;
    body.short_list()?;
    let mut hello = ClientHello { cipher_suites, ..ClientHello::default() };
    let mut ticket = false;
    let mut psk = false;
    // Before TLS 1.2 the block of extensions could be left out altogether.
    let mut extensions = if body.0.is_empty() { Bytes(&[]) } else { Bytes(body.long_list()?) };
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let mut content = Bytes(extensions.long_list()?);
        match kind {
            SERVER_NAME => parse_server_name(content, &mut hello)?,
            SUPPORTED_GROUPS => hello.groups = Some(codes(content.long_list()?)?),
            SIGNATURE_ALGORITHMS => hello.signature_schemes = Some(codes(content.long_list()?)?),
            ALPN => hello.alpn = parse_alpn(content)?,
            SESSION_TICKET => ticket = !content.0.is_empty(),
            PRE_SHARED_KEY => psk = true,
            SUPPORTED_VERSIONS => hello.versions = codes(content.short_list()?)?,
            KEY_SHARE => hello.key_shares = Some(parse_key_shares(content)?),
            _ => {}
        }
    }
    if hello.versions.is_empty() {
        hello.versions = vec![legacy_version.min(TLS12)];
    }
    hello.offers_resumption = ticket || psk;
    Some(hello)
}

/// Name types other than `host_name` do not exist, and what follows one cannot be skipped.
fn parse_server_name(mut content: Bytes<'_>, hello: &mut ClientHello) -> Option<()> {
    let mut list = Bytes(content.long_list()?);
    let mut found = None;
    while let Some(kind) = list.u8() {
        if kind != HOST_NAME {
            break;
        }
        let name = list.long_list()?;
        // More than one name of a type is not allowed: a name that could be read in two ways is none.
        found = Some(if found.is_some() { None } else { dns_name(name) });
    }
    hello.server_name = found.flatten();
    hello.server_name_invalid = hello.server_name.is_none();
    Some(())
}

fn dns_name(name: &[u8]) -> Option<ServerName> {
    match WireName::try_from(name) {
        Ok(WireName::DnsName(name)) => name.as_ref().parse().ok(),
        _ => None,
    }
}

fn parse_alpn(mut content: Bytes<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut list = Bytes(content.long_list()?);
    let mut names = Vec::new();
    while !list.0.is_empty() {
        names.push(list.short_list()?.into());
    }
    Some(names)
}

fn parse_key_shares(mut content: Bytes<'_>) -> Option<Vec<u16>> {
    let mut list = Bytes(content.long_list()?);
    let mut groups = Vec::new();
    while !list.0.is_empty() {
        groups.push(list.u16()?);
        list.long_list()?;
    }
    Some(groups)
}

fn codes(list: &[u8]) -> Option<Vec<u16>> {
    let (codes, []) = list.as_chunks::<2>() else { return None };
    Some(codes.iter().map(|code| u16::from_be_bytes(*code)).collect())
}

/// What has not been parsed yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A list with one byte of length.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A list with two bytes of length.
    fn long_list(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

const TLS12: u16 = 0x0303;
const RECORD_HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
/// RFC 8446, section 5.1.
const MAX_RECORD: usize = 1 << 14;
const CLIENT_HELLO: u8 = 1;
const HANDSHAKE_HEADER: usize = 4;
const RANDOM: usize = 32;
const HOST_NAME: u8 = 0;

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
