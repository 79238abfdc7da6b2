//! The reader of `[virtual_service.NAME]`.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::complaint::Complaint;
use crate::config::log::ServiceLog;
use crate::config::mode;
use crate::config::networks;
use crate::config::policy;
use crate::config::policy::RawPolicy;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::RULES;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::timeouts::WAITS;
use crate::config::value::Value;
use crate::config::virtual_service::CHILD_KEYS;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::HttpRedirect;
use crate::config::virtual_service::KEYS;
use crate::config::virtual_service::Mode;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::PARENT_KEYS;
use crate::config::virtual_service::UnderscoreFields;
use crate::names::CertificateName;
use crate::names::DomainPattern;
use crate::names::ListenAddr;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;

/// A virtual service as it is written: well formed, its references and its role not yet checked.
#[derive(Debug)]
pub struct RawVirtualService {
    /// `parent`
    pub parent: Field<VirtualServiceName>,
    /// `domains`
    pub domains: Field<Vec<Located<DomainPattern>>>,
    /// `listen`
    pub listen: Field<Vec<Located<ListenAddr>>>,
    /// `redirect_http`
    pub redirect_http: Field<Vec<Located<ListenAddr>>>,
    /// `strict_sni`
    pub strict_sni: Field<bool>,
    /// `certificates`
    pub certificates: Field<Vec<Located<CertificateName>>>,
    /// `tls_profile`
    pub tls_profile: Field<TlsProfileName>,
    /// `pool`
    pub pool: Field<PoolName>,
    /// `no_pool`
    pub no_pool: Field<NoPool>,
    /// `host_check`
    pub host_check: Field<HostCheck>,
    /// `mode`
    pub mode: Field<Mode>,
    /// `handshakes`
    pub handshakes: Field<usize>,
    /// `handshakes_per_second`
    pub handshakes_per_second: Field<usize>,
    /// `tunnel_idle`
    pub tunnel_idle: Field<Duration>,
    /// `underscore_fields`
    pub underscore_fields: Field<UnderscoreFields>,
    /// `proxy_protocol`
    pub proxy_protocol: Field<Vec<Located<IpNet>>>,
    /// `trusted_proxies`
    pub trusted_proxies: Field<Vec<Located<IpNet>>>,
    /// `forwarded`
    pub forwarded: Field<Forwarded>,
    /// `http_redirect`
    pub http_redirect: Field<HttpRedirect>,
    /// All that becomes its policy.
    pub policy: RawPolicy,
    /// `log`
    pub log: Field<ServiceLog>,
}

impl RawVirtualService {
    /// Reads the table.
    pub fn read(name: &Located<VirtualServiceName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[virtual_service.{}]", name.value);
        let keys = [PARENT_KEYS, CHILD_KEYS, KEYS, policy::KEYS, RULES];
        let table = Table::open(value, title, "virtual_service", &keys)?;
        let service = Self {
            parent: table.field("parent", |value| value.parse("a name", |_| None)),
            domains: table.field("domains", |value| value.located_list(domain)),
            listen: table.field("listen", |value| value.located_list(listen)),
            redirect_http: table.field("redirect_http", |value| value.located_list(listen)),
            strict_sni: table.field("strict_sni", Value::flag),
            certificates: table.field("certificates", |value| {
                value.located_list(|entry| entry.parse("a name", |_| None))
            }),
            tls_profile: table.field("tls_profile", |value| value.parse("a name", |_| None)),
            pool: table.field("pool", |value| value.parse("a name", |_| None)),
            no_pool: table.field("no_pool", NoPool::read),
            host_check: table.field("host_check", |value| value.choice(HOST_CHECKS)),
            mode: table.field("mode", |value| value.choice(MODES)),
            handshakes: table.field("handshakes", handshakes),
            handshakes_per_second: table.field("handshakes_per_second", handshakes),
            tunnel_idle: table.field("tunnel_idle", |value| value.duration(WAITS)),
            underscore_fields: table
                .field("underscore_fields", |value| value.choice(UNDERSCORE_FIELDS)),
            proxy_protocol: table.field("proxy_protocol", proxy_protocol),
            trusted_proxies: table.field("trusted_proxies", proxies),
            forwarded: table.field("forwarded", |value| value.choice(FORWARDED)),
            http_redirect: table.field("http_redirect", HttpRedirect::read),
            policy: RawPolicy::read(&table),
            log: table.field("log", ServiceLog::read),
        };
        mode::check_keys(&table, &service);
        Some(service)
    }

