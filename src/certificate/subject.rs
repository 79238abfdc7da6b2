//! Whom a certificate is for: the words of its subject, and the names that clients look at.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::DnValue;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use thiserror::Error;

use crate::names::NameError;
use crate::names::ServerName;

/// What is asked of a certificate (SPEC CERT-5). Only the common name is needed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// Usually the first of the names.
    pub common_name: String,
    /// Who asks for it.
    pub organization: Option<String>,
    /// A part of the organization.
    pub organizational_unit: Option<String>,
    /// Two letters of ISO 3166.
    pub country: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// City.
    pub locality: Option<String>,
    /// Whom to write to.
    pub email: Option<String>,
    /// Subject alternative names, besides the common name.
    pub names: Vec<AltName>,
}

/// A name that clients compare with what they wanted to reach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AltName {
    /// A domain name in lower case; its first label may be `*` (RFC 9525, section 6.3).
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Why there cannot be such a subject.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SubjectError {
    /// It holds a character that cannot be seen.
    #[error("the {0} holds a control character; remove it")]
    Control(&'static str),
    /// Not two capital letters.
    #[error("`{0}` is not the code of a country; write its two letters, such as DE")]
    Country(String),
    /// Not one at sign between two texts of ASCII characters.
    #[error("`{0}` is not an e-mail address; write one such as admin@example.com")]
    Email(String),
    /// Nothing, or blanks.
    #[error("the {0} is empty; leave it out, or say what it is")]
    Empty(&'static str),
    /// More than X.520 allows for.
    #[error("the {what} is longer than {most} characters, which the standard (X.520) allows")]
    Long {
        /// Which word.
        what: &'static str,
        /// How many.
        most: usize,
    },
}

impl Subject {
    /// What clients will look at: the common name first, if it is a name of a host at all.
    pub fn alt_names(&self) -> Vec<AltName> {
        let mut names: Vec<AltName> = self.common_name.parse().into_iter().collect();
        for name in &self.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// As the library for certificates takes it: for a server, without a validity.
    ///
    /// # Errors
    /// A word that cannot stand there.
    pub fn parameters(&self) -> Result<CertificateParams, SubjectError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = self.distinguished_name()?;
        let names = self.alt_names().into_iter().filter_map(|name| match name {
            AltName::Dns(name) => name.try_into().map(SanType::DnsName).ok(),
            AltName::Ip(address) => Some(SanType::IpAddress(address)),
        });
        parameters.subject_alt_names = names.collect();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(parameters)
    }

    /// In the order in which most tools write it.
    fn distinguished_name(&self) -> Result<DistinguishedName, SubjectError> {
        let mut name = DistinguishedName::new();
        if let Some(country) = &self.country {
            let is_code = country.len() == 2 && country.bytes().all(|c| c.is_ascii_uppercase());
            let code = country.as_str().try_into().ok().filter(|_| is_code);
            let code = code.ok_or_else(|| SubjectError::Country(country.clone()))?;
            name.push(DnType::CountryName, DnValue::PrintableString(code));
        }
        let words = [
            (DnType::StateOrProvinceName, "state", 128, &self.state),
            (DnType::LocalityName, "locality", 128, &self.locality),
            (DnType::OrganizationName, "organization", 64, &self.organization),
            (DnType::OrganizationalUnitName, "organizational unit", 64, &self.organizational_unit),
            (DnType::CommonName, "common name", 64, &Some(self.common_name.clone())),
        ];
        for (kind, what, most, word) in words {
            if let Some(word) = word {
                check(what, word, most)?;
                name.push(kind, word.as_str());
            }
        }
        if let Some(email) = &self.email {
            let is_address = email.is_ascii()
                && email.split_once('@').is_some_and(|(who, at)| {
                    !who.is_empty() && !at.is_empty() && !at.contains('@')
                })
                && !email.contains(|c: char| c.is_whitespace() || c.is_control());
            let address = email.as_str().try_into().ok().filter(|_| is_address);
            let address = address.ok_or_else(|| SubjectError::Email(email.clone()))?;
            let kind = DnType::CustomDnType(EMAIL_ADDRESS.to_vec());
            name.push(kind, DnValue::Ia5String(address));
        }
        Ok(name)
    }
}

fn check(what: &'static str, word: &str, most: usize) -> Result<(), SubjectError> {
    if word.trim().is_empty() {
        return Err(SubjectError::Empty(what));
    }
    if word.chars().any(char::is_control) {
        return Err(SubjectError::Control(what));
    }
    if word.chars().count() > most { Err(SubjectError::Long { what, most }) } else { Ok(()) }
}

impl FromStr for AltName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => ("", text),
        };
        let name: ServerName = rest.parse()?;
        Ok(Self::Dns(format!("{wildcard}{name}")))
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// `emailAddress` of PKCS #9 (RFC 2985, section 5.2.1).
const EMAIL_ADDRESS: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 1];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(common_name: &str) -> Subject {
        Subject { common_name: common_name.to_owned(), ..Subject::default() }
    }

    fn error(subject: &Subject) -> SubjectError {
        subject.parameters().unwrap_err()
    }

    #[test]
    fn a_common_name_is_a_name_too_if_it_can_be() {
        let names = |subject: &Subject| -> Vec<String> {
            subject.alt_names().iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&named("Shop.Example.com")), ["shop.example.com"]);
        assert_eq!(names(&named("192.0.2.1")), ["192.0.2.1"]);
        assert_eq!(names(&named("Our shop")), [""; 0]);
        let more = ["*.shop.test", "::1", "shop.test"].map(|name| name.parse().unwrap());
        let subject = Subject { names: more.to_vec(), ..named("shop.test") };
        assert_eq!(names(&subject), ["shop.test", "*.shop.test", "::1"]);
        assert_eq!(subject.parameters().unwrap().subject_alt_names.len(), 3);
    }

    #[test]
    fn names_are_those_of_hosts() {
        for wrong in ["", "a b", "*.", "a.*.b", "*", "shop..test", "ü.test"] {
            assert!(wrong.parse::<AltName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_subject_is_named() {
        assert_eq!(error(&named(" ")), SubjectError::Empty("common name"));
        assert_eq!(error(&named("a\nb")), SubjectError::Control("common name"));
        let long = SubjectError::Long { what: "common name", most: 64 };
        assert_eq!(error(&named(&"a".repeat(65))), long);
        for country in ["Germany", "de", "D1", ""] {
            let subject = Subject { country: Some(country.to_owned()), ..named("a") };
            assert_eq!(error(&subject), SubjectError::Country(country.to_owned()));
        }
        for email in ["admin", "@example.com", "a@", "a@b@c", "ü@example.com", "a b@c"] {
            let subject = Subject { email: Some(email.to_owned()), ..named("a") };
            assert_eq!(error(&subject), SubjectError::Email(email.to_owned()));
        }
    }
}
