//! The rule: what is spoken with a client, and with which certificate. Pure, and the same for traffic and `explain`.
//!
//! A virtual service has at most one certificate of each key type. A certificate is *eligible* when the client can
//! verify its signature and, in TLS 1.2, offers a suite and a curve for it. Of the eligible ones in date, the
//! preferred key type is served; if none is in date, an expired one rather than nothing.
//!
//! What follows from the choice (suite, group, retry, protocol) is predicted exactly as rustls 0.23 decides it:
//! suites in our order, groups in the client's, and a group that is shared is taken even if its key share is missing.

use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::Preference;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::key::Algorithm;
use crate::key::KeyType;
use crate::tls::code_points::Authentication;
use crate::tls::code_points::ECDSA_P256;
use crate::tls::code_points::ECDSA_P384;
use crate::tls::code_points::ECDSA_P521;
use crate::tls::code_points::ED25519;
use crate::tls::code_points::RSA_PKCS1;
use crate::tls::code_points::RSA_PSS;
use crate::tls::code_points::SECP256R1;
use crate::tls::code_points::SECP384R1;
use crate::tls::code_points::SECP521R1;
use crate::tls::hello::ClientHello;
use crate::tls::refusal::Refusal;

/// What the rule needs to know of a profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProfileFacts {
    /// Enabled versions.
    pub versions: Vec<TlsVersion>,
    /// In our order of preference.
    pub cipher_suites: Vec<CipherSuite>,
    /// Enabled groups; the client's order decides.
    pub groups: Vec<Group>,
    /// In our order of preference; empty: ALPN is not spoken.
    pub alpn: Vec<Alpn>,
    /// The key type that goes first.
    pub prefer: Preference,
}

impl From<&TlsProfile> for ProfileFacts {
    fn from(profile: &TlsProfile) -> Self {
        Self {
            versions: profile.versions.clone(),
            cipher_suites: profile.cipher_suites.clone(),
            groups: profile.groups.clone(),
            alpn: profile.alpn.clone(),
            prefer: profile.prefer,
        }
    }
}

/// A certificate that could be served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// Its place among the certificates of the virtual service.
    pub slot: usize,
    /// The kind of its key.
    pub algorithm: Algorithm,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// How its key can sign now.
    pub signs: Signs,
}

/// How a key can sign now. A key on file always can; one in a token as the token is and can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signs {
    /// In every way that goes with its kind.
    Fully,
    /// Not at all.
    NotNow,
    /// RSA by PKCS#1 v1.5 alone, which does for TLS 1.2 only.
    Pkcs1Only,
    /// RSA by PSS alone.
    PssOnly,
}

/// What will happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Negotiation {
    /// The slot of the chosen candidate.
    pub certificate: usize,
    /// The kind of its key.
    pub algorithm: Algorithm,
    /// The version.
    pub version: TlsVersion,
    /// The suite.
    pub cipher_suite: CipherSuite,
    /// The group of the key exchange.
    pub group: Group,
    /// The client sent no share for the group: it is asked for one, which costs a round trip.
    pub needs_hello_retry: bool,
    /// The protocol; None: the client offered none.
    pub alpn: Option<Alpn>,
    /// The certificate is out of date, because every eligible one is.
    pub expired: bool,
    /// What decided.
    pub rule: Rule,
}

/// What decided on the certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Not the preferred one, because of this.
    Instead(Unfit),
    /// Nothing eligible is in date; this is better than nothing.
    NothingInDate,
    /// The virtual service has only this one.
    Only,
    /// The preferred key type.
    Preferred,
}

/// Why a certificate cannot be served to a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unfit {
    /// Its key cannot sign at the moment.
    CannotSign,
    /// TLS 1.2: the client does not offer the certificate's curve.
    Curve,
    /// It is expired, or not yet valid, and another one is eligible.
    OutOfDate,
    /// The client cannot verify a signature of its key.
    Scheme,
    /// No suite that is enabled here and offered by the client goes with its key.
    Suite,
}

impl Unfit {
    /// One stable word: the label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CannotSign => "cannot_sign",
            Self::Curve => "curve",
            Self::OutOfDate => "out_of_date",
            Self::Scheme => "scheme",
            Self::Suite => "suite",
        }
    }
}

/// Applies the rule. `now` is in Unix seconds.
pub fn negotiate(
    hello: &ClientHello,
    profile: &ProfileFacts,
    candidates: &[Candidate],
    now: i64,
) -> Result<Negotiation, Refusal> {
    let version = shared_version(hello, profile).ok_or_else(|| Refusal::version(hello, profile))?;
    if hello.signature_schemes.is_none() {
        return Err(Refusal::without_signature_algorithms(version));
    }
    let offer = Offer { hello, profile, version };
    let Choice { candidate, cipher_suite, rule } =
        offer.choose(candidates, now).ok_or_else(|| Refusal::certificate(&offer, candidates))?;
    let group = offer.group().ok_or_else(|| Refusal::group(&offer))?;
    let needs_hello_retry = version == TlsVersion::Tls13 && {
        let shares = hello.key_shares.as_ref().ok_or_else(Refusal::without_key_share)?;
        !shares.contains(&group.code())
    };
    Ok(Negotiation {
        certificate: candidate.slot,
        algorithm: candidate.algorithm,
        version,
        cipher_suite,
        group,
        needs_hello_retry,
        alpn: offer.alpn().map_err(|()| Refusal::alpn(&offer))?,
        expired: !candidate.is_in_date(now),
        rule,
    })
}

/// What a client offers, seen through a profile and at a version.
pub(super) struct Offer<'a> {
    pub(super) hello: &'a ClientHello,
    pub(super) profile: &'a ProfileFacts,
    pub(super) version: TlsVersion,
}

