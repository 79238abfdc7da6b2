//! What kinds of keys there are: the words shared by certificates, the chooser, metrics and logs.

use std::fmt;

/// The family of a key: a virtual service has at most one certificate of each.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyType {
    /// ECDSA on any curve.
    Ec,
    /// EdDSA (RFC 8032).
    Ed25519,
    /// RSA of any size.
    Rsa,
}

impl KeyType {
    /// The value of the label `key_type` in metrics and of the log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ec => "ec",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key type with its curve or size.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the standards")]
pub enum Algorithm {
    Ed25519,
    P256,
    P384,
    P521,
    Rsa { bits: u16 },
}

impl Algorithm {
    /// The family.
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::Ed25519,
            Self::P256 | Self::P384 | Self::P521 => KeyType::Ec,
            Self::Rsa { .. } => KeyType::Rsa,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
        }
    }
}
