//! What a virtual service does with requests beside passing them on (SPEC PX-4): the part of
//! `[virtual_service.NAME]` that is compiled into its policy.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::complaint::Complaint;
use crate::config::header_edits;
use crate::config::networks;
use crate::config::rate_limit;
use crate::config::rate_limit::RateLimit;
use crate::config::read::Table;
use crate::config::rule::HeaderEdits;
use crate::config::rule::Rule;
use crate::config::rules::RawRules;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::PoolName;

/// Most services have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// `allow`: where clients may come from; empty: anywhere.
    pub allow: Vec<IpNet>,
    /// `deny`: where they may not come from; decides before `allow`.
    pub deny: Vec<IpNet>,
    /// `rate_limits`
    pub rate_limits: Vec<RateLimit>,
    /// `request_body`: bytes of a request body; None: no bound.
    pub request_body: Option<u64>,
    /// `request_headers`: before those of a rule.
    pub request_headers: HeaderEdits,
    /// `response_headers`: before those of a rule; also on answers of our own.
    pub response_headers: HeaderEdits,
    /// `hsts`
    pub hsts: Option<Hsts>,
    /// `error_pages`: files with the body of answers of our own, by status.
    pub error_pages: BTreeMap<u16, PathBuf>,
    /// `cookies`
    pub cookies: Option<CookieEdits>,
    /// `rewrite_location`: `http://` of this very host in the Location of a response becomes
    /// `https://`.
    pub rewrite_location: bool,
    /// `client_certificate_headers`: `x-client-cert-*`, only ours.
    pub client_certificate_headers: bool,
    /// `rules`: the first that matches is the one that applies.
    pub rules: Vec<Rule>,
}

/// `hsts = { max_age = "365d", include_subdomains = true, preload = false }` (RFC 6797).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hsts {
    /// Default 365d.
    pub max_age: Duration,
    /// Default false.
    pub include_subdomains: bool,
    /// Default false.
    pub preload: bool,
}

/// `cookies = { secure = true, http_only = true, same_site = "lax" }`: attributes that every cookie
/// of the origin gets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CookieEdits {
    /// Adds `Secure` where it is missing.
    pub secure: bool,
    /// Adds `HttpOnly` where it is missing.
    pub http_only: bool,
    /// Sets or replaces `SameSite`.
    pub same_site: Option<SameSite>,
}

/// RFC 6265bis, section 4.1.2.7.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameSite {
    /// `SameSite=Lax`
    Lax,
    /// `SameSite=None`, which needs `Secure`.
    None,
    /// `SameSite=Strict`
    Strict,
}

