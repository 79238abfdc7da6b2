//! `[virtual_service.NAME]`: a parent that owns sockets, or a child that owns domains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::log;
use crate::config::log::LogTarget;
use crate::config::no_pool;
use crate::config::policy::Policy;
use crate::config::redirect;
use crate::config::schema::Key;
use crate::names::CertificateName;
use crate::names::DomainPattern;
use crate::names::ListenAddr;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// The checked table.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// The name of the service.
    pub name: VirtualServiceName,
    /// Parent or child.
    pub role: Role,
    /// At most one of each key type (checked when the material is loaded). A parent may have none.
    pub certificates: Vec<CertificateName>,
    /// Default: the parent's for a child, `intermediate` for a parent.
    pub tls_profile: TlsProfileName,
    /// Where requests go.
    pub target: Target,
    /// Default strict. Has no effect on a parent, which serves whatever host is asked.
    pub host_check: HostCheck,
    /// What is done with a connection. Default http.
    pub mode: Mode,
    /// Handshakes for it that are under way at once. None: half of what the process may have.
    pub handshakes: Option<usize>,
    /// Handshakes for it that may begin within a second. None: no limit.
    pub handshakes_per_second: Option<usize>,
    /// Silence of its WebSockets and streams. None: as in `[timeouts]`.
    pub tunnel_idle: Option<Duration>,
    /// What is done with fields of requests that have an underscore in their names. Default drop.
    pub underscore_fields: UnderscoreFields,
    /// `trusted_proxies`: whose word about the client is believed; a child has its parent's unless it
    /// names its own.
    pub trusted_proxies: Vec<IpNet>,
    /// `forwarded`: which fields tell the endpoint about the client. Default `x_forwarded`.
    pub forwarded: Forwarded,
    /// What is done with requests beside passing them on; None: nothing.
    pub policy: Option<Box<Policy>>,
    /// What a plain HTTP request for one of the child's domains is answered with.
    pub http_redirect: HttpRedirect,
    /// From the service, or else from `[log]`, with `{virtual_service}` replaced.
    pub log: LogTarget,
    /// Fraction of the lines of successful exchanges that are written; from the service or `[log]`.
    pub log_sample: f64,
}

impl VirtualService {
    /// Whether the endpoints are told about the client's certificate.
    pub fn tells_client_certificates(&self) -> bool {
        self.policy.as_deref().is_some_and(|policy| policy.client_certificate_headers)
    }

    /// Files with the body of answers of the proxy itself, by status.
    pub fn error_pages(&self) -> impl Iterator<Item = (&u16, &PathBuf)> {
        self.policy.as_deref().into_iter().flat_map(|policy| &policy.error_pages)
    }
}

/// Which side of the family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// Chosen by the server name in the ClientHello.
    Child {
        /// Whose sockets it is reached through.
        parent: VirtualServiceName,
        /// At least one; no pattern twice among the children of a parent.
        domains: Arc<[DomainPattern]>,
    },
    /// Owns sockets, and serves what no child matches.
    Parent {
        /// At least one.
        listen: Vec<ListenAddr>,
        /// Plain listeners that answer with a redirect to HTTPS.
        redirect_http: Vec<ListenAddr>,
        /// Unknown server names are refused with `unrecognized_name`.
        strict_sni: bool,
        /// `proxy_protocol = ["10.0.0.0/8"]`: connections from these addresses begin with a PROXY
        /// protocol header, version 1 or 2; from all others one is not understood.
        proxy_protocol: Vec<IpNet>,
    },
}

/// What is done with a connection once its service is known (SPEC VS-11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// TLS ends here, and so does HTTP.
    Http,
    /// TLS passes through to the pool as it came; needs no certificate.
    Passthrough,
    /// TLS ends here, and its bytes are relayed to the pool.
    Tcp,
}

/// What is done with fields of requests that have an underscore in their names: programs that are
/// handed them as variables cannot tell `x_forwarded_for` from `x-forwarded-for`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnderscoreFields {
    /// The endpoint does not see them.
    Drop,
    /// The endpoint sees them, but for those that look like fields that the proxy sets.
    Pass,
    /// The request is answered with 400.
    Refuse,
}

