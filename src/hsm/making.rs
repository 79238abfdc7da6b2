//! Makes and deletes keys in tokens.

use aws_lc_rs::rand;
use cryptoki::error::Error;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::types::Ulong;

use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::connection::Connection;
use crate::hsm::public_half;
use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;

/// A key that is to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKey {
    /// `CKA_LABEL` of both halves.
    pub label: String,
    /// `CKA_ID` of both halves.
    pub id: Vec<u8>,
    /// Its kind.
    pub algorithm: Algorithm,
}

/// An id that no other key has.
///
/// # Errors
/// The system gives no random bytes.
pub fn random_id() -> Result<Vec<u8>, Trouble> {
    let mut id = [0; 8];
    rand::fill(&mut id).map_err(|_| Trouble::of_system("no_random_bytes"))?;
    Ok(id.to_vec())
}

/// Makes a key pair that stays in the token: what is private of it cannot leave. Takes as long as the token
/// likes: minutes, where it is small and the key is large.
///
/// # Errors
/// The token refuses; [`Trouble::KeyKindMissing`] where it cannot make keys of this kind.
pub fn make(connection: &Connection, key: &NewKey) -> Result<(), Trouble> {
    let names = [Attribute::Id(key.id.clone()), Attribute::Label(key.label.clone().into_bytes())];
    let (mechanism, kind) = kind_of(key.algorithm);
    let public = [&names[..], &[Attribute::Token(true), Attribute::Verify(true)], &kind].concat();
    let secret = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let private = [&names[..], &secret].concat();
    match connection.session().generate_key_pair(&mechanism, &public, &private) {
        Ok(_) => Ok(()),
        Err(Error::Pkcs11(RvError::MechanismInvalid | RvError::CurveNotSupported, _)) => {
            Err(Trouble::KeyKindMissing { kind: key.algorithm.to_string() })
        }
        Err(error) => Err(Trouble::of_call(&error)),
    }
}

/// Deletes the one private key that is meant, and its public half. Says whether there was one.
///
/// # Errors
/// It is not there, there are several, or the token refuses. Where it refuses to delete the public half, the
/// private one is gone.
pub fn delete(connection: &Connection, selector: &KeySelector) -> Result<bool, Trouble> {
    let session = connection.session();
    let found = connection.matching(selector)?;
    let private = match found[..] {
        [] => return Err(Trouble::KeyMissing),
        [private] => private,
        _ => return Err(Trouble::KeyAmbiguous { count: found.len() }),
    };
    // While the private one can still say which they are.
    let public = public_half::objects(session, private)?;
    let delete = |object| session.destroy_object(object).map_err(|error| Trouble::of_call(&error));
    delete(private)?;
    public.iter().try_for_each(|object| delete(*object))?;
    Ok(!public.is_empty())
}

fn kind_of(algorithm: Algorithm) -> (Mechanism<'static>, Vec<Attribute>) {
    let curve = |curve: &[u8]| vec![Attribute::EcParams(curve.to_vec())];
    match (algorithm, public_half::curve_of(algorithm)) {
        (Algorithm::Rsa { bits }, _) => {
            let size = Attribute::ModulusBits(Ulong::new(bits.into()));
            let exponent = Attribute::PublicExponent(EXPONENT.to_vec());
            (Mechanism::RsaPkcsKeyPairGen, vec![size, exponent])
        }
        (Algorithm::Ed25519, Some(name)) => (Mechanism::EccEdwardsKeyPairGen, curve(name)),
        (_, name) => (Mechanism::EccKeyPairGen, curve(name.unwrap_or_default())),
    }
}

/// 65537, the exponent of everybody.
const EXPONENT: &[u8] = &[1, 0, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_the_same() {
        assert_eq!(random_id().unwrap().len(), 8);
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }
}
