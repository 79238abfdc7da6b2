//! A private key that was found in one token, with its public half: for the requests and certificates that it
//! signs. Handshakes have their own way.

use std::cell::RefCell;

use rustls::SignatureScheme;

use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::connection::Connection;
use crate::hsm::key::TokenKey;
use crate::hsm::public_half;
use crate::hsm::public_half::PublicHalf;
use crate::hsm::trouble::Trouble;

/// It signs while this is there, with a session of its own.
#[derive(Debug)]
pub struct FoundKey {
    connection: RefCell<Connection>,
    key: TokenKey,
    public: PublicHalf,
}

impl FoundKey {
    /// Finds a key and its public half, and has it sign something that verifies with that.
    ///
    /// # Errors
    /// It is not there, it has no public half, or it does not sign.
    pub fn find(mut connection: Connection, selector: &KeySelector) -> Result<Self, Trouble> {
        let handle = connection.find(selector)?;
        let public = public_half::of(connection.session(), handle)?;
        let key = TokenKey::new(selector.clone(), public.algorithm, &public.bits, &[]);
        match connection.prove(&key) {
            Ok(_) => Ok(Self { connection: RefCell::new(connection), key, public }),
            // There is no certificate yet that could be to blame.
            Err(Trouble::KeyMismatch) => Err(Trouble::PublicHalfWrong),
            Err(other) => Err(other),
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicHalf {
        &self.public
    }

    /// Signs.
    ///
    /// # Errors
    /// As [`Connection::sign`].
    pub fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.connection.borrow_mut().sign(&self.key, scheme, message)
    }
}
