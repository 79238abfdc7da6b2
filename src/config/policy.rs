//! What a virtual service does with requests beside passing them on (SPEC PX-4): the part of
//! `[virtual_service.NAME]` that is compiled into its policy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::rate_limit::RateLimit;
use crate::config::rule::HeaderEdits;
use crate::config::rule::Rule;

/// Empty for most services: they pay nothing for it.
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
