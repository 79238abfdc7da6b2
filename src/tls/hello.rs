//! A parser of the ClientHello (RFC 8446, section 4.1.2): what a client offers, before anything is decided.
//!
//! A pure function over bytes that anybody may send: it never panics, and its work is bounded by their number.
//! The TLS library parses the same bytes again afterwards and is stricter; what it will refuse need not be refused here.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::ops::Range;

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
        match Locator::default().advance(bytes)? {
            ControlFlow::Continue(_) => Ok(None),
            ControlFlow::Break(body) => Self::of_body(&body).map(Some),
        }
    }

    pub(super) fn of_body(body: &[u8]) -> Result<Self, HelloError> {
        parse_body(body)
            .ok_or(HelloError::Malformed("a field has the wrong length or too many entries"))
    }
}

/// Finds the body of the ClientHello, which may be spread over several records, while they come in:
/// each byte is looked at once, however small the pieces are.
#[derive(Debug, Default)]
pub(super) struct Locator {
    /// Where the next record begins.
    at: usize,
    /// What earlier records hold of the message.
    message: Vec<u8>,
}

impl Locator {
    /// Looks at what has come since. Called with the same bytes as before and those that followed.
    /// `Continue` holds how many there must be before it is worth looking again.
    pub(super) fn advance<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<ControlFlow<Cow<'a, [u8]>, usize>, HelloError> {
        loop {
            let Some(header) = bytes.get(self.at..self.at + RECORD_HEADER) else {
                return Ok(ControlFlow::Continue(self.at + RECORD_HEADER));
            };
            check_record(header, self.at == 0)?;
            let payload = self.at + RECORD_HEADER;
            let end = payload + length_of(&header[3..]);
            let Some(fragment) = bytes.get(payload..end) else {
                return Ok(ControlFlow::Continue(end));
            };
            self.at = end;
            if self.message.is_empty()
                && let Some(whole) = whole(fragment)?
            {
                return Ok(ControlFlow::Break(Cow::Borrowed(&fragment[whole])));
            }
            self.message.extend_from_slice(fragment);
            if let Some(whole) = whole(&self.message)? {
                return Ok(ControlFlow::Break(Cow::Owned(self.message[whole].to_vec())));
            }
        }
    }
}

/// Where the body of the message is, if all of it is there.
fn whole(message: &[u8]) -> Result<Option<Range<usize>>, HelloError> {
    if message.len() < HANDSHAKE_HEADER {
        return Ok(None);
    }
    let end = check_handshake(message)?;
    Ok((message.len() >= end).then_some(HANDSHAKE_HEADER..end))
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
        // A box for each byte of a hello would be memory many times its size.
        if names.len() == MAX_PROTOCOLS {
            return None;
        }
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
/// Browsers offer two or three, and one that is made up.
const MAX_PROTOCOLS: usize = 64;

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
