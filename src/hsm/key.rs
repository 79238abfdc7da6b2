//! A private key that stays in tokens: which one it is, whose certificate it must fit, and who of a group has
//! shown that it can sign with it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;

use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;

/// One key of a group, for one certificate.
#[derive(Debug)]
pub struct TokenKey {
    /// Tells it apart from all others of the process.
    pub id: u64,
    /// How it is found in a token.
    pub selector: KeySelector,
    /// Its kind, as the certificate says: tokens need not have the public half.
    pub algorithm: Algorithm,
    /// The public key of the certificate: the bit string of its SubjectPublicKeyInfo.
    public: Box<[u8]>,
    /// For each member of the group.
    standings: Box<[Standing]>,
}

#[derive(Debug, Default)]
struct Standing {
    state: AtomicU8,
    /// Why it cannot be used there. Written by threads of sessions, read by status.
    trouble: Mutex<Option<Trouble>>,
}

/// What is known of a key at a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// Nobody has tried.
    Unknown = 0,
    /// It has made a signature that verifies with the certificate's public key.
    Proven = 1,
    /// It was not found, or it is another key.
    Refused = 2,
}

impl TokenKey {
    /// A key that nobody has looked for yet.
    pub fn new(
        selector: KeySelector,
        algorithm: Algorithm,
        public: &[u8],
        members: &[Member],
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            selector,
            algorithm,
            public: public.into(),
            standings: members.iter().map(|_| Standing::default()).collect(),
        }
    }

    /// Whether the selector allows for this member at all.
    pub fn may_be_in(&self, member: &Member) -> bool {
        let fits = |asked: &Option<String>, known: &Option<String>| match (asked, known) {
            (Some(asked), Some(known)) => asked == known,
            // What the configuration does not say, the token will.
            (None, _) | (_, None) => true,
        };
        fits(&self.selector.token, &member.token) && fits(&self.selector.serial, &member.serial)
    }

    /// What is known of it at a member.
    pub fn state(&self, member: usize) -> State {
        match self.standings[member].state.load(Ordering::Acquire) {
            0 => State::Unknown,
            1 => State::Proven,
            _ => State::Refused,
        }
    }

    /// Why it cannot be used at a member.
    pub fn trouble(&self, member: usize) -> Option<Trouble> {
        let trouble = &self.standings[member].trouble;
        trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that it has signed; says whether that is news.
    pub(super) fn proven(&self, member: usize) -> bool {
        let standing = &self.standings[member];
        let before = standing.state.swap(State::Proven as u8, Ordering::AcqRel);
        if before == State::Proven as u8 {
            return false;
        }
        *standing.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        true
    }

    /// Notes that it cannot be used; says whether that is news.
    pub(super) fn refused(&self, member: usize, trouble: &Trouble) -> bool {
        let standing = &self.standings[member];
        let mut kept = standing.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        standing.state.store(State::Refused as u8, Ordering::Release);
        kept.replace(trouble.clone()).as_ref() != Some(trouble)
    }

    /// Whether a signature is that of the certificate's key.
    pub fn verifies(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let of_scheme = algorithms.mapping.iter().filter(|(known, _)| *known == scheme);
        of_scheme
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| algorithm.verify_signature(&self.public, message, signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::secret::Secret;

    fn member(token: Option<&str>, serial: Option<&str>) -> Member {
        Member {
            name: "a".to_owned(),
            module: PathBuf::from("m.so"),
            token: token.map(str::to_owned),
            serial: serial.map(str::to_owned),
            pin: Secret::Env("PIN".to_owned()),
            priority: 1,
        }
    }

    fn key(token: Option<&str>, serial: Option<&str>) -> TokenKey {
        let selector = KeySelector {
            label: Some("shop".to_owned()),
            token: token.map(str::to_owned),
            serial: serial.map(str::to_owned),
            ..KeySelector::default()
        };
        TokenKey::new(selector, Algorithm::P256, &[], &[member(None, None)])
    }

    #[test]
    fn a_key_is_looked_for_where_its_selector_allows_it() {
        assert!(key(None, None).may_be_in(&member(Some("a"), None)));
        assert!(key(Some("a"), None).may_be_in(&member(Some("a"), Some("1"))));
        assert!(!key(Some("b"), None).may_be_in(&member(Some("a"), None)));
        assert!(key(Some("b"), None).may_be_in(&member(None, Some("1"))), "its label is not known");
        assert!(!key(None, Some("2")).may_be_in(&member(Some("a"), Some("1"))));
    }

    #[test]
    fn news_are_told_once() {
        let key = key(None, None);
        assert_eq!(key.state(0), State::Unknown);
        assert!(key.refused(0, &Trouble::KeyMissing));
        assert!(!key.refused(0, &Trouble::KeyMissing));
        assert!(key.refused(0, &Trouble::KeyMismatch));
        assert_eq!(key.trouble(0), Some(Trouble::KeyMismatch));
        assert!(key.proven(0) && !key.proven(0));
        assert_eq!((key.state(0), key.trouble(0)), (State::Proven, None));
    }
}
