//! Reading version 2: a binary header (section 2.2).

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use crate::proxy_protocol::Command;
use crate::proxy_protocol::Header;
use crate::proxy_protocol::HeaderError;

/// The first twelve bytes.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
pub(super) const FIXED: usize = 16;

/// Bytes that begin like version 2.
pub(super) fn parse(bytes: &[u8]) -> Result<ControlFlow<Header, usize>, HeaderError> {
    let Some((fixed, _)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(ControlFlow::Continue(FIXED));
    };
    let command = match (fixed[12] >> 4, fixed[12] & 0x0f) {
        (2, 0) => Command::Local,
        (2, 1) => Command::Proxy,
        (2, _) => return Err(HeaderError::Command),
        _ => return Err(HeaderError::Version),
    };
    let len = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > LONGEST {
        return Err(HeaderError::Length);
    }
    let Some(block) = bytes.get(FIXED..len) else {
        return Ok(ControlFlow::Continue(len));
    };
    let header = Header { len, command, source: None, destination: None, tlvs: len..len };
    if command == Command::Local {
        // What follows is to be discarded, the family included.
        return Ok(ControlFlow::Break(header));
    }
    let (addresses, taken) = addresses(fixed[13], block)?;
    let vectors_of = block.get(taken..).ok_or(HeaderError::Addresses)?;
    vectors(vectors_of).try_for_each(|vector| vector.map(drop))?;
    Ok(ControlFlow::Break(Header {
        source: addresses.map(|(source, _)| source),
        destination: addresses.map(|(_, destination)| destination),
        tlvs: FIXED + taken..len,
        ..header
    }))
}

/// Type and value of each vector; ends after one that is longer than what is left.
pub(super) fn vectors(mut rest: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), HeaderError>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((&[kind, high, low], behind)) = rest.split_first_chunk() else {
            rest = &[];
            return Some(Err(HeaderError::Vector));
        };
        let Some((value, behind)) = behind.split_at_checked(u16::from_be_bytes([high, low]).into())
        else {
            rest = &[];
            return Some(Err(HeaderError::Vector));
        };
        rest = behind;
        Some(Ok((kind, value)))
    })
}

/// The addresses, if the family has any that mean something here, and the bytes that they take.
fn addresses(
    family: u8,
    block: &[u8],
) -> Result<(Option<(SocketAddr, SocketAddr)>, usize), HeaderError> {
    // A datagram's addresses are as good as a stream's.
    match (family >> 4, family & 0x0f) {
        (0, 0..=2) | (1..=3, 0) => Ok((None, taken_by(family >> 4))),
        (1, 1 | 2) => pair::<4>(block, |octets| Ipv4Addr::from(octets).into()),
        (2, 1 | 2) => pair::<16>(block, |octets| Ipv6Addr::from(octets).into()),
        (3, 1 | 2) => Ok((None, taken_by(3))),
        _ => Err(HeaderError::Family),
    }
}

fn taken_by(family: u8) -> usize {
    match family {
        1 => 2 * (4 + 2),
        2 => 2 * (16 + 2),
        3 => 2 * UNIX_PATH,
        _ => 0,
    }
}

/// Source, destination, source port, destination port.
fn pair<const N: usize>(
    block: &[u8],
    address: fn([u8; N]) -> IpAddr,
) -> Result<(Option<(SocketAddr, SocketAddr)>, usize), HeaderError> {
    let read = || {
        let (&source, rest) = block.split_first_chunk()?;
        let (&destination, rest) = rest.split_first_chunk()?;
        let (&source_port, rest) = rest.split_first_chunk()?;
        let (&destination_port, _) = rest.split_first_chunk()?;
        let source = SocketAddr::new(address(source), u16::from_be_bytes(source_port));
        let port = u16::from_be_bytes(destination_port);
        Some((source, SocketAddr::new(address(destination), port)))
    };
    let addresses = read().ok_or(HeaderError::Addresses)?;
    Ok((Some(addresses), 2 * (N + 2)))
}

/// Bytes of a path in a `sockaddr_un`.
const UNIX_PATH: usize = 108;

/// Room for a client's whole certificate in a vector; a length field could say four times as much.
const LONGEST: usize = 16 * 1024;
