//! The words of the configuration as types: names of things, addresses, server names and domain patterns.
//!
//! A value of one of these types has been checked once, at the edge, and never again.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Defines names that an operator gives to things: 1 to 64 letters, digits, `_`, `-` and `.`.
macro_rules! operator_names {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it is written in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_operator_name(text).map(|()| Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )+};
}

operator_names! {
    /// The name of a virtual service, parent or child: `[virtual_service.NAME]`.
    VirtualServiceName,
    /// The name of a certificate slot: `[certificate.NAME]`.
    CertificateName,
    /// The name of a TLS profile: `[tls_profile.NAME]`, or `modern` or `intermediate`.
    TlsProfileName,
    /// The name of a pool: `[pool.NAME]`.
    PoolName,
    /// The name of a group of tokens: `[hsm.NAME]`.
    HsmName,
}

/// The server name of a ClientHello (RFC 6066, section 3): lower case, without a trailing dot.
///
/// This is what the client asked for in TLS. What it asks for in HTTP is a *host*.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServerName(Box<str>);

impl ServerName {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        check_dns_name(text)?;
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of a child's `domains`. At most one wildcard, at one end (SPEC VS-3).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DomainPattern {
    /// `.example.com`: the apex and everything below it. Holds `example.com`.
    ApexAndBelow(Arc<str>),
    /// `*.example.com`: one or more labels below the apex, not the apex. Holds `example.com`.
    Below(Arc<str>),
    /// `a.example.com`: this name alone.
    Exact(Arc<str>),
    /// `www.example.*`: this stem and one or more labels after it. Holds `www.example`.
    Stem(Arc<str>),
}

impl DomainPattern {
    /// Whether a normalised name (lower case, no trailing dot) is covered by this pattern.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::ApexAndBelow(apex) => name == &**apex || is_below(name, apex),
            Self::Below(apex) => is_below(name, apex),
            Self::Exact(exact) => name == &**exact,
            Self::Stem(stem) => name
                .strip_prefix(&**stem)
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (make, rest): (fn(Arc<str>) -> Self, &str) = if let Some(rest) = text.strip_prefix("*.")
        {
            (Self::Below, rest)
        } else if let Some(rest) = text.strip_suffix(".*") {
            (Self::Stem, rest)
        } else if let Some(rest) = text.strip_prefix('.') {
            (Self::ApexAndBelow, rest)
        } else {
            (Self::Exact, &text)
        };
        if rest.contains('*') {
            return Err(NameError::Wildcard);
        }
        check_dns_name(rest)?;
        Ok(make(rest.into()))
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApexAndBelow(apex) => write!(f, ".{apex}"),
            Self::Below(apex) => write!(f, "*.{apex}"),
            Self::Exact(name) => f.write_str(name),
            Self::Stem(stem) => write!(f, "{stem}.*"),
        }
    }
}

/// The address of the client at the other end of an accepted connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientAddr(pub SocketAddr);

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address that a parent listens on, as configured; the port may be 0 (any free port).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenAddr(pub SocketAddr);

impl FromStr for ListenAddr {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self).map_err(|_| NameError::Address)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address of an endpoint of a pool.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EndpointAddr {
    /// A name and a port; resolved again when its time to live is over.
    Name(Box<str>, u16),
    /// An address and a port.
    Socket(SocketAddr),
    /// `unix:/run/app.sock`: a socket in the file system.
    Unix(Box<Path>),
}

