//! X25519 with one key share for all connections of the generator.
//!
//! A client that makes a new share for each handshake spends about as much as the server, and the
//! generator would be what is measured. The server's work is the same.

use std::sync::LazyLock;

use aws_lc_rs::agreement;
use rustls::Error;
use rustls::NamedGroup;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;

/// The group to offer.
pub static SHARED_X25519: &dyn SupportedKxGroup = &SharedX25519;

#[derive(Debug)]
struct SharedX25519;

impl SupportedKxGroup for SharedX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let _ = pair()?;
        Ok(Box::new(Exchange))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange;

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
        let error = Error::General("key agreement failed".to_owned());
        agreement::agree(&pair()?.private, peer, error, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        PAIR.as_ref().map_or(&[], |pair| pair.public.as_ref())
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Pair {
    private: agreement::PrivateKey,
    public: agreement::PublicKey,
}

static PAIR: LazyLock<Option<Pair>> = LazyLock::new(|| {
    let private = agreement::PrivateKey::generate(&agreement::X25519).ok()?;
    let public = private.compute_public_key().ok()?;
    Some(Pair { private, public })
});

fn pair() -> Result<&'static Pair, Error> {
    PAIR.as_ref().ok_or(Error::FailedToGetRandomBytes)
}
