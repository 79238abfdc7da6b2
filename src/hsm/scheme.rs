//! How a signature of TLS is asked of a token: the hash here, the raw signature there.
//!
//! Tokens agree on the raw mechanisms, not on those that hash; and 32 bytes travel better than a transcript.

use aws_lc_rs::digest;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::eddsa::EddsaParams;
use cryptoki::mechanism::eddsa::EddsaSignatureScheme;
use cryptoki::mechanism::rsa::PkcsMgfType;
use cryptoki::mechanism::rsa::PkcsPssParams;
use rustls::SignatureScheme;

use crate::key::Algorithm;
use crate::key::der::SEQUENCE;
use crate::key::der::tagged;
use crate::key::der::unsigned;

/// A way to sign that tokens have or have not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// `CKM_ECDSA` over a digest.
    Ecdsa,
    /// `CKM_EDDSA` over the message itself.
    Eddsa,
    /// `CKM_RSA_PKCS` over a DigestInfo (RFC 8017, section 9.2).
    RsaPkcs1,
    /// `CKM_RSA_PKCS_PSS` over a digest, the salt as long as the digest (RFC 8446, section 4.2.3).
    RsaPss,
}

/// Several ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ways(u8);

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ecdsa, Self::Eddsa, Self::RsaPkcs1, Self::RsaPss];

    /// Its name in the token.
    pub fn mechanism(self) -> MechanismType {
        match self {
            Self::Ecdsa => MechanismType::ECDSA,
            Self::Eddsa => MechanismType::EDDSA,
            Self::RsaPkcs1 => MechanismType::RSA_PKCS,
            Self::RsaPss => MechanismType::RSA_PKCS_PSS,
        }
    }

    /// The way of a scheme; `None` for those that no key of ours has.
    pub fn of(scheme: SignatureScheme) -> Option<Self> {
        use SignatureScheme as Scheme;
        match scheme {
            Scheme::ECDSA_NISTP256_SHA256
            | Scheme::ECDSA_NISTP384_SHA384
            | Scheme::ECDSA_NISTP521_SHA512 => Some(Self::Ecdsa),
            Scheme::ED25519 => Some(Self::Eddsa),
            Scheme::RSA_PKCS1_SHA256 | Scheme::RSA_PKCS1_SHA384 | Scheme::RSA_PKCS1_SHA512 => {
                Some(Self::RsaPkcs1)
            }
            Scheme::RSA_PSS_SHA256 | Scheme::RSA_PSS_SHA384 | Scheme::RSA_PSS_SHA512 => {
                Some(Self::RsaPss)
            }
            _ => None,
        }
    }
}

impl Ways {
    /// With this one too.
    #[must_use]
    pub fn with(self, way: Way) -> Self {
        Self(self.0 | 1 << way as u8)
    }

    /// Whether this one is among them.
    pub fn has(self, way: Way) -> bool {
        self.0 & 1 << way as u8 != 0
    }

    /// As a number, to be kept in an atomic.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From [`bits`](Self::bits).
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// The schemes of a kind of key, the best first. An EC key signs with the hash of its curve (RFC 8446, 4.2.3).
pub fn schemes_of(algorithm: Algorithm) -> &'static [SignatureScheme] {
    use SignatureScheme as Scheme;
    match algorithm {
        Algorithm::Ed25519 => &[Scheme::ED25519],
        Algorithm::P256 => &[Scheme::ECDSA_NISTP256_SHA256],
        Algorithm::P384 => &[Scheme::ECDSA_NISTP384_SHA384],
        Algorithm::P521 => &[Scheme::ECDSA_NISTP521_SHA512],
        Algorithm::Rsa { .. } => &[
            Scheme::RSA_PSS_SHA256,
            Scheme::RSA_PSS_SHA384,
            Scheme::RSA_PSS_SHA512,
            Scheme::RSA_PKCS1_SHA256,
            Scheme::RSA_PKCS1_SHA384,
            Scheme::RSA_PKCS1_SHA512,
        ],
    }
}

/// What a token is to do: the mechanism with its parameters, and the bytes that it gets.
pub fn raw(scheme: SignatureScheme, message: &[u8]) -> Option<(Mechanism<'static>, Vec<u8>)> {
    let way = Way::of(scheme)?;
    if way == Way::Eddsa {
        let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
        return Some((Mechanism::Eddsa(pure), message.to_vec()));
    }
    let hash = hash_of(scheme)?;
    let digest = digest::digest(hash.algorithm, message);
    Some(match way {
        Way::RsaPkcs1 => (Mechanism::RsaPkcs, [hash.digest_info, digest.as_ref()].concat()),
        Way::RsaPss => {
            let s_len = u64::try_from(digest.as_ref().len()).ok()?.into();
            let parameters = PkcsPssParams { hash_alg: hash.mechanism, mgf: hash.mgf, s_len };
            (Mechanism::RsaPkcsPss(parameters), digest.as_ref().to_vec())
        }
        Way::Ecdsa | Way::Eddsa => (Mechanism::Ecdsa, digest.as_ref().to_vec()),
    })
}

