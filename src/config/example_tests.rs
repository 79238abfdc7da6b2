//! Whole examples, and the checked values that they mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;

use crate::config::Config;
use crate::config::balance::Balance;
use crate::config::balance::HashKey;
use crate::config::balance::Sticky;
use crate::config::certificate::KeySource;
use crate::config::dns::Dns;
use crate::config::health::Ejection;
use crate::config::health::HealthCheck;
use crate::config::health::Probe;
use crate::config::hsm::Hsm;
use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::policy::CookieEdits;
use crate::config::policy::Hsts;
use crate::config::policy::Policy;
use crate::config::policy::SameSite;
use crate::config::pool::Pool;
use crate::config::pool::PoolProtocol;
use crate::config::process::WorldReadableKeys;
use crate::config::queue::Limit;
use crate::config::rate_limit::Counted;
use crate::config::rate_limit::Per;
use crate::config::rate_limit::RateLimit;
use crate::config::rule::Action;
use crate::config::rule::HeaderEdits;
use crate::config::rule::HeaderMatch;
use crate::config::rule::Match;
use crate::config::rule::PathMatch;
use crate::config::rule::Rewrite;
use crate::config::rule::Rule;
use crate::config::secret::Secret;
use crate::config::virtual_service::Forwarded;
use crate::config::virtual_service::HttpRedirect;
use crate::config::virtual_service::Mode;
use crate::config::virtual_service::Role;

const EXAMPLE: &str = r#"
[dns]
servers = ["127.0.0.1:5353", "::1"]
min_ttl = "2s"
max_ttl = "1m"

[pool.shop]
endpoints = ["10.0.0.1:8080", { address = "10.0.0.2:8080", weight = 2 }, "app.internal:8080", "unix:/run/app.sock"]
balance = "consistent_hash"
hash = { header = "X-User" }
sticky = { cookie = "route", max_age = "1h" }
protocol = "auto"
retries = 1
retry_budget = 0.25
slow_start = "30s"
limit = { in_flight = 100, queue = 50, queue_timeout = "3s" }
health = { path = "/healthz", status = ["200-299", "404"], host = "shop.internal", interval = "7s", jitter = 0.2, timeout = "1s", rise = 3, fall = 4, port = 9000 }
ejection = { failures = 7, duration = "20s" }
proxy_protocol = true

[pool.api]
endpoints = ["10.0.0.3:8080"]
balance = "two_choices"

[virtual_service.edge]
listen = ["0.0.0.0:8443"]
proxy_protocol = ["10.0.0.0/8"]
trusted_proxies = ["10.0.0.0/8"]
strict_sni = true

[virtual_service.shop]
parent = "edge"
domains = ["shop.example.com"]
certificates = ["shop"]
pool = "shop"
forwarded = "rfc7239"
http_redirect = { location = "https://www.example.com{uri}", status = 308 }
allow = ["192.0.2.0/24", "10.1.2.3"]
deny = ["192.0.2.7"]
rate_limits = [{ requests = "100/s", burst = 200 }, { connections = "20/m", per = "service" }]
request_body = "10MiB"
request_headers = { set = { x-env = "prod" }, add = { x-tag = "a" }, remove = ["X-Debug"] }
response_headers = { remove = ["server"] }
hsts = { include_subdomains = true, preload = true }
error_pages = { 502 = "errors/502.html", "503" = "errors/503.html" }
cookies = { secure = true, http_only = true, same_site = "none" }
rewrite_location = true
client_certificate_headers = true

[[virtual_service.shop.rules]]
path_prefix = "/api"
methods = ["GET", "HEAD"]
headers = { X-Beta = "1", x-debug = true }
clients = ["10.0.0.0/8"]
pool = "api"
strip_prefix = true
response_headers = { set = { cache-control = "no-store" } }
rate_limits = [{ requests = "5/h" }]
request_body = "1MiB"

[[virtual_service.shop.rules]]
path = "/old"
redirect = "https://{host}/new"

[[virtual_service.shop.rules]]
path_prefix = "/v1"
rewrite = "/v2"

[[virtual_service.shop.rules]]
status = 404
body = "gone\n"

[virtual_service.raw]
parent = "edge"
domains = ["raw.example.com"]
mode = "passthrough"
pool = "api"

[virtual_service.plain]
parent = "edge"
domains = ["plain.example.com"]
certificates = ["vault"]
pool = "api"
trusted_proxies = []
http_redirect = { refuse = true }

[certificate.shop]
chain = "shop.pem"
key = { hsm = "prod", id = "0a" }

[certificate.vault]
chain = "vault.pem"
key = { pkcs11 = "pkcs11:token=b;object=vault" }

[hsm.prod]
module = "a.so"
pin = { env = "PIN" }
members = [{ token = "a" }, { serial = "7", name = "spare", module = "x/b.so", pin = { file = "pin" }, priority = 3 }]

