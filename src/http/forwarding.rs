//! Who a request comes from where trusted proxies say so, and what the endpoint is told about it
//! (SPEC PX-3). Where nobody is trusted it costs a look at an empty list.
//!
//! A chain is read from its end, where the proxy next to us wrote: what stands before a part that is
//! malformed, or hidden, is as if it were not there.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::header;
use ipnet::IpNet;

use crate::config::virtual_service::Forwarded;
use crate::http::client_side::ClientSide;
use crate::http::forwarded_field;
use crate::http::forwarded_field::Element;
use crate::http::forwarded_field::node;
use crate::message::Fields;
use crate::service::VirtualService;
use crate::service::host::Host;

/// What a trusted proxy said about a request.
#[derive(Debug, Eq, PartialEq)]
pub struct Forwarding {
    /// Who it comes from: the last address that is not itself trusted, or the first one.
    pub client: IpAddr,
    /// The addresses before the proxy that is connected to us, the first hop first.
    chain: Vec<IpAddr>,
    /// The elements of `Forwarded` that the chain was read from, as they came.
    elements: Option<String>,
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
    port: Option<HeaderValue>,
}

impl Forwarding {
    /// Reads it. None: the other end of the connection is not trusted, and knows nothing.
    pub fn read(fields: &Fields, trusted: &[IpNet], peer: IpAddr) -> Option<Box<Self>> {
        let trusts = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
        let peer = peer.to_canonical();
        if trusted.is_empty() || !trusts(&peer) {
            return None;
        }
        let mut said = if fields.contains(X_FORWARDED_FOR) {
            Self::of_x_forwarded(fields, peer)
        } else if fields.contains(header::FORWARDED) {
            Self::of_forwarded(fields, peer)
        } else {
            Self::of_x_forwarded(fields, peer)
        };
        let client = said.chain.iter().rev().find(|address| !trusts(address));
        said.client = client.or(said.chain.first()).copied().unwrap_or(peer);
        Some(Box::new(said))
    }

    fn of_x_forwarded(fields: &Fields, peer: IpAddr) -> Self {
        Self {
            client: peer,
            chain: addresses(fields),
            elements: None,
            proto: first_hop(fields, X_FORWARDED_PROTO, is_scheme),
            host: first_hop(fields, X_FORWARDED_HOST, is_host),
            port: first_hop(fields, X_FORWARDED_PORT, is_port),
        }
    }

    fn of_forwarded(fields: &Fields, peer: IpAddr) -> Self {
        let elements = forwarded_field::read(fields);
        let first = elements.first();
        let value = |text: Option<&str>, is_valid: fn(&str) -> bool| {
            HeaderValue::from_str(text.filter(|text| is_valid(text))?).ok()
        };
        let texts: Vec<&str> = elements.iter().map(|element| element.text).collect();
        Self {
            client: peer,
            chain: elements.iter().map(|element| element.address).collect(),
            proto: value(first.and_then(Element::proto), is_scheme),
            host: value(first.and_then(Element::host), is_host),
            port: None,
            elements: Some(texts.join(", ")),
        }
    }
}

/// Makes the fields of a request say where it comes from: what the client says is replaced, what a
/// trusted proxy says is kept and added to.
pub fn tell(
    fields: &mut Fields,
    client: &ClientSide,
    service: &VirtualService,
    said: Option<&Forwarding>,
    host: &HeaderValue,
) {
    if service.forwarded != Forwarded::XForwarded {
        let value = forwarded(client, said, host);
        fields.insert(header::FORWARDED, value);
    }
    if service.forwarded == Forwarded::Rfc7239 {
        for name in
            [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP]
        {
            fields.remove(name);
        }
        return;
    }
    let (chain, real) = match said {
        None => (client.address().clone(), client.address().clone()),
        Some(said) => (x_forwarded_for(client, said), text(&said.client.to_string())),
    };
    let kept =
        |value: fn(&Forwarding) -> &Option<HeaderValue>| said.and_then(|it| value(it).clone());
    let proto = kept(|said| &said.proto).unwrap_or(HeaderValue::from_static("https"));
    let port = kept(|said| &said.port).unwrap_or_else(|| client.port().clone());
    fields.insert(X_FORWARDED_FOR, chain);
    fields.insert(X_REAL_IP, real);
    fields.insert(X_FORWARDED_PROTO, proto);
    fields.insert(X_FORWARDED_HOST, kept(|said| &said.host).unwrap_or_else(|| host.clone()));
    fields.insert(X_FORWARDED_PORT, port);
}

