//! What is known about a certificate, taken out of the leaf once and kept small.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;

use crate::certificate::error::Fingerprint;
use crate::key::Algorithm;
use crate::key::KeyType;

/// The facts of a leaf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The kind of the key.
    pub algorithm: Algorithm,
    /// DNS names (lower case) and addresses of the subject alternative name extension.
    pub names: Box<[Box<str>]>,
    /// Of the subject.
    pub common_name: Option<Box<str>>,
    /// The distinguished name (RFC 4514).
    pub subject: Box<str>,
    /// The distinguished name (RFC 4514).
    pub issuer: Box<str>,
    /// Lower-case hex, without separators.
    pub serial: Box<str>,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Of the leaf's DER.
    pub fingerprint: Fingerprint,
    /// Certificates that are sent, the leaf included.
    pub chain_len: u8,
}

/// Where a moment lies in a certificate's validity period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// After its end.
    Expired,
    /// Within it.
    Good,
    /// Before its start.
    NotYetValid,
}

impl Facts {
    /// The facts of a leaf, parsed and as DER, for a chain of one; the error says what about its key is not
    /// supported.
    pub fn of(leaf: &X509Certificate<'_>, der: &[u8]) -> Result<Self, &'static str> {
        let common_name = leaf.subject().iter_common_name().next();
        Ok(Self {
            algorithm: algorithm(leaf)?,
            names: names(leaf),
            common_name: common_name.and_then(|name| name.as_str().ok()).map(Into::into),
            subject: leaf.subject().to_string().into(),
            issuer: leaf.issuer().to_string().into(),
            serial: hex(leaf.raw_serial()),
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
            fingerprint: Fingerprint::of(der),
            chain_len: 1,
        })
    }

    /// The family of the key.
    pub fn key_type(&self) -> KeyType {
        self.algorithm.key_type()
    }

    /// Whether the certificate is in date at this moment (Unix seconds); both ends are included (RFC 5280, 4.1.2.5).
    pub fn validity(&self, now: i64) -> Validity {
        if now < self.not_before {
            Validity::NotYetValid
        } else if now > self.not_after {
            Validity::Expired
        } else {
            Validity::Good
        }
    }

    /// Whether clients accept the certificate for a host: a name of it equals the host, or is a wildcard for
    /// exactly the first label (RFC 9525, section 6.3). The common name plays no role.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(first, rest)| {
                !first.is_empty() && rest.eq_ignore_ascii_case(parent)
            }),
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

fn algorithm(leaf: &X509Certificate<'_>) -> Result<Algorithm, &'static str> {
    let key = leaf.public_key();
    // Ed25519 is unknown to the parser as a key, but has its object identifier (RFC 8410).
    if key.algorithm.algorithm.as_bytes() == ED25519 {
        return Ok(Algorithm::Ed25519);
    }
    match key.parsed().map_err(|_| "its public key is damaged")? {
        PublicKey::RSA(rsa) => {
            let bits = u16::try_from(rsa.key_size()).map_err(|_| "its RSA key is too large")?;
            Ok(Algorithm::Rsa { bits })
        }
        PublicKey::EC(_) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match curve.as_ref().map(|curve| curve.as_bytes()) {
                Some(P256) => Ok(Algorithm::P256),
                Some(P384) => Ok(Algorithm::P384),
                Some(P521) => Ok(Algorithm::P521),
                _ => Err("its key is on a curve that is not supported"),
            }
        }
        _ => Err("its kind of key is not supported"),
    }
}

fn names(leaf: &X509Certificate<'_>) -> Box<[Box<str>]> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Box::default() };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<Box<str>> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let v6 = || <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
            v4.or_else(|_| v6()).ok().map(|address| address.to_string().into())
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
        .into()
}

const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