[hsm.own]
module = "a.so"
pin = { credential = "pin" }
members = [{ token = "b" }]
"#;

fn example() -> Config {
    match Config::parse("etc/main.toml", EXAMPLE) {
        Ok(loaded) => {
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false));
            loaded.config
        }
        Err(complaints) => panic!("{}", complaints.render(false)),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn a_rule() -> Rule {
    Rule {
        matches: Match::default(),
        action: Action::Continue,
        rewrite: None,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        rate_limits: Vec::new(),
        request_body: None,
    }
}

fn limit(amount: u32, seconds: u64, burst: u32) -> RateLimit {
    let period = Duration::from_secs(seconds);
    RateLimit { counts: Counted::Requests, per: Per::Client, amount, period, burst }
}

#[test]
fn dns_is_read() {
    let servers = ["127.0.0.1:5353", "[::1]:53"].map(|server| server.parse().unwrap());
    let (min_ttl, max_ttl) = (Duration::from_secs(2), Duration::from_secs(60));
    assert_eq!(example().dns, Dns { servers: servers.into(), min_ttl, max_ttl });
}

/// SPEC PX-2.
#[test]
fn a_pool_is_read() {
    let config = example();
    let shop = &config.pools["shop"];
    let weights: Vec<u32> = shop.endpoints.iter().map(|endpoint| endpoint.weight).collect();
    assert_eq!(weights, [1, 2, 1, 1]);
    let path = "/healthz".to_owned();
    let probe = Probe::Http {
        path,
        host: Some("shop.internal".to_owned()),
        status: vec![(200, 299), (404, 404)],
    };
    let expected = Pool {
        balance: Balance::ConsistentHash(HashKey::Header("x-user".to_owned())),
        protocol: PoolProtocol::Auto,
        retry_permille: 250,
        sticky: Some(Sticky {
            cookie: "route".to_owned(),
            max_age: Some(Duration::from_secs(3600)),
        }),
        health: Some(HealthCheck {
            probe,
            interval: Duration::from_secs(7),
            jitter_permille: 200,
            timeout: Duration::from_secs(1),
            rise: 3,
            fall: 4,
            port: Some(9000),
        }),
        ejection: Ejection { failures: 7, duration: Duration::from_secs(20) },
        slow_start: Duration::from_secs(30),
        limit: Some(Limit { in_flight: 100, queue: 50, queue_timeout: Duration::from_secs(3) }),
        proxy_protocol: true,
        ..Pool::new(shop.name.clone(), shop.endpoints.clone())
    };
    assert_eq!(**shop, expected);
    let api = &config.pools["api"];
    let two_choices =
        Pool { balance: Balance::TwoChoices, ..Pool::new(api.name.clone(), api.endpoints.clone()) };
    assert_eq!(**api, two_choices, "all else is as it is without a word about it");
}

/// SPEC PX-3, VS-11.
#[test]
fn proxies_before_this_one_are_inherited_and_modes_are_read() {
    let config = example();
    let service = |name: &str| &config.virtual_services[name];
    let tens = ["10.0.0.0/8".parse().unwrap()];
    let Role::Parent { proxy_protocol, .. } = &service("edge").role else { panic!("a parent") };
    assert_eq!(*proxy_protocol, tens);
    assert_eq!(service("shop").trusted_proxies, tens);
    assert!(service("plain").trusted_proxies.is_empty(), "a child may trust nobody");
    let modes = ["edge", "shop", "raw"].map(|name| service(name).mode);
    assert_eq!(modes, [Mode::Http, Mode::Http, Mode::Passthrough]);
    let forwarded = ["edge", "shop"].map(|name| service(name).forwarded);
    assert_eq!(forwarded, [Forwarded::XForwarded, Forwarded::Rfc7239]);
    let location = "https://www.example.com{uri}".to_owned();
    let to = HttpRedirect::To { location, status: Some(308) };
    let redirects = ["shop", "plain", "raw"].map(|name| service(name).http_redirect.clone());
    assert_eq!(redirects, [to, HttpRedirect::Refuse, HttpRedirect::SameHost]);
}