/// The chain, and the proxy that is connected to us.
fn x_forwarded_for(client: &ClientSide, said: &Forwarding) -> HeaderValue {
    let mut all = String::with_capacity(16 * (said.chain.len() + 1));
    for address in &said.chain {
        // Writing to a String cannot fail.
        let _ = write!(all, "{address}, ");
    }
    all.push_str(client.address().to_str().unwrap_or_default());
    text(&all)
}

/// RFC 7239: what was said before, and an element of our own. `by` would tell clients' addresses
/// inside this network to the world, and is left out.
fn forwarded(client: &ClientSide, said: Option<&Forwarding>, host: &HeaderValue) -> HeaderValue {
    let mut all = String::with_capacity(96);
    if let Some(said) = said {
        said.begin(&mut all);
    }
    let host = host.to_str().unwrap_or_default();
    let _ = write!(all, "for={};proto=https;host={}", client.node(), forwarded_field::value(host));
    text(&all)
}

impl Forwarding {
    /// What stands before our own element, with a comma after it.
    fn begin(&self, all: &mut String) {
        if let Some(elements) = &self.elements {
            if !elements.is_empty() {
                let _ = write!(all, "{elements}, ");
            }
            return;
        }
        for (hop, address) in self.chain.iter().enumerate() {
            let _ = write!(all, "for={}", forwarded_field::value(&bracketed(*address)));
            if hop == 0 {
                let parameters = [("proto", &self.proto), ("host", &self.host)];
                for (name, value) in parameters {
                    if let Some(value) = value.as_ref().and_then(|value| value.to_str().ok()) {
                        let _ = write!(all, ";{name}={}", forwarded_field::value(value));
                    }
                }
            }
            all.push_str(", ");
        }
    }
}

/// An address as a node of RFC 7239, section 6, is written.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// The addresses of `X-Forwarded-For`, the first hop first.
fn addresses(fields: &Fields) -> Vec<IpAddr> {
    let mut chain = Vec::new();
    'lines: for line in fields.get_all(X_FORWARDED_FOR).rev() {
        let Ok(line) = line.to_str() else { break };
        for entry in line.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match node(entry) {
                Some(address) => chain.push(address),
                None => break 'lines,
            }
        }
    }
    chain.reverse();
    chain
}

/// What the first hop said; each proxy may have added its own behind it.
fn first_hop(fields: &Fields, name: HeaderName, is_valid: fn(&str) -> bool) -> Option<HeaderValue> {
    let value = fields.get(name)?;
    let all = value.to_str().ok()?;
    let first = all.split(',').next().map(str::trim).filter(|first| is_valid(first))?;
    if first.len() == all.len() { Some(value.clone()) } else { HeaderValue::from_str(first).ok() }
}

fn is_scheme(text: &str) -> bool {
    ["http", "https", "ws", "wss"].iter().any(|scheme| scheme.eq_ignore_ascii_case(text))
}

