//! Certificate requests (PKCS #10, RFC 2986) and self-signed certificates of keys that stay in a token.

use std::cell::RefCell;

use aws_lc_rs::rand;
use rcgen::IsCa;
use rcgen::PublicKeyData;
use rcgen::SerialNumber;
use rcgen::SignatureAlgorithm;
use rcgen::SigningKey;
use rustls::SignatureScheme;
use thiserror::Error;
use time::Duration;
use time::OffsetDateTime;

use crate::certificate::subject::Subject;
use crate::certificate::subject::SubjectError;
use crate::hsm::Trouble;
use crate::hsm::found_key::FoundKey;
use crate::key::Algorithm;

/// Why there is no request, or no certificate.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The library for certificates does not do it.
    #[error("it cannot be written: {0}")]
    Encoding(rcgen::Error),
    /// A word that cannot stand in a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The token does not sign.
    #[error("the token does not sign it: {0}")]
    Token(#[from] Trouble),
}

/// A request for a CA, as PEM, signed by the key.
///
/// # Errors
/// The subject cannot be, or the token does not sign.
pub fn request(subject: &Subject, key: &FoundKey) -> Result<String, RequestError> {
    let parameters = subject.parameters()?;
    let signer = Remote::new(key);
    let request = parameters.serialize_request(&signer);
    request.and_then(|request| request.pem()).map_err(|error| signer.error(error))
}

/// A certificate that nobody vouches for, as PEM, signed by its own key: from an hour ago, for clocks that are
/// late, to so many days ahead.
///
/// # Errors
/// As [`request`].
pub fn self_signed(subject: &Subject, key: &FoundKey, days: u16) -> Result<String, RequestError> {
    let mut parameters = subject.parameters()?;
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + Duration::days(days.into());
    parameters.is_ca = IsCa::ExplicitNoCa;
    // Else it would depend on the key alone, and browsers refuse the second one of an issuer.
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| Trouble::of_system("no_random_bytes"))?;
    // Positive, and of one length.
    serial[0] = serial[0] & 0x7f | 0x40;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let signer = Remote::new(key);
    let certificate = parameters.self_signed(&signer);
    certificate.map(|certificate| certificate.pem()).map_err(|error| signer.error(error))
}

/// The key as the library for certificates takes it.
struct Remote<'a> {
    key: &'a FoundKey,
    algorithm: &'static SignatureAlgorithm,
    scheme: SignatureScheme,
    /// What the token said, for which the library has no words.
    trouble: RefCell<Option<Trouble>>,
}

impl<'a> Remote<'a> {
    fn new(key: &'a FoundKey) -> Self {
        use SignatureScheme as Scheme;
        let (algorithm, scheme) = match key.public().algorithm {
            Algorithm::Ed25519 => (&rcgen::PKCS_ED25519, Scheme::ED25519),
            Algorithm::P256 => (&rcgen::PKCS_ECDSA_P256_SHA256, Scheme::ECDSA_NISTP256_SHA256),
            Algorithm::P384 => (&rcgen::PKCS_ECDSA_P384_SHA384, Scheme::ECDSA_NISTP384_SHA384),
            Algorithm::P521 => (&rcgen::PKCS_ECDSA_P521_SHA512, Scheme::ECDSA_NISTP521_SHA512),
            // Every CA and every client knows it, unlike PSS.
            Algorithm::Rsa { .. } => (&rcgen::PKCS_RSA_SHA256, Scheme::RSA_PKCS1_SHA256),
        };
        Self { key, algorithm, scheme, trouble: RefCell::default() }
    }

    fn error(&self, error: rcgen::Error) -> RequestError {
        self.trouble.take().map_or(RequestError::Encoding(error), RequestError::Token)
    }
}

impl PublicKeyData for Remote<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.key.public().bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Remote<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(self.scheme, message).map_err(|trouble| {
            *self.trouble.borrow_mut() = Some(trouble);
            rcgen::Error::RemoteKeyError
        })
    }
}