/// SPEC PX-4.
#[test]
fn a_policy_is_read() {
    let config = example();
    let shop = config.virtual_services["shop"].policy.as_ref().unwrap();
    let per_service =
        RateLimit { counts: Counted::Connections, per: Per::Service, ..limit(20, 60, 20) };
    let expected = Policy {
        allow: ["192.0.2.0/24", "10.1.2.3/32"].map(|network| network.parse().unwrap()).into(),
        deny: vec!["192.0.2.7/32".parse().unwrap()],
        rate_limits: vec![limit(100, 1, 200), per_service],
        request_body: Some(10 << 20),
        request_headers: HeaderEdits {
            set: vec![pair("x-env", "prod")],
            add: vec![pair("x-tag", "a")],
            remove: vec!["x-debug".to_owned()],
        },
        response_headers: HeaderEdits {
            remove: vec!["server".to_owned()],
            ..HeaderEdits::default()
        },
        hsts: Some(Hsts {
            max_age: Duration::from_secs(365 * 24 * 3600),
            include_subdomains: true,
            preload: true,
        }),
        error_pages: BTreeMap::from([
            (502, "etc/errors/502.html".into()),
            (503, "etc/errors/503.html".into()),
        ]),
        cookies: Some(CookieEdits {
            secure: true,
            http_only: true,
            same_site: Some(SameSite::None),
        }),
        rewrite_location: true,
        client_certificate_headers: true,
        rules: shop.rules.clone(),
    };
    assert_eq!(**shop, expected);
    assert!(config.virtual_services["plain"].policy.is_none(), "whoever writes none has none");
}

#[test]
fn rules_are_read_in_their_order() {
    let config = example();
    let api = Rule {
        matches: Match {
            path: Some(PathMatch::Prefix("/api".to_owned())),
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            headers: vec![
                ("x-beta".to_owned(), HeaderMatch::Value("1".to_owned())),
                ("x-debug".to_owned(), HeaderMatch::Present),
            ],
            clients: vec!["10.0.0.0/8".parse().unwrap()],
        },
        action: Action::Pool("api".parse().unwrap()),
        rewrite: Some(Rewrite::StripPrefix),
        response_headers: HeaderEdits {
            set: vec![pair("cache-control", "no-store")],
            ..HeaderEdits::default()
        },
        rate_limits: vec![limit(5, 3600, 5)],
        request_body: Some(1 << 20),
        ..a_rule()
    };
    let path = |path| Match { path: Some(path), ..Match::default() };
    let old = Rule {
        matches: path(PathMatch::Exact("/old".to_owned())),
        action: Action::Redirect { status: 302, location: "https://{host}/new".to_owned() },
        ..a_rule()
    };
    let version = Rule {
        matches: path(PathMatch::Prefix("/v1".to_owned())),
        rewrite: Some(Rewrite::Replace("/v2".to_owned())),
        ..a_rule()
    };
    let rest = Rule {
        action: Action::Respond {
            status: 404,
            body: "gone\n".to_owned(),
            content_type: "text/plain; charset=utf-8".to_owned(),
        },
        ..a_rule()
    };
    let shop = config.virtual_services["shop"].policy.as_ref().unwrap();
    assert_eq!(shop.rules, [api, old, version, rest]);
}

/// SPEC HSM-1, HSM-3.
#[test]
fn keys_in_tokens_are_read() {
    let config = Config::load(Path::new("conf/hsm.toml")).expect("a good example").config;
    let key = |name: &str| config.certificates[name].key.clone();
    let some = |text: &str| Some(text.to_owned());
    let in_prod =
        KeySelector { id: Some(vec![0x10]), label: some("shop-ec"), ..KeySelector::default() };
    let hsm = "prod".parse().unwrap();
    assert_eq!(key("shop_ec"), KeySource::Token { hsm, key: Box::new(in_prod) });
    let path = "conf/certs/shop-rsa.key".into();
    assert_eq!(key("shop_rsa"), KeySource::File { path, passphrase: None });
    let of_partner = "pkcs11:token=partner;id=%20;object=partner;type=private".parse().unwrap();
    let hsm = "partner".parse().unwrap();
    assert_eq!(key("partner"), KeySource::Token { hsm, key: Box::new(of_partner) });

    let member = |token: &str, priority| Member {
        name: token.to_owned(),
        module: "libsofthsm2.so".into(),
        token: some(token),
        serial: None,
        pin: Secret::File("conf/secrets/pin".into()),
        priority,
    };
    let expected = Hsm {
        name: "prod".parse().unwrap(),
        sessions: 8,
        sign_timeout: Duration::from_secs(2),
        probe_interval: Duration::from_secs(10),
        queue: 1024,
        members: vec![member("prod-a", 1), member("prod-b", 2)],
        world_readable: WorldReadableKeys::Refuse,
    };
    assert_eq!(*config.hsms["prod"], expected);
    assert_eq!(config.hsms["partner"].members[0].pin, Secret::Credential("partner-pin".to_owned()));
}

proptest! {
    /// As [`crate::config::load_tests`] does with a small file: what is damaged is a complaint.
    #[test]
    fn a_damaged_example_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\PC\n\"'{}\\[\\]$=.,/*:0ü-]{0,4}"), 1..4),
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, with) in damage {
            let characters: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let at = *at.get(&characters);
            let width = text[at..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(at..at + width, &with);
        }
        if let Err(complaints) = Config::parse("etc/main.toml", &text) {
            assert!(complaints.errors() > 0);
            complaints.render(true);
        }
    }
}