fn is_host(text: &str) -> bool {
    Host::parse(text).is_some()
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Addresses, tokens and quoted hosts always are a field value.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes()))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::testing::fields as map;

    fn read(fields: &[(&'static str, &str)]) -> Option<Box<Forwarding>> {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| net.parse().expect("a network"));
        Forwarding::read(&map(fields), &trusted, IpAddr::from([10, 0, 0, 1]))
    }

    fn client(fields: &[(&'static str, &str)]) -> String {
        read(fields).expect("a trusted peer").client.to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        let fields = map(&[("x-forwarded-for", "192.0.2.7")]);
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        assert_eq!(Forwarding::read(&fields, &trusted, IpAddr::from([192, 0, 2, 1])), None);
        assert_eq!(Forwarding::read(&fields, &[], IpAddr::from([10, 0, 0, 1])), None);
    }

    /// SPEC PX-3.
    #[test]
    fn the_client_is_the_last_address_that_is_not_trusted() {
        let for_ = |value| [("x-forwarded-for", value)];
        assert_eq!(client(&for_("192.0.2.7")), "192.0.2.7");
        assert_eq!(client(&for_("6.6.6.6, 192.0.2.7, 10.0.0.9")), "192.0.2.7");
        assert_eq!(client(&for_("192.0.2.7:40000 ,10.0.0.9")), "192.0.2.7");
        assert_eq!(client(&for_("[2001:db8::7]:443, 2001:db8:1::1")), "2001:db8::7");
        assert_eq!(client(&for_("::ffff:192.0.2.7")), "192.0.2.7");
        assert_eq!(client(&for_("10.1.1.1, 10.0.0.9")), "10.1.1.1", "all trusted: the first");
        assert_eq!(client(&[]), "10.0.0.1", "nothing said: the proxy itself");
        let two = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(client(&two), "192.0.2.7");
    }

    /// SPEC PX-3.
    #[test]
    fn what_stands_before_a_malformed_part_is_not_there() {
        let chain = |value| read(&[("x-forwarded-for", value)]).expect("trusted").chain;
        assert_eq!(chain("192.0.2.7, unknown, 10.0.0.9"), [IpAddr::from([10, 0, 0, 9])]);
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.7, <script>")]), "10.0.0.1");
        assert_eq!(client(&[("forwarded", "for=192.0.2.7, for=\"10.0.0.9")]), "10.0.0.1");
        assert_eq!(
            client(&[("forwarded", "for=192.0.2.7, for=_hidden, for=10.0.0.9")]),
            "10.0.0.9"
        );
    }

    /// SPEC PX-3 (RFC 7239).
    #[test]
    fn forwarded_is_read_where_it_is_alone() {
        let forwarded = ("forwarded", "for=\"[2001:db8::7]:47011\";proto=http;host=a.example.com");
        let said = read(&[forwarded]).expect("trusted");
        assert_eq!(said.client.to_string(), "2001:db8::7");
        assert_eq!(said.proto.as_ref().expect("http"), "http");
        assert_eq!(said.host.as_ref().expect("a host"), "a.example.com");
        assert_eq!(client(&[forwarded, ("x-forwarded-for", "192.0.2.9")]), "192.0.2.9");
    }

    #[test]
    fn what_the_first_hop_said_is_kept_if_it_can_be_that() {
        let said = read(&[
            ("x-forwarded-proto", "http, https"),
            ("x-forwarded-host", "evil host"),
            ("x-forwarded-port", "8080"),
        ])
        .expect("trusted");
        assert_eq!(said.proto.expect("kept"), "http");
        assert_eq!((said.host, said.port.expect("kept").as_bytes()), (None, &b"8080"[..]));
    }

    proptest! {
        #[test]
        fn nothing_that_a_proxy_says_panics(
            x in "[ -~\\x80-\\xff]{0,60}", forwarded in "(for=|proto=|host=|[\"\\\\;,=\\[\\]:. 0-9a-f]){0,24}"
        ) {
            for fields in [[(X_FORWARDED_FOR, &*x)], [(header::FORWARDED, &*forwarded)]] {
                let mut map = Fields::new();
                for (name, value) in fields {
                    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                        map.append(name, value);
                    }
                }
                let trusted = ["0.0.0.0/0".parse().expect("everybody")];
                Forwarding::read(&map, &trusted, IpAddr::from([10, 0, 0, 1]));
            }
        }
    }
}
