//! Why a handshake failed, as one word: the same in logs, metrics and tests.

use rustls::AlertDescription as Alert;
use rustls::CertificateError;
use rustls::Error;
use rustls::PeerIncompatible;

/// The closed list of reasons, so that a metric has a bounded set of labels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "the words say it, and the table in the documentation explains")]
pub enum Reason {
    ClientAlertOther,
    ClientCertificateExpired,
    ClientCertificateInvalid,
    ClientCertificateMissing,
    ClientCertificateRevoked,
    ClientRejectedCertificate,
    DecryptError,
    Eof,
    Limit,
    NoCertificate,
    NoSharedAlpn,
    NoSharedCipher,
    NoSharedGroup,
    NoSharedSignature,
    NoSharedVersion,
    NotTls,
    PlainHttp,
    ProtocolViolation,
    SigningFailed,
    SigningQueueFull,
    SigningTimeout,
    Timeout,
    UnrecognizedName,
}

impl Reason {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientAlertOther => "client_alert_other",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateInvalid => "client_certificate_invalid",
            Self::ClientCertificateMissing => "client_certificate_missing",
            Self::ClientCertificateRevoked => "client_certificate_revoked",
            Self::ClientRejectedCertificate => "client_rejected_certificate",
            Self::DecryptError => "decrypt_error",
            Self::Eof => "eof",
            Self::Limit => "limit",
            Self::NoCertificate => "no_certificate",
            Self::NoSharedAlpn => "no_shared_alpn",
            Self::NoSharedCipher => "no_shared_cipher",
            Self::NoSharedGroup => "no_shared_group",
            Self::NoSharedSignature => "no_shared_signature",
            Self::NoSharedVersion => "no_shared_version",
            Self::NotTls => "not_tls",
            Self::PlainHttp => "plain_http",
            Self::ProtocolViolation => "protocol_violation",
            Self::SigningFailed => "signing_failed",
            Self::SigningQueueFull => "signing_queue_full",
            Self::SigningTimeout => "signing_timeout",
            Self::Timeout => "timeout",
            Self::UnrecognizedName => "unrecognized_name",
        }
    }

    /// The reason behind an error of the TLS library on the server side.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::DecryptError => Self::DecryptError,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::NoApplicationProtocol => Self::NoSharedAlpn,
            Error::NoCertificatesPresented => Self::ClientCertificateMissing,
            Error::PeerIncompatible(error) => Self::of_incompatible(error),
            // What signing says when it fails, also behind a token.
            Error::General(_)
            | Error::Other(_)
            | Error::FailedToGetRandomBytes
            | Error::FailedToGetCurrentTime => Self::SigningFailed,
            _ => Self::ProtocolViolation,
        }
    }

    fn of_alert(alert: Alert) -> Self {
        match alert {
            Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate => Self::ClientRejectedCertificate,
            _ => Self::ClientAlertOther,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::ClientCertificateExpired
            }
            CertificateError::Revoked => Self::ClientCertificateRevoked,
            _ => Self::ClientCertificateInvalid,
        }
    }

    fn of_incompatible(error: &PeerIncompatible) -> Self {
        use PeerIncompatible as Incompatible;
        match error {
            Incompatible::NoCipherSuitesInCommon => Self::NoSharedCipher,
            Incompatible::KeyShareExtensionRequired
            | Incompatible::NamedGroupsExtensionRequired
            | Incompatible::NoEcPointFormatsInCommon
            | Incompatible::NoKxGroupsInCommon
            | Incompatible::UncompressedEcPointsRequired => Self::NoSharedGroup,
            Incompatible::NoCertificateRequestSignatureSchemesInCommon
            | Incompatible::NoSignatureSchemesInCommon
            | Incompatible::SignatureAlgorithmsExtensionRequired => Self::NoSharedSignature,
            Incompatible::ServerTlsVersionIsDisabledByOurConfig
            | Incompatible::SupportedVersionsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled => Self::NoSharedVersion,
            _ => Self::ProtocolViolation,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;
    use rustls::PeerMisbehaved;

    use super::*;

    #[test]
    fn errors_of_the_library_have_their_words() {
        for (error, word) in [
            (Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered), "no_shared_version"),
            (Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), "no_shared_cipher"),
            (Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon), "no_shared_group"),
            (
                Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired),
                "no_shared_signature",
            ),
            (Error::NoApplicationProtocol, "no_shared_alpn"),
            (Error::NoCertificatesPresented, "client_certificate_missing"),
            (Error::InvalidCertificate(CertificateError::Expired), "client_certificate_expired"),
            (Error::InvalidCertificate(CertificateError::Revoked), "client_certificate_revoked"),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "client_certificate_invalid",
            ),
            (Error::AlertReceived(Alert::UnknownCA), "client_rejected_certificate"),
            (Error::AlertReceived(Alert::UserCanceled), "client_alert_other"),
            (Error::DecryptError, "decrypt_error"),
            (Error::InvalidMessage(InvalidMessage::InvalidCcs), "protocol_violation"),
            (Error::PeerMisbehaved(PeerMisbehaved::IncorrectBinder), "protocol_violation"),
            (Error::General("signing failed".into()), "signing_failed"),
        ] {
            assert_eq!(Reason::of(&error).as_str(), word, "{error:?}");
        }
    }
}