    /// What is done with its connections, as far as that is known.
    pub fn mode(&self) -> Mode {
        self.mode.good().map_or(Mode::Http, |mode| mode.value)
    }

    /// The first key that only a parent may have, in the order of importance.
    pub fn parent_key(&self) -> Option<(&'static str, &Place)> {
        let keys = [
            ("listen", self.listen.place()),
            ("redirect_http", self.redirect_http.place()),
            ("strict_sni", self.strict_sni.place()),
            ("proxy_protocol", self.proxy_protocol.place()),
        ];
        keys.into_iter().find_map(|(key, place)| place.map(|place| (key, place)))
    }
}

fn listen(value: &Value<'_>) -> Option<ListenAddr> {
    value.parse("an address to listen on", |text| {
        if text.parse::<IpAddr>().is_ok() {
            let host = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
            return Some(format!("add the port: \"{host}:8443\""));
        }
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port).parse::<u32>().ok()?;
        if port > u32::from(u16::MAX) {
            return Some("a port is a number from 1 to 65535".to_owned());
        }
        Some(format!(
            "write \"0.0.0.0:{port}\" (all IPv4), \"[::]:{port}\" (all IPv6), or an address of this host"
        ))
    })
}

fn handshakes(value: &Value<'_>) -> Option<usize> {
    value.integer(1..=1 << 24).map(|number| number as usize)
}

/// Proxies whose word is taken for where a client comes from.
fn proxies(value: &Value<'_>) -> Option<Vec<Located<IpNet>>> {
    let proxies = networks::networks(value)?;
    for proxy in proxies.iter().filter(|proxy| proxy.value.prefix_len() == 0) {
        let message = format!("{} believes everybody", value.name());
        let complaint = Complaint::warning(proxy.place.clone(), message)
            .note("any client can then claim any address, also one that `allow` lets in")
            .help("name the addresses of the proxies before this one, such as \"10.0.0.0/8\"");
        value.document().complain(complaint);
    }
    Some(proxies)
}

fn proxy_protocol(value: &Value<'_>) -> Option<Vec<Located<IpNet>>> {
    if value.is_flag() {
        let help = "name the proxies before this one: [\"10.0.0.0/8\"]; from nobody else is a PROXY \
                    protocol header believed";
        value.wrong_type_help("a list of networks", Some(help.to_owned()));
        return None;
    }
    proxies(value)
}

fn domain(value: &Value<'_>) -> Option<DomainPattern> {
    let text = value.text()?;
    let bare = text.split_once("://").map_or(&*text, |(_, rest)| rest);
    if bare.parse::<IpAddr>().is_ok() {
        let help = "clients that ask for an address send no server name: the parent serves them";
        value.complain(format!("`{text}` is an address, not a name"), "", Some(help.to_owned()));
        return None;
    }
    value.parse("a domain", |text| {
        let host = bare.split([':', '/']).next().unwrap_or(bare);
        if host != text && host.parse::<DomainPattern>().is_ok() {
            return Some(format!("write only the name: \"{host}\""));
        }
        if !text.is_ascii() {
            return Some(
                "write the name as it travels in TLS, in Punycode: \"xn--...\"".to_owned(),
            );
        }
        if text == "*" {
            return Some(
                "leave it out: the parent serves every name that no child matches".to_owned(),
            );
        }
        if text.contains('*') {
            return Some(
                "the forms are \"*.example.com\", \".example.com\" and \"www.example.*\""
                    .to_owned(),
            );
        }
        None
    })
}

const HOST_CHECKS: &[(&str, HostCheck)] = &[
    ("strict", HostCheck::Strict),
    ("same_policy", HostCheck::SamePolicy),
    ("off", HostCheck::Off),
];

const MODES: &[(&str, Mode)] =
    &[("http", Mode::Http), ("tcp", Mode::Tcp), ("passthrough", Mode::Passthrough)];

const UNDERSCORE_FIELDS: &[(&str, UnderscoreFields)] = &[
    ("drop", UnderscoreFields::Drop),
    ("pass", UnderscoreFields::Pass),
    ("refuse", UnderscoreFields::Refuse),
];

const FORWARDED: &[(&str, Forwarded)] = &[
    ("x_forwarded", Forwarded::XForwarded),
    ("rfc7239", Forwarded::Rfc7239),
    ("both", Forwarded::Both),
];
