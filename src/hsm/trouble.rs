//! What goes wrong with a token, in three classes that decide what happens next.

use std::path::PathBuf;

use cryptoki::error::Error;
use cryptoki::error::RvError;
use thiserror::Error;

use crate::key::secret::SecretError;

/// Why a token did not do what it was asked, and what to do about it. Holds nothing secret.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Trouble {
    #[error("{function} failed: {code}")]
    Call { code: String, function: String },
    #[error("the token did not answer in time")]
    Hangs,
    #[error(
        "the key wants its PIN before every signature (CKA_ALWAYS_AUTHENTICATE), which a proxy cannot \
         give; make a key without that attribute"
    )]
    KeyAlwaysAuthenticates,
    #[error("{count} private keys match; name one of them with `id` and `label` together")]
    KeyAmbiguous { count: usize },
    #[error("the token cannot make {kind} keys; ask for another `--type`")]
    KeyKindMissing { kind: String },
    #[error("it has no such private key")]
    KeyMissing,
    #[error(
        "the key is not that of the certificate: its signature does not verify; put the certificate that \
         was issued for this key next to it, or name another key"
    )]
    KeyMismatch,
    #[error("the key cannot be used: {function} failed: {code}")]
    KeyUnusable { code: String, function: String },
    #[error("it is a kind of key that is not supported; make one with `portcullis hsm generate`")]
    KeyUnsupported,
    #[error("the token cannot sign with keys of this kind: it has no mechanism for them")]
    MechanismMissing,
    #[error("the module {} cannot be loaded: {detail}", path.display())]
    ModuleUnloadable { path: PathBuf, detail: String },
    #[error("the token refuses the PIN ({code}); it is not tried again until it changes")]
    PinRefused { code: String },
    #[error("it has not been asked yet")]
    NotAsked,
    #[error(
        "the public half next to the key is that of another one; delete it, and put the right one there"
    )]
    PublicHalfWrong,
    #[error(
        "the token has no public half of the key, and a request or a certificate cannot be made without it; \
         import it under the same id, or make a new key with `portcullis hsm generate`"
    )]
    PublicHalfMissing,
    #[error("the PIN cannot be read: {0}")]
    PinUnreadable(#[from] SecretError),
    #[error("the token is not there; `portcullis hsm list` shows those that are")]
    TokenAbsent,
    #[error("{count} tokens match; name one of them with `serial`")]
    TokenAmbiguous { count: usize },
}

/// What follows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The session is of no use any more; another one, or another member, may do better.
    Connection,
    /// This key cannot be used here; the session can.
    Key,
    /// Whoever tries again makes it worse: tokens lock.
    Pin,
}

impl Trouble {
    /// Not the token's fault: the system did not give what was needed.
    pub fn of_system(code: &str) -> Self {
        Self::Call { code: code.to_owned(), function: "the system".to_owned() }
    }

    /// What the module said, outside the use of a key.
    pub fn of_call(error: &Error) -> Self {
        let (code, function) = code_and_function(error);
        Self::Call { code, function }
    }

    /// What the module said when it was to use a key: some of it is the key's own fault.
    pub fn of_signing(error: &Error) -> Self {
        let (code, function) = code_and_function(error);
        match error {
            Error::Pkcs11(
                RvError::KeyFunctionNotPermitted
                | RvError::KeyTypeInconsistent
                | RvError::KeySizeRange
                | RvError::MechanismInvalid
                | RvError::MechanismParamInvalid
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid,
                _,
            ) => Self::KeyUnusable { code, function },
            _ => Self::Call { code, function },
        }
    }

