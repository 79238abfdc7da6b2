//! Writing version 2.

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::proxy_protocol::tlv;
use crate::proxy_protocol::v2::SIGNATURE;

/// What a header says beside the addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tlvs<'a> {
    /// What ALPN agreed on with the client.
    pub alpn: Option<&'a [u8]>,
    /// The name that the client asked for.
    pub authority: Option<&'a str>,
    /// None: the client's connection is plain text, or its TLS does not end here.
    pub ssl: Option<Ssl<'a>>,
}

/// What TLS with the client agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Ssl<'a> {
    /// Such as `TLSv1.3`.
    pub version: &'a str,
    /// IANA's name, or OpenSSL's.
    pub cipher: &'a str,
    /// A certificate of the client was verified, if not in this handshake then in the one whose
    /// session was resumed.
    pub client_certificate: bool,
    /// The common name of that certificate.
    pub common_name: Option<&'a str>,
}

/// Appends a header for someone else's connection. Addresses of two families are both written as
/// IPv6.
pub fn write_v2(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr, tlvs: &Tlvs<'_>) {
    out.extend_from_slice(&SIGNATURE);
    out.push(PROXY);
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.push(TCP_OVER_IPV4);
            counted(out, |out| {
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
                ports_and_vectors(out, [source.port(), destination.port()], tlvs);
            });
        }
        (from, to) => {
            out.push(TCP_OVER_IPV6);
            counted(out, |out| {
                out.extend_from_slice(&as_ipv6(from).octets());
                out.extend_from_slice(&as_ipv6(to).octets());
                ports_and_vectors(out, [source.port(), destination.port()], tlvs);
            });
        }
    }
}

/// Appends a header for a connection of our own, such as a health check.
pub fn write_local(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
}

fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn ports_and_vectors(out: &mut Vec<u8>, ports: [u16; 2], tlvs: &Tlvs<'_>) {
    for port in ports {
        out.extend_from_slice(&port.to_be_bytes());
    }
    if let Some(alpn) = tlvs.alpn {
        vector(out, tlv::ALPN, alpn);
    }
    if let Some(authority) = tlvs.authority {
        vector(out, tlv::AUTHORITY, authority.as_bytes());
    }
    let Some(ssl) = &tlvs.ssl else { return };
    out.push(tlv::SSL);
    counted(out, |out| {
        let certificate = if ssl.client_certificate { CERTIFICATE_FLAGS } else { 0 };
        out.push(OVER_TLS | certificate);
        // 0 is said of a certificate that was verified, and of nothing else.
        let verified: u32 = if ssl.client_certificate { 0 } else { 1 };
        out.extend_from_slice(&verified.to_be_bytes());
        vector(out, tlv::SSL_VERSION, ssl.version.as_bytes());
        vector(out, tlv::SSL_CIPHER, ssl.cipher.as_bytes());
        if let Some(common_name) = ssl.common_name {
            vector(out, tlv::SSL_COMMON_NAME, common_name.as_bytes());
        }
    });
}

/// A value that no receiver would have room for is left out: the others are worth more.
fn vector(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if value.len() <= LONGEST_VALUE {
        out.push(kind);
        counted(out, |out| out.extend_from_slice(value));
    }
}

/// Two bytes that say how many bytes follow. There are less than 65536: [`LONGEST_VALUE`] times five,
/// and some.
fn counted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX);
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// `PP2_CLIENT_SSL`.
const OVER_TLS: u8 = 0x01;

/// `PP2_CLIENT_CERT_CONN` and `PP2_CLIENT_CERT_SESS`.
const CERTIFICATE_FLAGS: u8 = 0x06;

/// Names have at most 255 bytes; only a common name can be longer, and not in earnest.
const LONGEST_VALUE: usize = 1024;