/// Which fields tell the endpoint about the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forwarded {
    /// Both kinds.
    Both,
    /// `Forwarded` of RFC 7239; the client's `X-Forwarded-*` are removed.
    Rfc7239,
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Real-IP`; the client's `Forwarded` is
    /// removed.
    XForwarded,
}

/// What a plain listener of the parent does with requests for a child's domains.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HttpRedirect {
    /// The default: to the same host and path over HTTPS.
    #[default]
    SameHost,
    /// `http_redirect = { location = "https://www.example.com{uri}", status = 308 }`
    To {
        /// May have `{host}`, `{path}` and `{uri}` in it.
        location: String,
        /// None: 301 for GET and HEAD, 308 for the others.
        status: Option<u16>,
    },
    /// `http_redirect = { refuse = true }`: 404.
    Refuse,
}

/// Where requests go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Nowhere: the proxy itself does something.
    NoPool(NoPool),
    /// To an endpoint of this pool.
    Pool(PoolName),
}

/// What a parent without a pool does after the handshake (SPEC VS-8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoPool {
    /// `no_pool = { close = true }`, the default.
    Close,
    /// `no_pool = { status = 404, body = "no such site\n" }`
    Respond {
        /// 200 to 599.
        status: u16,
        /// Text; may be empty.
        body: String,
    },
    /// `no_pool = { redirect = "https://www.example.com/", status = 302 }`
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Visible ASCII; begins with a scheme or a slash.
        location: String,
    },
}

/// What happens to a request whose host is not one of the child's domains (SPEC VS-6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostCheck {
    /// The selected child serves it.
    Off,
    /// A sibling with the same TLS policy, whose host the served certificate covers, serves it.
    SamePolicy,
    /// 421.
    Strict,
}

/// The keys of a parent alone.
pub const PARENT_KEYS: &[Key] = &[
    Key::needed(
        "listen",
        "[\"0.0.0.0:8443\", \"[::]:8443\"]",
        "Addresses and ports for TLS. Makes it a parent.",
    ),
    Key::default(
        "redirect_http",
        "[]",
        "Plain listeners that answer with a redirect to HTTPS, such as [\"0.0.0.0:8080\"].",
    ),
    Key::default(
        "strict_sni",
        "false",
        "true: a server name that no child matches is refused with the alert `unrecognized_name`.",
    ),
    Key::default(
        "proxy_protocol",
        "[]",
        "Addresses and networks of proxies before this one, such as [\"10.0.0.0/8\"]: their connections begin with \
         a PROXY protocol header, version 1 or 2. From all others none is understood.",
    ),
];

/// The keys of a child alone.
pub const CHILD_KEYS: &[Key] = &[
    Key::needed(
        "parent",
        "\"edge\"",
        "The parent whose sockets it is reached through. Makes it a child.",
    ),
    Key::needed(
        "domains",
        "[\"shop.example.com\", \"*.shop.example.com\"]",
        "Server names: \"a.example.com\"; \"*.example.com\" (below it, not itself); \".example.com\" (itself and \
         below); \"www.example.*\". The longest match wins.",
    ),
    Key::default(
        "host_check",
        "\"strict\"",
        "A request whose host is not one of the domains: \"strict\" answers 421; \"same_policy\" serves it as a \
         sibling with the same TLS policy would, if the certificate covers it; \"off\" serves it.",
    ),
    Key::absent(
        "http_redirect",
        "{ location = \"https://www.example.com{uri}\", status = 308 }",
        "What `redirect_http` of the parent answers for these domains. Default: to the same host and path over \
         HTTPS. A table with",
    )
    .with(redirect::KEYS),
];

/// The keys of both.
pub const KEYS: &[Key] = &[
    Key::needed(
        "certificates",
        "[\"shop_ec\", \"shop_rsa\"]",
        "Names of certificates, at most one for each key type (EC, RSA, Ed25519). A child needs at least one.",
    ),
    Key::absent(
        "tls_profile",
        "\"partners\"",
        "Name of a TLS profile. Default: that of the parent for a child, `intermediate` for a parent.",
    ),
    Key::absent(
        "pool",
        "\"shop\"",
        "Name of the pool that answers. A child needs this or no_pool; without both, a parent closes.",
    ),
    Key::absent(
        "no_pool",
        "{ status = 404, body = \"no such site\\n\" }",
        "What to do without a pool; one of:",
    )
    .with(no_pool::KEYS),
    Key::default(
        "mode",
        "\"http\"",
        "\"http\"; \"tcp\": TLS ends here and its bytes are relayed to the pool; \"passthrough\": TLS passes \
         through to the pool as it came, and needs no certificates.",
    ),
    Key::absent(
        "handshakes",
        "2000",
        "TLS handshakes for this service under way at once. Default: half of what `limits` gives the process, so \
         that a crowd at one service leaves room for the others.",
    ),
    Key::absent(
        "handshakes_per_second",
        "1000",
        "TLS handshakes for this service that may begin within a second. Default: no limit.",
    ),
    Key::absent(
        "tunnel_idle",
        "\"10m\"",
        "How long its WebSockets and streams may be silent in both directions. Default: as in [timeouts].",
    ),
    Key::default(
        "underscore_fields",
        "\"drop\"",
        "Fields of requests with an underscore in their names, which some programs cannot tell from those with a \
         dash: \"drop\" keeps them from the endpoint, \"refuse\" answers 400, \"pass\" passes them on.",
    ),
    Key::absent(
        "trusted_proxies",
        "[\"10.0.0.0/8\"]",
        "Addresses and networks whose X-Forwarded-For or Forwarded is believed. Default: nobody's; for a child, \
         as for its parent.",
    ),
    Key::default(
        "forwarded",
        "\"x_forwarded\"",
        "What tells the endpoints about the client: \"x_forwarded\" (X-Forwarded-For, -Proto, -Host, -Port and \
         X-Real-IP), \"rfc7239\" (Forwarded) or \"both\". The client's own are removed.",
    ),
    Key::absent(
        "log",
        "{ application = \"logs/shop.log\", sample = 0.1 }",
        "Its own log; what is left out is as in [log]. A table with",
    )
    .with(log::SERVICE_KEYS),
];
