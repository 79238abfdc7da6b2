//! The host of a request: its syntax, and whose it is (SPEC VS-6).

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::Mode;
use crate::names::CertificateName;
use crate::names::ServerName;
use crate::service::VirtualService;
use crate::service::table::Table;

/// A host and port as a request names them, checked (RFC 9110, section 7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host<'request> {
    /// The name or address, as it was written; an IPv6 address keeps its brackets.
    pub name: &'request str,
    /// The port, where one was written.
    pub port: Option<u16>,
}

/// Which service a request belongs to.
#[derive(Debug)]
pub enum Owner {
    /// The service that owns the connection.
    Mine,
    /// Nobody who may be reached over this connection: 421.
    Nobody,
    /// A sibling with the same TLS policy, whose host the served certificate covers.
    Sibling(Arc<VirtualService>),
}

impl<'request> Host<'request> {
    /// Parses `host[:port]`: a name of letters, digits, `-`, `_` and `.`, or an IPv6 address in
    /// brackets. Nothing else is a host here, above all no user information and no path.
    pub fn parse(text: &'request str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.find(']')?;
                rest[..inner].parse::<std::net::Ipv6Addr>().ok()?;
                inner + 2
            }
            None => text.bytes().position(|byte| !is_host_byte(byte)).unwrap_or(text.len()),
        };
        if !(1..=MAX_HOST).contains(&end) {
            return None;
        }
        let port = match &text.as_bytes()[end..] {
            // An empty port means the default one (RFC 3986, section 3.2.3).
            [] | [b':'] => None,
            [b':', port @ ..] if port.iter().all(u8::is_ascii_digit) => {
                Some(text[end + 1..].parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { name: &text[..end], port })
    }

    /// The name in the form that domains are compared in: lower case, no trailing dot.
    pub fn normalised(&self) -> Cow<'request, str> {
        let name = self.name.strip_suffix('.').unwrap_or(self.name);
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        }
    }

    /// Whether this is the name that the client asked for in TLS.
    pub fn is(&self, server_name: &ServerName) -> bool {
        let name = self.name.strip_suffix('.').unwrap_or(self.name);
        name.eq_ignore_ascii_case(server_name.as_str())
    }
}

/// The connection that a request came over, as far as the host check needs it.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// The service that was selected by the server name.
    pub service: &'a VirtualService,
    /// That server name.
    pub server_name: Option<&'a ServerName>,
    /// The certificate that was presented.
    pub certificate: &'a CertificateName,
}

impl Came<'_> {
    /// Whose request is it? `table` is asked only if the host is not the server name itself, which
    /// it nearly always is.
    ///
    /// A host that one of the child's wildcards covers, but that a sibling owns by a longer pattern,
    /// is the sibling's: the same rule as for server names.
    pub fn owner(&self, host: Host<'_>, table: impl FnOnce() -> Arc<Table>) -> Owner {
        if self.service.parent.is_none() || self.service.host_check == HostCheck::Off {
            return Owner::Mine;
        }
        if self.server_name.is_some_and(|server_name| host.is(server_name)) {
            return Owner::Mine;
        }
        let name = host.normalised();
        let table = table();
        match table.sibling(&name) {
            Some(child) if child.name == self.service.name => Owner::Mine,
            Some(sibling) if self.may_serve(sibling, &name) => Owner::Sibling(Arc::clone(sibling)),
            Some(_) => Owner::Nobody,
            // A reload took the name away while the connection lives: it keeps what it was given.
            None if self.service.domains.iter().any(|domain| domain.matches(&name)) => Owner::Mine,
            None => Owner::Nobody,
        }
    }

    fn may_serve(&self, sibling: &VirtualService, name: &str) -> bool {
        self.service.host_check == HostCheck::SamePolicy
            && sibling.mode == Mode::Http
            // Else the client's certificate would be missing where it is wanted.
            && sibling.client_certificate_headers == self.service.client_certificate_headers
            && sibling.has_tls_policy_of(self.service)
            && self.service.served_certificate_covers(self.certificate, name)
    }
}

fn is_host_byte(byte: u8) -> bool {
    HOST_BYTES[usize::from(byte)]
}

/// A table, because each byte of each request's host is asked for.
static HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// A DNS name of 253 characters and a trailing dot.
const MAX_HOST: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        let host = |name, port| Some(Host { name, port });
        assert_eq!(Host::parse("a.example.com"), host("a.example.com", None));
        assert_eq!(Host::parse("a.example.com:8443"), host("a.example.com", Some(8443)));
        assert_eq!(Host::parse("a.example.com:"), host("a.example.com", None));
        assert_eq!(Host::parse("[::1]:443"), host("[::1]", Some(443)));
        assert_eq!(Host::parse("127.0.0.1"), host("127.0.0.1", None));
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for text in [
            "", ":80", "a b", "a/b", "user@a", "a:70000", "a:x", "a:+80", "[::1", "[x]", "[::1]x",
            "a,b", "a%2eb", "a#b", "a:80:80",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hosts_compare_without_case_and_trailing_dot() {
        let host = Host::parse("Shop.Example.COM.:443").expect("a host");
        assert_eq!(host.normalised(), "shop.example.com");
        assert!(host.is(&"shop.example.com".parse().expect("a name")));
    }
}