    /// What the module said to a login; `None`: somebody else of this process has logged in.
    pub fn of_login(error: &Error) -> Option<Self> {
        let (code, function) = code_and_function(error);
        match error {
            Error::Pkcs11(RvError::UserAlreadyLoggedIn, _) => None,
            Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::PinTooWeak
                | RvError::UserPinNotInitialized
                | RvError::UserTypeInvalid,
                _,
            ) => Some(Self::PinRefused { code }),
            _ => Some(Self::Call { code, function }),
        }
    }

    /// What follows from it.
    pub fn class(&self) -> Class {
        match self {
            Self::KeyAlwaysAuthenticates
            | Self::KeyAmbiguous { .. }
            | Self::KeyKindMissing { .. }
            | Self::KeyMissing
            | Self::KeyMismatch
            | Self::KeyUnsupported
            | Self::KeyUnusable { .. }
            | Self::MechanismMissing
            | Self::PublicHalfMissing
            | Self::PublicHalfWrong => Class::Key,
            Self::PinRefused { .. } => Class::Pin,
            Self::Call { .. }
            | Self::Hangs
            | Self::ModuleUnloadable { .. }
            | Self::NotAsked
            | Self::PinUnreadable(_)
            | Self::TokenAbsent
            | Self::TokenAmbiguous { .. } => Class::Connection,
        }
    }

    /// The stable word for logs and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Call { .. } => "token_failed",
            Self::Hangs => "token_timeout",
            Self::KeyAlwaysAuthenticates => "key_always_authenticates",
            Self::KeyAmbiguous { .. } => "key_ambiguous",
            Self::KeyKindMissing { .. } => "key_kind_missing",
            Self::KeyMissing => "key_missing",
            Self::KeyMismatch => "key_mismatch",
            Self::KeyUnsupported => "key_unsupported",
            Self::KeyUnusable { .. } => "key_unusable",
            Self::MechanismMissing => "mechanism_missing",
            Self::ModuleUnloadable { .. } => "module_unloadable",
            Self::NotAsked => "token_not_asked",
            Self::PinRefused { .. } => "pin_refused",
            Self::PinUnreadable(_) => "pin_unreadable",
            Self::PublicHalfMissing => "public_half_missing",
            Self::PublicHalfWrong => "public_half_wrong",
            Self::TokenAbsent => "token_absent",
            Self::TokenAmbiguous { .. } => "token_ambiguous",
        }
    }

    /// What metrics count it by: what the module said, or our own word.
    pub fn code(&self) -> &str {
        match self {
            Self::Call { code, .. }
            | Self::KeyUnusable { code, .. }
            | Self::PinRefused { code } => code,
            _ => self.reason(),
        }
    }
}

/// The standard's name for what happened, in snake_case, and the function that said so: what the library
/// prints is a paragraph of the standard's prose.
fn code_and_function(error: &Error) -> (String, String) {
    match error {
        Error::Pkcs11(RvError::VendorDefined(_) | RvError::UnknownErrorCode(_), function) => {
            ("vendor_defined".to_owned(), format!("{function:?}"))
        }
        Error::Pkcs11(code, function) => {
            (snake_case(&format!("{code:?}")), format!("{function:?}"))
        }
        other => {
            let name = format!("{other:?}");
            let name = name.split(['(', ' ', '{']).next().unwrap_or_default();
            (snake_case(name), "the module".to_owned())
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut word = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn said(code: RvError, function: Function) -> Error {
        Error::Pkcs11(code, function)
    }

    #[test]
    fn what_a_module_says_is_a_word_and_no_paragraph() {
        let trouble = Trouble::of_call(&said(RvError::DeviceError, Function::Sign));
        assert_eq!(trouble.to_string(), "Sign failed: device_error");
        assert_eq!((trouble.code(), trouble.class()), ("device_error", Class::Connection));
        let vendor = said(RvError::VendorDefined(0x8000_1234), Function::Sign);
        assert_eq!(Trouble::of_call(&vendor).code(), "vendor_defined");
        assert_eq!(Trouble::of_call(&Error::PinNotSet).code(), "pin_not_set");
    }

    #[test]
    fn the_faults_of_a_key_leave_the_session_alone() {
        let key = said(RvError::KeyFunctionNotPermitted, Function::SignInit);
        assert_eq!(Trouble::of_signing(&key).class(), Class::Key);
        let lost = said(RvError::SessionHandleInvalid, Function::SignInit);
        assert_eq!(Trouble::of_signing(&lost).class(), Class::Connection);
        let general = said(RvError::GeneralError, Function::Sign);
        assert_eq!(Trouble::of_signing(&general).class(), Class::Connection);
    }

    #[test]
    fn a_login_that_was_made_already_is_none() {
        assert_eq!(Trouble::of_login(&said(RvError::UserAlreadyLoggedIn, Function::Login)), None);
        let wrong = Trouble::of_login(&said(RvError::PinIncorrect, Function::Login));
        assert_eq!(wrong.map(|wrong| wrong.class()), Some(Class::Pin));
        let gone = Trouble::of_login(&said(RvError::DeviceRemoved, Function::Login));
        assert_eq!(gone.map(|gone| gone.class()), Some(Class::Connection));
    }
}
