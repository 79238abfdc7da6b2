//! What the words of a TLS profile are on the wire: the code points of IANA's TLS registry.

use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::TlsVersion;

impl TlsVersion {
    /// The value in `supported_versions` (RFC 8446, section 4.2.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }
}

/// What a suite demands of the certificate's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authentication {
    /// TLS 1.3: the suite says nothing about it.
    Any,
    /// ECDSA, and Ed25519 (RFC 8422, section 5.10).
    Ecdsa,
    /// RSA, PSS or PKCS#1.
    Rsa,
}

impl CipherSuite {
    /// Code point, and the key that it demands.
    const fn entry(self) -> (u16, Authentication) {
        match self {
            Self::Tls13Aes128GcmSha256 => (0x1301, Authentication::Any),
            Self::Tls13Aes256GcmSha384 => (0x1302, Authentication::Any),
            Self::Tls13Chacha20Poly1305Sha256 => (0x1303, Authentication::Any),
            Self::EcdheEcdsaAes128GcmSha256 => (0xc02b, Authentication::Ecdsa),
            Self::EcdheEcdsaAes256GcmSha384 => (0xc02c, Authentication::Ecdsa),
            Self::EcdheEcdsaChacha20Poly1305 => (0xcca9, Authentication::Ecdsa),
            Self::EcdheRsaAes128GcmSha256 => (0xc02f, Authentication::Rsa),
            Self::EcdheRsaAes256GcmSha384 => (0xc030, Authentication::Rsa),
            Self::EcdheRsaChacha20Poly1305 => (0xcca8, Authentication::Rsa),
        }
    }

    /// The code point.
    pub const fn code(self) -> u16 {
        self.entry().0
    }

    /// What the suite demands of the certificate's key.
    pub const fn authentication(self) -> Authentication {
        self.entry().1
    }

    /// The suite of a code point.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.code() == code)
    }
}

impl Group {
    /// The code point.
    pub const fn code(self) -> u16 {
        match self {
            Self::X25519MlKem768 => 0x11ec,
            Self::X25519 => 0x001d,
            Self::Secp256r1 => SECP256R1,
            Self::Secp384r1 => SECP384R1,
        }
    }

    /// Hybrid key exchange exists in TLS 1.3 only.
    pub fn usable_in(self, version: TlsVersion) -> bool {
        version == TlsVersion::Tls13 || self != Self::X25519MlKem768
    }

    /// The group of a code point.
    pub fn from_code(code: u16) -> Option<Self> {
        GROUPS.iter().copied().find(|group| group.code() == code)
    }
}

/// The curve P-256 as a group (RFC 8422, section 5.1.1).
pub const SECP256R1: u16 = 0x0017;
/// The curve P-384 as a group.
pub const SECP384R1: u16 = 0x0018;
/// The curve P-521 as a group.
pub const SECP521R1: u16 = 0x0019;

/// ECDSA with P-256 and SHA-256 (RFC 8446, section 4.2.3, like those that follow).
pub const ECDSA_P256: u16 = 0x0403;
/// ECDSA with P-384 and SHA-384.
pub const ECDSA_P384: u16 = 0x0503;
/// ECDSA with P-521 and SHA-512.
pub const ECDSA_P521: u16 = 0x0603;
/// EdDSA with Curve25519.
pub const ED25519: u16 = 0x0807;
/// RSA-PSS with keys for any RSA use, with SHA-256, 384 and 512.
pub const RSA_PSS: [u16; 3] = [0x0804, 0x0805, 0x0806];
/// RSA PKCS#1 v1.5 with SHA-256, 384 and 512.
pub const RSA_PKCS1: [u16; 3] = [0x0401, 0x0501, 0x0601];

/// Reserved values that clients mix into their lists (RFC 8701): 0x0a0a, 0x1a1a, .. 0xfafa.
pub const fn is_grease(code: u16) -> bool {
    code & 0x0f0f == 0x0a0a && code >> 8 == code & 0xff
}

const GROUPS: [Group; 4] =
    [Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_are_those_of_rustls() {
        for suite in CipherSuite::ALL.iter().copied() {
            let name = format!("{:?}", rustls::CipherSuite::from(suite.code()));
            assert_eq!(name.replace("TLS13_", "TLS_"), suite.as_str());
            assert_eq!(CipherSuite::from_code(suite.code()), Some(suite));
        }
        for group in GROUPS {
            let name = format!("{:?}", rustls::NamedGroup::from(group.code()));
            // SEC 2 calls the curves of NIST by other names.
            let name = name.replace("secp256r1", "P-256").replace("secp384r1", "P-384");
            assert_eq!(name, group.as_str());
            assert_eq!(Group::from_code(group.code()), Some(group));
        }
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a) && !is_grease(0x1301));
    }
}
