//! A key in a token as rustls takes it.

use std::sync::Arc;

use rustls::Error;
use rustls::OtherError;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::Signer;

use crate::hsm::group::Group;
use crate::hsm::group::KeyError;
use crate::hsm::key::TokenKey;
use crate::hsm::lane;
use crate::hsm::request::SignError;
use crate::hsm::scheme::Way;
use crate::hsm::scheme::Ways;
use crate::hsm::scheme::schemes_of;
use crate::key::KeyType;

/// A key of a group. Keeps the group alive.
#[derive(Clone, Debug)]
pub struct SigningKey {
    group: Arc<Group>,
    key: Arc<TokenKey>,
    public: SubjectPublicKeyInfoDer<'static>,
}

impl SigningKey {
    pub(super) fn new(
        group: Arc<Group>,
        key: Arc<TokenKey>,
        public: SubjectPublicKeyInfoDer<'static>,
    ) -> Self {
        Self { group, key, public }
    }

    /// The group that signs with it.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The key.
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// How it could sign right now; takes no lock.
    pub fn ways(&self) -> Ways {
        self.group.ways_of(&self.key)
    }

    /// Why it cannot sign right now; `None`: it can.
    pub fn problem(&self) -> Option<KeyError> {
        self.group.problem_of(&self.key)
    }

    pub(super) fn token_key(&self) -> &Arc<TokenKey> {
        &self.key
    }
}

impl rustls::sign::SigningKey for SigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let ways = self.ways();
        // Without any, the signer will say so: better than that nothing is shared.
        let is_lost = ways == Ways::default();
        let fits = |scheme: &&SignatureScheme| {
            let way = Way::of(**scheme);
            offered.contains(*scheme) && (is_lost || way.is_some_and(|way| ways.has(way)))
        };
        let scheme = *schemes_of(self.key.algorithm).iter().find(fits)?;
        Some(Box::new(TokenSigner { key: self.clone(), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.key.algorithm.key_type() {
            KeyType::Ec => SignatureAlgorithm::ECDSA,
            KeyType::Ed25519 => SignatureAlgorithm::ED25519,
            KeyType::Rsa => SignatureAlgorithm::RSA,
        }
    }
}

/// One signature of one handshake.
#[derive(Debug)]
struct TokenSigner {
    key: SigningKey,
    scheme: SignatureScheme,
}

impl Signer for TokenSigner {
    /// Waits for the token; so it refuses to wait on a thread that must not.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let other = |error: SignError| Error::Other(OtherError(Arc::new(error)));
        if !lane::is_here() {
            return Err(other(SignError::NotOnLane { hsm: self.key.group.name().to_string() }));
        }
        self.key.group.sign(&self.key.key, self.scheme, message).map_err(other)
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
