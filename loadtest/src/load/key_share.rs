//! X25519, and its hybrid with ML-KEM-768, with one key share for all connections of the generator.
//!
//! A client that makes a new share for each handshake spends about as much as the server, and the
//! generator would be what is measured. The server's work is the same.

use std::sync::LazyLock;

use aws_lc_rs::agreement;
use aws_lc_rs::kem;
use rustls::Error;
use rustls::NamedGroup;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;

/// The group to offer.
pub static SHARED_X25519: &dyn SupportedKxGroup = &SharedX25519;
/// X25519MLKEM768, to offer before it: its classical half is the same share.
pub static SHARED_HYBRID: &dyn SupportedKxGroup = &SharedHybrid;

#[derive(Debug)]
struct SharedX25519;

impl SupportedKxGroup for SharedX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Exchange(pair()?)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange(&'static Pair);

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.0.agree(peer, |secret| SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        self.0.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[derive(Debug)]
struct SharedHybrid;

impl SupportedKxGroup for SharedHybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let hybrid = HYBRID.as_ref().ok_or(Error::FailedToGetRandomBytes)?;
        Ok(Box::new(HybridExchange { hybrid, pair: pair()? }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

struct HybridExchange {
    hybrid: &'static Hybrid,
    pair: &'static Pair,
}

impl ActiveKeyExchange for HybridExchange {
    /// What the server sends is a ciphertext and then its share, and so are the secrets joined.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, share) = peer.split_at_checked(CIPHERTEXT).ok_or_else(failed)?;
        let secret = self.hybrid.private.decapsulate(ciphertext.into()).map_err(|_| failed())?;
        self.pair.agree(share, |classical| {
            SharedSecret::from([secret.as_ref(), classical].concat().as_slice())
        })
    }

    fn pub_key(&self) -> &[u8] {
        &self.hybrid.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((NamedGroup::X25519, self.pair.public.as_ref()))
    }

    fn complete_hybrid_component(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        Box::new(Exchange(self.pair)).complete(peer)
    }
}

struct Pair {
    private: agreement::PrivateKey,
    public: agreement::PublicKey,
}

impl Pair {
    fn agree(
        &self,
        peer: &[u8],
        take: impl FnOnce(&[u8]) -> SharedSecret,
    ) -> Result<SharedSecret, Error> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        agreement::agree(&self.private, peer, failed(), |secret| Ok(take(secret)))
    }
}

static PAIR: LazyLock<Option<Pair>> = LazyLock::new(|| {
    let private = agreement::PrivateKey::generate(&agreement::X25519).ok()?;
    let public = private.compute_public_key().ok()?;
    Some(Pair { private, public })
});

fn pair() -> Result<&'static Pair, Error> {
    PAIR.as_ref().ok_or(Error::FailedToGetRandomBytes)
}

struct Hybrid {
    private: kem::DecapsulationKey<kem::AlgorithmId>,
    /// The key to encapsulate to, and then the share of X25519.
    share: Vec<u8>,
}

static HYBRID: LazyLock<Option<Hybrid>> = LazyLock::new(|| {
    let private = kem::DecapsulationKey::generate(&kem::ML_KEM_768).ok()?;
    let public = private.encapsulation_key().ok()?.key_bytes().ok()?;
    let share = [public.as_ref(), pair().ok()?.public.as_ref()].concat();
    Some(Hybrid { private, share })
});

fn failed() -> Error {
    Error::General("key agreement failed".to_owned())
}

/// Bytes of a ciphertext of ML-KEM-768 (FIPS 203, table 3).
const CIPHERTEXT: usize = 1088;
