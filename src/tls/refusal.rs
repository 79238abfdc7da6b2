//! A refusal before anything is sent: its reason, what was missing, and the alert.

use std::fmt;

use thiserror::Error;

use crate::config::tls_profile::TlsVersion;
use crate::tls::alert::Alert;
use crate::tls::choose::Candidate;
use crate::tls::choose::Offer;
use crate::tls::choose::ProfileFacts;
use crate::tls::choose::Unfit;
use crate::tls::describe;
use crate::tls::hello::ClientHello;
use crate::tls::reason::Reason;

/// Why a client cannot be served, for the parent's log line (SPEC VS-7).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{missing}")]
pub struct Refusal {
    /// The stable word.
    pub reason: Reason,
    /// What was missing, as a sentence without a full stop.
    pub missing: String,
    /// What the client is told.
    pub alert: Alert,
}

impl Refusal {
    /// No version in common.
    pub(super) fn version(hello: &ClientHello, profile: &ProfileFacts) -> Self {
        let enabled = Words(&profile.versions, |version: &TlsVersion| version.as_str().into());
        Self {
            reason: Reason::NoSharedVersion,
            missing: format!(
                "the client offers {}, the profile has TLS {enabled}",
                describe::versions(&hello.versions)
            ),
            alert: Alert::ProtocolVersion,
        }
    }

    /// Optional in TLS 1.2 (RFC 5246, section 7.4.1.4.1), but then it means SHA-1.
    pub(super) fn without_signature_algorithms(version: TlsVersion) -> Self {
        Self {
            reason: Reason::NoSharedSignature,
            missing: "the client sent no signature_algorithms, which leaves SHA-1".into(),
            alert: match version {
                TlsVersion::Tls12 => Alert::HandshakeFailure,
                TlsVersion::Tls13 => Alert::MissingExtension,
            },
        }
    }

    /// RFC 8446, section 9.2.
    pub(super) fn without_key_share() -> Self {
        Self {
            reason: Reason::NoSharedGroup,
            missing: "the client sent no key_share, which TLS 1.3 demands".into(),
            alert: Alert::MissingExtension,
        }
    }

    /// No certificate is eligible.
    pub(super) fn certificate(offer: &Offer<'_>, candidates: &[Candidate]) -> Self {
        let unfit: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| Some((candidate, offer.fit(candidate).err()?)))
            .collect();
        let all = |wanted: &[Unfit]| unfit.iter().all(|(_, unfit)| wanted.contains(unfit));
        let reason = match unfit.first() {
            None => Reason::NoCertificate,
            // It goes with what the client offers: the fault is not the client's.
            Some(_) if unfit.iter().any(|(_, unfit)| *unfit == Unfit::CannotSign) => {
                Reason::SigningFailed
            }
            Some(_) if all(&[Unfit::Suite]) => Reason::NoSharedCipher,
            Some(_) if all(&[Unfit::Scheme]) => Reason::NoSharedSignature,
            Some(_) if all(&[Unfit::Curve]) => Reason::NoSharedGroup,
            Some(_) => Reason::NoCertificate,
        };
        let missing = if unfit.is_empty() {
            "no certificate of the virtual service could be loaded".into()
        } else {
            let sentence = |(candidate, unfit): &(&Candidate, Unfit)| {
                format!("{}: {}", candidate.algorithm, describe::unfit(*unfit, offer.version))
            };
            Words(&unfit, sentence).to_string()
        };
        // Without a usable certificate the fault is ours.
        let ours = unfit.is_empty() || reason == Reason::SigningFailed;
        let alert = if ours { Alert::InternalError } else { Alert::HandshakeFailure };
        Self { reason, missing, alert }
    }

    /// No group in common.
    pub(super) fn group(offer: &Offer<'_>) -> Self {
        let missing = match &offer.hello.groups {
            None => "the client sent no supported_groups".into(),
            Some(offered) => {
                let usable: Vec<_> = offer
                    .profile
                    .groups
                    .iter()
                    .filter(|group| group.usable_in(offer.version))
                    .collect();
                format!(
                    "the client offers the groups {}, the profile has {}",
                    describe::groups(offered),
                    Words(&usable, |group| group.as_str().into())
                )
            }
        };
        Self { reason: Reason::NoSharedGroup, missing, alert: Alert::HandshakeFailure }
    }

    /// No protocol in common.
    pub(super) fn alpn(offer: &Offer<'_>) -> Self {
        Self {
            reason: Reason::NoSharedAlpn,
            missing: format!(
                "the client offers the protocols {}, the profile has {}",
                describe::alpn(&offer.hello.alpn),
                Words(&offer.profile.alpn, |alpn| alpn.as_str().into())
            ),
            alert: Alert::NoApplicationProtocol,
        }
    }

    /// The parent serves known names only (SPEC VS-4).
    pub fn unrecognized_name() -> Self {
        Self {
            reason: Reason::UnrecognizedName,
            missing: "no virtual service has this server name".into(),
            alert: Alert::UnrecognizedName,
        }
    }
}

struct Words<'a, T, F: Fn(&T) -> String>(&'a [T], F);

impl<T, F: Fn(&T) -> String> fmt::Display for Words<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&(self.1)(item))?;
        }
        Ok(())
    }
}