/// What TLS wants in place of what the token gave: an ECDSA signature is two numbers in DER there, and
/// two halves here. `None`: these are no two halves.
pub fn encoded(scheme: SignatureScheme, raw: Vec<u8>) -> Option<Vec<u8>> {
    if Way::of(scheme)? != Way::Ecdsa {
        return Some(raw);
    }
    if raw.is_empty() || !raw.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let numbers = [unsigned(r), unsigned(s)].concat();
    Some(tagged(SEQUENCE, &numbers))
}

struct Hash {
    algorithm: &'static digest::Algorithm,
    mechanism: MechanismType,
    mgf: PkcsMgfType,
    /// What stands before a digest of this kind in a DigestInfo (RFC 8017, section 9.2, note 1).
    digest_info: &'static [u8],
}

fn hash_of(scheme: SignatureScheme) -> Option<Hash> {
    use SignatureScheme as Scheme;
    Some(match scheme {
        Scheme::ECDSA_NISTP256_SHA256 | Scheme::RSA_PKCS1_SHA256 | Scheme::RSA_PSS_SHA256 => Hash {
            algorithm: &digest::SHA256,
            mechanism: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            digest_info: &[
                0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                0x01, 0x05, 0x00, 0x04, 0x20,
            ],
        },
        Scheme::ECDSA_NISTP384_SHA384 | Scheme::RSA_PKCS1_SHA384 | Scheme::RSA_PSS_SHA384 => Hash {
            algorithm: &digest::SHA384,
            mechanism: MechanismType::SHA384,
            mgf: PkcsMgfType::MGF1_SHA384,
            digest_info: &[
                0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                0x02, 0x05, 0x00, 0x04, 0x30,
            ],
        },
        Scheme::ECDSA_NISTP521_SHA512 | Scheme::RSA_PKCS1_SHA512 | Scheme::RSA_PSS_SHA512 => Hash {
            algorithm: &digest::SHA512,
            mechanism: MechanismType::SHA512,
            mgf: PkcsMgfType::MGF1_SHA512,
            digest_info: &[
                0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                0x03, 0x05, 0x00, 0x04, 0x40,
            ],
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::der_parser::parse_der;

    use super::*;

    const P256: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

    #[test]
    fn numbers_have_no_spare_zeros_and_no_sign() {
        let der = encoded(P256, vec![0x00, 0x01, 0x80, 0x02]).unwrap();
        assert_eq!(der, [0x30, 8, 0x02, 1, 0x01, 0x02, 3, 0x00, 0x80, 0x02]);
        assert_eq!(encoded(P256, vec![0, 0]).unwrap(), [0x30, 6, 0x02, 1, 0, 0x02, 1, 0]);
    }

    #[test]
    fn what_has_no_two_halves_is_no_signature() {
        assert_eq!(encoded(P256, vec![]), None);
        assert_eq!(encoded(P256, vec![1, 2, 3]), None);
    }

    #[test]
    fn other_signatures_stay_as_they_are() {
        let raw = vec![7; 256];
        assert_eq!(encoded(SignatureScheme::RSA_PSS_SHA256, raw.clone()), Some(raw));
    }

    #[test]
    fn tokens_get_digests_and_digest_infos() {
        let (_, data) = raw(SignatureScheme::RSA_PKCS1_SHA512, b"x").unwrap();
        assert_eq!(data.len(), 19 + 64);
        let (_, data) = raw(SignatureScheme::RSA_PSS_SHA384, b"x").unwrap();
        assert_eq!(data.len(), 48);
        let (_, data) = raw(SignatureScheme::ED25519, b"message").unwrap();
        assert_eq!(data, b"message");
        assert!(raw(SignatureScheme::ED448, b"x").is_none());
    }

    #[test]
    fn every_scheme_of_a_key_has_a_way() {
        for algorithm in [Algorithm::P256, Algorithm::P521, Algorithm::Rsa { bits: 2048 }] {
            for scheme in schemes_of(algorithm) {
                assert!(raw(*scheme, b"x").is_some(), "{scheme:?}");
            }
        }
    }

    #[test]
    fn ways_are_a_set() {
        let ways = Ways::default().with(Way::Ecdsa).with(Way::RsaPss);
        assert!(ways.has(Way::Ecdsa) && ways.has(Way::RsaPss) && !ways.has(Way::RsaPkcs1));
        assert_eq!(Ways::from_bits(ways.bits()), ways);
    }

    proptest! {
        #[test]
        fn both_halves_come_back_as_numbers(half in prop::collection::vec(any::<u8>(), 1..67)) {
            let der = encoded(P256, [half.clone(), half.clone()].concat()).unwrap();
            let (rest, parsed) = parse_der(&der).unwrap();
            prop_assert!(rest.is_empty());
            for number in parsed.as_sequence().unwrap() {
                let number = number.as_slice().unwrap();
                let value = number.iter().skip_while(|byte| **byte == 0);
                prop_assert!(value.eq(half.iter().skip_while(|byte| **byte == 0)));
            }
        }
    }
}