impl EndpointAddr {
    /// The host part without the port: what TLS to the endpoint verifies unless told otherwise.
    pub fn host(&self) -> String {
        match self {
            Self::Name(name, _) => name.to_string(),
            Self::Socket(address) => address.ip().to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for EndpointAddr {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(NameError::Port)
            } else {
                Ok(Self::Socket(address))
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(NameError::Port)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(NameError::Port)?;
        let name: ServerName = host.parse()?;
        Ok(Self::Name(name.0, port))
    }
}

impl fmt::Display for EndpointAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Socket(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is not a name or an address.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Not `IP:PORT`.
    #[error("expected an IP address and a port, such as \"0.0.0.0:8443\" or \"[::]:8443\"")]
    Address,
    /// A character that the name cannot hold.
    #[error("the character {0:?} cannot stand here")]
    Character(char),
    /// Nothing where a name should be.
    #[error("the name is empty")]
    Empty,
    /// An empty or overlong label of a domain name.
    #[error("every label between dots needs 1 to 63 characters and no hyphen at its ends")]
    Label,
    /// Longer than what the kind of name allows.
    #[error("the name is longer than {0} characters")]
    Long(usize),
    /// Not an absolute path.
    #[error("a socket's path begins with a slash, such as \"unix:/run/app.sock\"")]
    Path,
    /// No port from 1 to 65535 after the last colon.
    #[error("a port from 1 to 65535 is missing, such as \":8080\"")]
    Port,
    /// A wildcard in the middle, or more than one.
    #[error("one wildcard only, as the first or the last label")]
    Wildcard,
}

fn is_below(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn check_operator_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_OPERATOR_NAME {
        return Err(NameError::Long(MAX_OPERATOR_NAME));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.')) {
        Some(other) => Err(NameError::Character(other)),
        None => Ok(()),
    }
}

/// The letters, digits and hyphens of RFC 1123, section 2.1, and the underscore that real zones use.
fn check_dns_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_DNS_NAME {
        return Err(NameError::Long(MAX_DNS_NAME));
    }
    for label in text.split('.') {
        if let Some(other) =
            label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))
        {
            return Err(NameError::Character(other));
        }
        if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            return Err(NameError::Label);
        }
    }
    Ok(())
}

/// An absolute path of a socket, without repeated slashes and `.`, so that one socket has one name.
fn socket_path(text: &str) -> Result<Box<Path>, NameError> {
    let path: PathBuf = Path::new(text).components().collect();
    let is_file = path.is_absolute() && path.file_name().is_some() && !text.ends_with('/');
    if !is_file || text.contains('\0') {
        return Err(NameError::Path);
    }
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(NameError::Long(MAX_SOCKET_PATH));
    }
    Ok(path.into())
}

/// `sun_path` of unix(7), less the null byte behind it.
const MAX_SOCKET_PATH: usize = 107;

/// Long enough for a readable name, short enough for a metric label and a file name.
const MAX_OPERATOR_NAME: usize = 64;

/// RFC 1035, section 2.3.4, less the length bytes at both ends.
const MAX_DNS_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> DomainPattern {
        text.parse().expect("a valid pattern")
    }

    #[test]
    fn exact_names_ignore_case_and_trailing_dot() {
        assert_eq!(pattern("Shop.Example.COM."), DomainPattern::Exact("shop.example.com".into()));
    }

    #[test]
    fn star_covers_one_or_more_labels_but_not_the_apex() {
        let star = pattern("*.example.com");
        assert!(star.matches("a.example.com"));
        assert!(star.matches("a.b.example.com"));
        assert!(!star.matches("example.com"));
        assert!(!star.matches("badexample.com"));
    }

    #[test]
    fn leading_dot_covers_apex_and_below() {
        let dot = pattern(".example.com");
        assert!(dot.matches("example.com"));
        assert!(dot.matches("a.b.example.com"));
        assert!(!dot.matches("badexample.com"));
    }

    #[test]
    fn stem_covers_what_follows_the_dot() {
        let stem = pattern("www.example.*");
        assert!(stem.matches("www.example.org"));
        assert!(stem.matches("www.example.co.uk"));
        assert!(!stem.matches("www.example"));
        assert!(!stem.matches("www.examples.org"));
    }

    #[test]
    fn wildcards_elsewhere_are_refused() {
        for text in ["a.*.example.com", "*a.example.com", "*.example.*", "*", "*.*"] {
            assert!(text.parse::<DomainPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_print_as_they_are_written() {
        for text in ["a.example.com", "*.example.com", ".example.com", "www.example.*"] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn endpoints_are_addresses_or_names_with_a_port() {
        assert_eq!("[::1]:80".parse::<EndpointAddr>().map(|e| e.host()), Ok("::1".to_owned()));
        assert_eq!("app:8080".parse(), Ok(EndpointAddr::Name("app".into(), 8080)));
        assert_eq!("app".parse::<EndpointAddr>(), Err(NameError::Port));
        assert_eq!("10.0.0.1:0".parse::<EndpointAddr>(), Err(NameError::Port));
    }

    #[test]
    fn sockets_are_absolute_paths_and_have_one_name() {
        let socket = "unix:/run/app.sock".parse::<EndpointAddr>();
        assert_eq!("unix:///run/./app.sock".parse(), socket);
        let long = format!("unix:/{}", "a".repeat(107));
        for wrong in ["unix:app.sock", "unix:", "unix:/", "unix:/run/", "unix:/a\0", &long] {
            assert!(wrong.parse::<EndpointAddr>().is_err(), "{wrong}");
        }
    }
}