impl Policy {
    /// Whether nothing of it was written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The keys of it.
pub const KEYS: &[Key] = &[
    Key::absent(
        "allow",
        "[\"192.0.2.0/24\", \"2001:db8::/32\", \"10.1.2.3\"]",
        "Addresses and networks that clients may come from; all others get 403. Default: anywhere.",
    ),
    Key::absent(
        "deny",
        "[\"203.0.113.7\"]",
        "Addresses and networks that clients may not come from; decides before `allow`.",
    ),
    Key::absent(
        "rate_limits",
        "[{ requests = \"100/s\", burst = 200, per = \"client\" }, { connections = \"20/s\", per = \"service\" }]",
        "What is more is answered with 429, or its connection closed. Default: no limit. A list of tables with",
    )
    .with(rate_limit::KEYS),
    Key::absent(
        "request_body",
        "\"10MiB\"",
        "Bound on the body of a request; more is answered with 413. Default: no bound.",
    ),
    Key::absent(
        "request_headers",
        "{ set = { x-env = \"prod\" }, add = { x-tag = \"a\" }, remove = [\"x-debug\"] }",
        "Edits on the way to the pool; a table with",
    )
    .with(header_edits::KEYS),
    Key::absent(
        "response_headers",
        "{ set = { x-frame-options = \"DENY\" }, remove = [\"server\"] }",
        "Edits on the way to the client, of answers of the proxy itself too; a table with the same keys.",
    ),
    Key::absent(
        "hsts",
        "{ max_age = \"365d\", include_subdomains = true }",
        "Strict-Transport-Security: browsers come back over HTTPS only; `{}` is enough. A table with",
    )
    .with(HSTS_KEYS),
    Key::absent(
        "error_pages",
        "{ 502 = \"errors/502.html\", 503 = \"errors/503.html\" }",
        "Files with the body of answers of the proxy itself, by status from 400 to 599, up to 1MiB each. A file \
         that changes is read again.",
    ),
    Key::absent(
        "cookies",
        "{ secure = true, http_only = true, same_site = \"lax\" }",
        "Attributes that every cookie of the endpoints gets; a table with",
    )
    .with(COOKIE_KEYS),
    Key::default(
        "rewrite_location",
        "false",
        "true: `http://` of this very host in the Location of a response becomes `https://`.",
    ),
    Key::default(
        "client_certificate_headers",
        "false",
        "true: the endpoints are told about the client's certificate in `x-client-cert-*`.",
    ),
];

/// The keys of `hsts`.
pub const HSTS_KEYS: &[Key] = &[
    Key::default("max_age", "\"365d\"", "for how long"),
    Key::default("include_subdomains", "false", "for all names below the host too"),
    Key::default("preload", "false", "consent to be built into browsers"),
];

/// The keys of `cookies`.
pub const COOKIE_KEYS: &[Key] = &[
    Key::default("secure", "false", "adds Secure where it is missing"),
    Key::default("http_only", "false", "adds HttpOnly where it is missing"),
    Key::absent("same_site", "\"lax\"", "sets SameSite: \"lax\", \"strict\" or \"none\""),
];

/// A policy before the pools of its rules are known to exist.
#[derive(Debug)]
pub struct RawPolicy {
    /// The policy; None where nothing of it was written.
    pub policy: Option<Box<Policy>>,
    /// The pools that its rules name.
    pub pools: Vec<Located<PoolName>>,
}

impl RawPolicy {
    /// Reads its keys from the table of a virtual service.
    pub fn read(table: &Table<'_>) -> Self {
        let allow = table.field("allow", networks::some_networks).or(Vec::new());
        let deny = table.field("deny", networks::networks).or(Vec::new());
        let body = table.field("request_body", |value| value.size(BODIES));
        let rules = table.or("rules", RawRules::default(), RawRules::read);
        let policy = Policy {
            allow: networks::plain(&allow),
            deny: networks::plain(&deny),
            rate_limits: table.or("rate_limits", Vec::new(), RateLimit::read_list),
            request_body: body.good().map(|body| body.value as u64),
            request_headers: edits(table, "request_headers"),
            response_headers: edits(table, "response_headers"),
            hsts: table.or("hsts", None, |value| Hsts::read(value).map(Some)),
            error_pages: table.or("error_pages", BTreeMap::new(), error_pages),
            cookies: table.or("cookies", None, |value| CookieEdits::read(value).map(Some)),
            rewrite_location: table.or("rewrite_location", false, Value::flag),
            client_certificate_headers: table.or("client_certificate_headers", false, Value::flag),
            rules: rules.rules,
        };
        let policy = (!policy.is_empty()).then(|| Box::new(policy));
        Self { policy, pools: rules.pools }
    }
}

fn edits(table: &Table<'_>, key: &'static str) -> HeaderEdits {
    table.or(key, HeaderEdits::default(), HeaderEdits::read)
}

/// `{ 502 = "errors/502.html" }`
fn error_pages(value: &Value<'_>) -> Option<BTreeMap<u16, PathBuf>> {
    let Some(entries) = value.entries() else {
        let help = "write `error_pages = { 502 = \"errors/502.html\" }`".to_owned();
        value.wrong_type_help("a table of statuses and files", Some(help));
        return None;
    };
    let mut pages = BTreeMap::new();
    for (key, entry) in entries {
        let status = key.get_ref().parse().ok().filter(|status| ERRORS.contains(status));
        let Some(status) = status else {
            let place = value.document().place(key.span());
            let message = format!("`{}` is not the status of an error", key.get_ref());
            let help =
                "an error page is for one status from 400 to 599: `502 = \"errors/502.html\"`";
            value.document().complain(Complaint::error(place, message).help(help));
            continue;
        };
        if let Some(path) = value.entry(entry).path() {
            pages.insert(status, path);
        }
    }
    Some(pages)
}

impl Hsts {
    fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = "write `hsts = {}`, or leave it out".to_owned();
            value.wrong_type_help("a table", Some(help));
            return None;
        }
        let table = Table::open(value, "`hsts`".to_owned(), "hsts", &[HSTS_KEYS])?;
        let preload = table.field("preload", Value::flag);
        let hsts = Self {
            max_age: table.or("max_age", YEAR, |value| value.duration(Duration::ZERO..=YEAR * 10)),
            include_subdomains: table.or("include_subdomains", false, Value::flag),
            preload: preload.good().is_some_and(|preload| preload.value),
        };
        let is_listed = hsts.include_subdomains && hsts.max_age >= YEAR;
        if let (true, false, Some(place)) = (hsts.preload, is_listed, preload.place()) {
            let complaint = Complaint::warning(place.clone(), "browsers will not preload this")
                .note("the preload list wants `includeSubDomains` and a year at least")
                .help("add `include_subdomains = true` and `max_age = \"365d\"`");
            table.document().complain(complaint);
        }
        Some(hsts)
    }
}

impl CookieEdits {
    fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "`cookies`".to_owned(), "cookies", &[COOKIE_KEYS])?;
        let same_site = table.field("same_site", |value| value.choice(SAME_SITES));
        let edits = Self {
            secure: table.or("secure", false, Value::flag),
            http_only: table.or("http_only", false, Value::flag),
            same_site: same_site.good().map(|same_site| same_site.value),
        };
        if let (Some(SameSite::None), false, Some(place)) =
            (edits.same_site, edits.secure, same_site.place())
        {
            let message = "`same_site = \"none\"` needs `secure = true`";
            let complaint = Complaint::error(place.clone(), message)
                .note("browsers drop a cookie with SameSite=None and without Secure")
                .help("add `secure = true`");
            table.document().complain(complaint);
        }
        if edits == Self::default() && table.is_empty() {
            let complaint = Complaint::warning(value.place(), "`cookies` changes nothing");
            let help = "write `cookies = { secure = true, http_only = true }`, or remove it";
            table.document().complain(complaint.help(help));
        }
        Some(edits)
    }
}

const SAME_SITES: &[(&str, SameSite)] =
    &[("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Statuses of errors.
const ERRORS: RangeInclusive<u16> = 400..=599;

/// As far as anybody transfers in one request.
const BODIES: RangeInclusive<u64> = 0..=1 << 50;
