//! Offers and decisions in words, for log lines and `explain`.
//!
//! Bounded: a client cannot make a log line long, and what it sent as text is escaped.

use std::fmt;
use std::fmt::Write;

use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::TlsVersion;
use crate::tls::choose::Negotiation;
use crate::tls::choose::Rule;
use crate::tls::choose::Unfit;
use crate::tls::code_points::is_grease;
use crate::tls::hello::ClientHello;

impl ClientHello {
    /// The offer in words.
    pub fn describe(&self) -> String {
        let mut text = versions(&self.versions);
        let absent = || "absent".to_owned();
        let suites = list(&self.cipher_suites, suite_name);
        let schemes =
            self.signature_schemes.as_deref().map_or_else(absent, |codes| list(codes, scheme_name));
        let groups = self.groups.as_deref().map_or_else(absent, groups);
        let shares = self.key_shares.as_deref().map_or_else(absent, self::groups);
        let _ = write!(
            text,
            "; suites {suites}; signatures {schemes}; groups {groups}; shares {shares}; alpn {}",
            if self.alpn.is_empty() { absent() } else { alpn(&self.alpn) }
        );
        text
    }
}

impl fmt::Display for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retry = if self.needs_hello_retry { " (after a retry)" } else { "" };
        write!(
            f,
            "TLS {}, {}, {}{retry}, {}",
            self.version.as_str(),
            self.cipher_suite.as_str(),
            self.group.as_str(),
            self.alpn.map_or("no ALPN", |alpn| alpn.as_str()),
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instead(Unfit::CannotSign) => {
                "the key of the preferred certificate cannot sign now"
            }
            Self::Instead(Unfit::Curve) => {
                "the client does not offer the curve of the preferred certificate"
            }
            Self::Instead(Unfit::OutOfDate) => "the preferred certificate is out of date",
            Self::Instead(Unfit::Scheme) => {
                "the client cannot verify signatures of the preferred certificate"
            }
            Self::Instead(Unfit::Suite) => "no shared suite goes with the preferred certificate",
            Self::NothingInDate => "nothing that the client can use is in date",
            Self::Only => "the only certificate",
            Self::Preferred => "the preferred key type",
        })
    }
}

/// Why a certificate cannot be served, from the client's point of view.
pub(super) fn unfit(unfit: Unfit, version: TlsVersion) -> &'static str {
    match (unfit, version) {
        (Unfit::CannotSign, _) => "its key cannot sign now",
        (Unfit::Curve, _) => "the client does not offer its curve",
        (Unfit::OutOfDate, _) => "it is out of date",
        (Unfit::Scheme, _) => "the client does not offer a signature scheme for it",
        (Unfit::Suite, TlsVersion::Tls12) => "no TLS 1.2 suite for it is shared",
        (Unfit::Suite, TlsVersion::Tls13) => "no TLS 1.3 suite is shared",
    }
}

/// `TLS 1.3, 1.2`.
pub(super) fn versions(codes: &[u16]) -> String {
    format!(
        "TLS {}",
        list(codes, |code| match code {
            0x0304 => Some("1.3"),
            0x0303 => Some("1.2"),
            0x0302 => Some("1.1"),
            0x0301 => Some("1.0"),
            0x0300 => Some("SSL 3.0"),
            _ => None,
        })
    )
}

/// Names of groups.
pub(super) fn groups(codes: &[u16]) -> String {
    list(codes, |code| match Group::from_code(code) {
        Some(group) => Some(group.as_str()),
        None => match code {
            0x0019 => Some("secp521r1"),
            0x001e => Some("x448"),
            0x0100 => Some("ffdhe2048"),
            0x0101 => Some("ffdhe3072"),
            0x6399 => Some("X25519Kyber768Draft00"),
            _ => None,
        },
    })
}

/// Protocol names as the client sent them, escaped.
pub(super) fn alpn(names: &[Box<[u8]>]) -> String {
    let mut text = String::new();
    for name in names.iter().take(MAX_NAMED) {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{}", name[..name.len().min(32)].escape_ascii());
    }
    text
}

fn suite_name(code: u16) -> Option<&'static str> {
    match CipherSuite::from_code(code) {
        Some(suite) => Some(suite.as_str()),
        None => match code {
            0x000a => Some("TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
            0x002f => Some("TLS_RSA_WITH_AES_128_CBC_SHA"),
            0x0035 => Some("TLS_RSA_WITH_AES_256_CBC_SHA"),
            0x009c => Some("TLS_RSA_WITH_AES_128_GCM_SHA256"),
            0x009d => Some("TLS_RSA_WITH_AES_256_GCM_SHA384"),
            0x009e => Some("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
            0x009f => Some("TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
            0x00ff => Some("TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
            0xc009 => Some("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
            0xc00a => Some("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
            0xc013 => Some("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
            0xc014 => Some("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
            _ => None,
        },
    }
}

fn scheme_name(code: u16) -> Option<&'static str> {
    Some(match code {
        0x0201 => "rsa_pkcs1_sha1",
        0x0203 => "ecdsa_sha1",
        0x0401 => "rsa_pkcs1_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        _ => return None,
    })
}

fn list(codes: &[u16], name: impl Fn(u16) -> Option<&'static str>) -> String {
    let mut text = String::new();
    let meaningful = || codes.iter().copied().filter(|code| !is_grease(*code));
    for code in meaningful().take(MAX_NAMED) {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = match name(code) {
            Some(name) => write!(text, "{separator}{name}"),
            None => write!(text, "{separator}0x{code:04x}"),
        };
    }
    match meaningful().count().saturating_sub(MAX_NAMED) {
        0 => text,
        more => text + &format!(", {more} more"),
    }
}

/// Enough for every real client's useful entries.
const MAX_NAMED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_described_in_bounded_words() {
        let hello = ClientHello {
            versions: vec![0x0a0a, 0x0304, 0x0303],
            cipher_suites: (0x4000..0x5000).collect(),
            alpn: vec![b"h2\n".as_slice().into()],
            ..ClientHello::default()
        };
        let text = hello.describe();
        assert!(text.starts_with("TLS 1.3, 1.2; suites 0x4000, 0x4001"), "{text}");
        assert!(text.contains("4075 more; signatures absent; groups absent"), "{text}");
        assert!(text.ends_with("alpn h2\\n"), "{text}");
    }
}
