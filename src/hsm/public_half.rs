//! The public half of a private key in a token: its kind, and the bits of its SubjectPublicKeyInfo.
//!
//! The start needs none of this, as certificates say it; whoever makes a certificate does. Tokens keep it in
//! different places: a public object next to the private one, attributes of the private one, or nowhere.

use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::KeyType;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;
use crate::key::der::BIT_STRING;
use crate::key::der::Der;
use crate::key::der::OCTET_STRING;
use crate::key::der::SEQUENCE;
use crate::key::der::tagged;
use crate::key::der::unsigned;

/// What certificates have of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicHalf {
    /// Its kind.
    pub algorithm: Algorithm,
    /// The bit string of its SubjectPublicKeyInfo.
    pub bits: Vec<u8>,
}

/// The kind of a private key; `None`: it is none that is supported.
///
/// # Errors
/// The token cannot be asked.
pub fn algorithm_of(session: &Session, key: ObjectHandle) -> Result<Option<Algorithm>, Trouble> {
    Ok(Parts::of(session, key)?.algorithm())
}

/// The public half of a private key.
///
/// # Errors
/// The token does not have it, or the key is of no supported kind.
pub fn of(session: &Session, key: ObjectHandle) -> Result<PublicHalf, Trouble> {
    let mut parts = Parts::of(session, key)?;
    for object in objects(session, key)? {
        parts = parts.or(Parts::of(session, object)?);
    }
    let algorithm = parts.algorithm().ok_or(Trouble::KeyUnsupported)?;
    let bits = parts.bits(algorithm).ok_or(Trouble::PublicHalfMissing)?;
    Ok(PublicHalf { algorithm, bits })
}

/// The public objects that belong to a private key: those of its id, or else of its label. Where several private
/// keys share the id, the label decides too.
///
/// # Errors
/// The token cannot be asked.
pub fn objects(session: &Session, key: ObjectHandle) -> Result<Vec<ObjectHandle>, Trouble> {
    let call = |error| Trouble::of_call(&error);
    let asked = [AttributeType::Id, AttributeType::Label];
    let said = session.get_attributes(key, &asked).map_err(call)?;
    let is_something = |attribute: &&Attribute| match attribute {
        Attribute::Id(bytes) | Attribute::Label(bytes) => !bytes.is_empty(),
        _ => false,
    };
    let mut names: Vec<Attribute> = said.iter().filter(is_something).cloned().collect();
    let find = |class, names: &[Attribute]| {
        let template = [&[Attribute::Class(class)], names].concat();
        session.find_objects(&template).map_err(call)
    };
    let by_id = |name: &Attribute| matches!(name, Attribute::Id(_));
    if let Some(id) = names.iter().position(by_id).map(|place| names[place].clone())
        && find(ObjectClass::PRIVATE_KEY, std::slice::from_ref(&id))?.len() == 1
    {
        names = vec![id];
    }
    if names.is_empty() { Ok(Vec::new()) } else { find(ObjectClass::PUBLIC_KEY, &names) }
}

/// What one object says of a public key.
#[derive(Debug, Default)]
struct Parts {
    kind: Option<KeyType>,
    curve: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
    modulus: Option<Vec<u8>>,
    exponent: Option<Vec<u8>>,
    info: Option<Vec<u8>>,
}

impl Parts {
    fn of(session: &Session, object: ObjectHandle) -> Result<Self, Trouble> {
        let mut parts = Self::default();
        let asked = [
            AttributeType::KeyType,
            AttributeType::EcParams,
            AttributeType::EcPoint,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::PublicKeyInfo,
        ];
        let said = session.get_attributes(object, &asked);
        let some = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
        for attribute in said.map_err(|error| Trouble::of_call(&error))? {
            match attribute {
                Attribute::KeyType(kind) => parts.kind = Some(kind),
                Attribute::EcParams(curve) => parts.curve = some(curve),
                Attribute::EcPoint(point) => parts.point = some(point),
                Attribute::Modulus(modulus) => parts.modulus = some(modulus),
                Attribute::PublicExponent(exponent) => parts.exponent = some(exponent),
                Attribute::PublicKeyInfo(info) => parts.info = some(info),
                _ => {}
            }
        }
        Ok(parts)
    }

    fn or(self, other: Self) -> Self {
        Self {
            kind: self.kind.or(other.kind),
            curve: self.curve.or(other.curve),
            point: self.point.or(other.point),
            modulus: self.modulus.or(other.modulus),
            exponent: self.exponent.or(other.exponent),
            info: self.info.or(other.info),
        }
    }

