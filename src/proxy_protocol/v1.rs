//! Version 1: one line of text (section 2.1).

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::ops::ControlFlow;

use crate::proxy_protocol::Command;
use crate::proxy_protocol::Header;
use crate::proxy_protocol::HeaderError;

/// What a line begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Bytes that begin like version 1.
pub(super) fn parse(bytes: &[u8]) -> Result<ControlFlow<Header, usize>, HeaderError> {
    let within = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        if within.len() == LONGEST {
            return Err(HeaderError::Length);
        }
        let missing = if within.ends_with(b"\r") { 1 } else { 2 };
        return Ok(ControlFlow::Continue((within.len() + missing).clamp(SHORTEST, LONGEST)));
    };
    let line = within.get(SIGNATURE.len()..end).ok_or(HeaderError::Addresses)?;
    let line = str::from_utf8(line).map_err(|_| HeaderError::Addresses)?;
    let addresses = addresses(line)?;
    Ok(ControlFlow::Break(Header {
        len: end + 2,
        command: Command::Proxy,
        source: addresses.map(|(source, _)| source),
        destination: addresses.map(|(_, destination)| destination),
        tlvs: 0..0,
    }))
}

/// What stands after `PROXY `. Behind UNKNOWN anything may follow, and is to be ignored.
fn addresses(line: &str) -> Result<Option<(SocketAddr, SocketAddr)>, HeaderError> {
    let mut words = line.split(' ');
    let parse: fn(&str) -> Option<IpAddr> = match words.next() {
        Some("TCP4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        Some("TCP6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        Some("UNKNOWN") => return Ok(None),
        _ => return Err(HeaderError::Family),
    };
    let mut address = || words.next().and_then(parse).ok_or(HeaderError::Addresses);
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().and_then(port).ok_or(HeaderError::Addresses);
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(HeaderError::Addresses);
    }
    let source = SocketAddr::new(source, source_port);
    Ok(Some((source, SocketAddr::new(destination, destination_port))))
}

/// Digits without a leading zero: `u16::from_str` alone would take `+80` and `0080`.
fn port(text: &str) -> Option<u16> {
    let is_canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    is_canonical.then(|| text.parse().ok()).flatten()
}

/// `PROXY UNKNOWN`, and the end of the line.
const SHORTEST: usize = 15;

/// With the end of the line; the specification counts it.
const LONGEST: usize = 107;