struct Choice {
    candidate: Candidate,
    cipher_suite: CipherSuite,
    rule: Rule,
}

impl Offer<'_> {
    fn choose(&self, candidates: &[Candidate], now: i64) -> Option<Choice> {
        let ranked = |rank| {
            candidates.iter().filter(move |candidate| self.rank(candidate.algorithm) == rank)
        };
        let by_preference = || (0..KEY_TYPES).flat_map(ranked);
        let eligible = |in_date: bool| {
            by_preference()
                .filter(move |candidate| candidate.is_in_date(now) == in_date)
                .find_map(|candidate| Some((*candidate, self.fit(candidate).ok()?)))
        };
        let (candidate, cipher_suite) = eligible(true).or_else(|| eligible(false))?;
        let first = by_preference().next()?;
        let rule = if !candidate.is_in_date(now) {
            Rule::NothingInDate
        } else if candidates.len() == 1 {
            Rule::Only
        } else if candidate == *first {
            Rule::Preferred
        } else {
            Rule::Instead(self.fit(first).err().unwrap_or(Unfit::OutOfDate))
        };
        Some(Choice { candidate, cipher_suite, rule })
    }

    fn rank(&self, algorithm: Algorithm) -> u8 {
        match (self.profile.prefer, algorithm.key_type()) {
            (Preference::Ec, KeyType::Ec) | (Preference::Rsa, KeyType::Rsa) => 0,
            (Preference::Ec, KeyType::Ed25519) | (Preference::Rsa, KeyType::Ec) => 1,
            (Preference::Ec, KeyType::Rsa) | (Preference::Rsa, KeyType::Ed25519) => 2,
        }
    }

    /// The suite that a candidate would be served with, its validity period aside.
    pub(super) fn fit(&self, candidate: &Candidate) -> Result<CipherSuite, Unfit> {
        let suite = self.suite(candidate.algorithm).ok_or(Unfit::Suite)?;
        if !self.verifies(candidate) {
            return Err(Unfit::Scheme);
        }
        if self.version == TlsVersion::Tls12 && !self.offers_curve(candidate.algorithm) {
            return Err(Unfit::Curve);
        }
        if candidate.signs == Signs::NotNow { Err(Unfit::CannotSign) } else { Ok(suite) }
    }

    fn suite(&self, algorithm: Algorithm) -> Option<CipherSuite> {
        let demanded = match (self.version, algorithm.key_type()) {
            (TlsVersion::Tls13, _) => Authentication::Any,
            (TlsVersion::Tls12, KeyType::Rsa) => Authentication::Rsa,
            (TlsVersion::Tls12, KeyType::Ec | KeyType::Ed25519) => Authentication::Ecdsa,
        };
        self.profile.cipher_suites.iter().copied().find(|suite| {
            suite.version() == self.version
                && suite.authentication() == demanded
                && self.hello.cipher_suites.contains(&suite.code())
        })
    }

    /// Whether the client offers a scheme for the key; an EC key signs with the hash of its curve only.
    fn verifies(&self, candidate: &Candidate) -> bool {
        let offered = self.hello.signature_schemes.as_deref().unwrap_or_default();
        let any = |schemes: &[u16]| schemes.iter().any(|scheme| offered.contains(scheme));
        match candidate.algorithm {
            Algorithm::Ed25519 => any(&[ED25519]),
            Algorithm::P256 => any(&[ECDSA_P256]),
            Algorithm::P384 => any(&[ECDSA_P384]),
            Algorithm::P521 => any(&[ECDSA_P521]),
            // PKCS#1 signatures are not for TLS 1.3 handshakes (RFC 8446, section 4.2.3).
            Algorithm::Rsa { .. } => {
                let pss = candidate.signs != Signs::Pkcs1Only;
                let pkcs1 = candidate.signs != Signs::PssOnly && self.version == TlsVersion::Tls12;
                (pss && any(&RSA_PSS)) || (pkcs1 && any(&RSA_PKCS1))
            }
        }
    }

    /// In TLS 1.2 the groups also say which curves a certificate may have (RFC 8422, section 5.1.1).
    fn offers_curve(&self, algorithm: Algorithm) -> bool {
        let curve = match algorithm {
            Algorithm::Ed25519 | Algorithm::Rsa { .. } => return true,
            Algorithm::P256 => SECP256R1,
            Algorithm::P384 => SECP384R1,
            Algorithm::P521 => SECP521R1,
        };
        match &self.hello.groups {
            Some(groups) => groups.contains(&curve),
            None => curve != SECP521R1,
        }
    }

    /// The client's first group that is enabled here.
    fn group(&self) -> Option<Group> {
        let offered = self.hello.groups.as_deref().unwrap_or_default();
        let enabled =
            |group: &Group| group.usable_in(self.version) && self.profile.groups.contains(group);
        offered.iter().filter_map(|code| Group::from_code(*code)).find(enabled)
    }

    fn alpn(&self) -> Result<Option<Alpn>, ()> {
        if self.hello.alpn.is_empty() || self.profile.alpn.is_empty() {
            return Ok(None);
        }
        let offered = |ours: &&Alpn| {
            self.hello.alpn.iter().any(|theirs| **theirs == *ours.as_str().as_bytes())
        };
        self.profile.alpn.iter().find(offered).copied().map(Some).ok_or(())
    }
}

impl Candidate {
    fn is_in_date(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// The highest version of both.
fn shared_version(hello: &ClientHello, profile: &ProfileFacts) -> Option<TlsVersion> {
    [TlsVersion::Tls13, TlsVersion::Tls12].into_iter().find(|version| {
        profile.versions.contains(version) && hello.versions.contains(&version.code())
    })
}

const KEY_TYPES: u8 = 3;

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