    fn algorithm(&self) -> Option<Algorithm> {
        match self.kind? {
            KeyType::RSA => {
                let modulus = self.modulus.as_ref()?;
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let spare = modulus.get(zeros)?.leading_zeros() as usize;
                let bits = (modulus.len() - zeros) * 8 - spare;
                Some(Algorithm::Rsa { bits: u16::try_from(bits).ok()? })
            }
            KeyType::EC | KeyType::EC_EDWARDS => {
                let curve = self.curve.as_deref()?;
                CURVES.iter().find(|(_, names)| names.contains(&curve)).map(|(curve, _)| *curve)
            }
            _ => None,
        }
    }

    fn bits(&self, algorithm: Algorithm) -> Option<Vec<u8>> {
        let own = match algorithm {
            Algorithm::Rsa { .. } => {
                self.modulus.as_ref().zip(self.exponent.as_ref()).map(|(modulus, exponent)| {
                    tagged(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat())
                })
            }
            Algorithm::Ed25519 => self.point(32),
            Algorithm::P256 => self.point(1 + 2 * 32),
            Algorithm::P384 => self.point(1 + 2 * 48),
            Algorithm::P521 => self.point(1 + 2 * 66),
        };
        own.or_else(|| bits_of(self.info.as_deref()?))
    }

    /// The standard wraps it in an OCTET STRING, and not every token does.
    fn point(&self, length: usize) -> Option<Vec<u8>> {
        let said = self.point.as_deref()?;
        let wrapped = Der(said).take(OCTET_STRING).filter(|point| point.len() == length);
        wrapped.or(Some(said).filter(|point| point.len() == length)).map(<[u8]>::to_vec)
    }
}

/// The bit string of a SubjectPublicKeyInfo (RFC 5280, section 4.1).
fn bits_of(info: &[u8]) -> Option<Vec<u8>> {
    let mut info = Der(info).sequence()?;
    info.sequence()?;
    match info.take(BIT_STRING)?.split_first()? {
        (0, bits) => Some(bits.to_vec()),
        _ => None,
    }
}

/// The object identifier in DER that makes keys on a curve; `None`: they are not made by a curve.
pub fn curve_of(algorithm: Algorithm) -> Option<&'static [u8]> {
    CURVES.iter().find(|(curve, _)| *curve == algorithm).map(|(_, names)| names[0])
}

/// The curves by their object identifiers in DER; that of Ed25519 may be a PrintableString instead (PKCS#11 3.1,
/// section 6.3.5).
const CURVES: &[(Algorithm, &[&[u8]])] = &[
    (Algorithm::P256, &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]]),
    (Algorithm::P384, &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]]),
    (Algorithm::P521, &[&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]]),
    (Algorithm::Ed25519, &[&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ec(algorithm: Algorithm, point: &[u8]) -> Parts {
        Parts {
            kind: Some(KeyType::EC),
            curve: curve_of(algorithm).map(<[u8]>::to_vec),
            point: Some(point.to_vec()),
            ..Parts::default()
        }
    }

    #[test]
    fn a_point_may_be_wrapped_or_not() {
        for (algorithm, length) in
            [(Algorithm::P256, 65), (Algorithm::P384, 97), (Algorithm::P521, 133)]
        {
            let mut point = vec![7; length];
            // As a point begins, and an OCTET STRING too.
            point[0] = 4;
            for said in [point.clone(), tagged(OCTET_STRING, &point)] {
                let parts = ec(algorithm, &said);
                assert_eq!(parts.algorithm(), Some(algorithm));
                assert_eq!(parts.bits(algorithm), Some(point.clone()), "{algorithm}");
            }
            assert_eq!(ec(algorithm, &point[1..]).bits(algorithm), None);
        }
    }

    #[test]
    fn an_rsa_key_is_as_large_as_its_modulus() {
        let mut modulus = vec![0xff; 257];
        modulus[0] = 0;
        let parts = Parts {
            kind: Some(KeyType::RSA),
            modulus: Some(modulus),
            exponent: Some(vec![1, 0, 1]),
            ..Parts::default()
        };
        let algorithm = Algorithm::Rsa { bits: 2048 };
        assert_eq!(parts.algorithm(), Some(algorithm));
        let bits = parts.bits(algorithm).unwrap();
        let mut numbers = Der(&bits).sequence().unwrap();
        assert_eq!(numbers.take(0x02).map(<[u8]>::len), Some(257));
        assert_eq!(numbers.small_integer(), Some(65_537));
    }

    #[test]
    fn what_the_private_half_knows_will_do() {
        let info = [0x30, 0x08, 0x30, 0x02, 0x05, 0x00, 0x03, 0x02, 0x00, 0x2a];
        let parts = Parts { info: Some(info.to_vec()), ..Parts::default() };
        assert_eq!(parts.bits(Algorithm::Ed25519), Some(vec![0x2a]));
        assert_eq!(Parts::default().bits(Algorithm::Ed25519), None);
        assert_eq!(Parts::default().algorithm(), None);
    }
}
