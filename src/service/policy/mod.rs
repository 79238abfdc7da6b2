//! What a virtual service does with requests beside passing them on, compiled for the workers (SPEC
//! PX-4). Pure functions on the parts of a request; must not know hyper.
//!
//! A request is looked at in this order: where its client comes from ([`access`]), the spelling of its
//! path ([`path`]), which rule it is for ([`rules`]), how many came before it ([`rate`]), how large its
//! body is; then it is edited ([`edits`]) and something is done with it ([`action`]). What comes back
//! is put right ([`rewriting`]) and edited, the service's edits before the rule's. Answers of our own
//! are edited in the same way, and may have pages ([`pages`]).

pub mod access;
pub mod action;
pub mod edits;
pub mod pages;
pub mod path;
pub mod rate;
pub mod refusal;
pub mod rewriting;
pub mod rules;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::header;

use crate::config;
use crate::config::policy::CookieEdits;
use crate::config::policy::Hsts;
use crate::config::rate_limit::Counted;
use crate::config::rate_limit::RateLimit;
use crate::message::Fields;
use crate::names::PoolName;
use crate::service::policy::access::Access;
use crate::service::policy::action::Action;
use crate::service::policy::action::Rewrite;
use crate::service::policy::edits::Edits;
use crate::service::policy::pages::Pages;
use crate::service::policy::rate::Limit;
use crate::service::policy::rules::Head;
use crate::service::policy::rules::Matcher;
use crate::upstream::Pool;

pub use crate::service::policy::refusal::Denial;
pub use crate::service::policy::refusal::Refusal;

/// The compiled policy of a service that has one.
#[derive(Debug)]
pub struct Policy {
    access: Option<Access>,
    connection_limits: Box<[Limit]>,
    request_limits: Box<[Limit]>,
    request_body: Option<u64>,
    request_edits: Edits,
    response_edits: Edits,
    hsts: Option<HeaderValue>,
    cookies: Option<CookieEdits>,
    rewrites_location: bool,
    matcher: Matcher,
    rules: Box<[Rule]>,
    /// Bodies of answers of our own.
    pub pages: Pages,
}

/// One of its rules.
#[derive(Debug)]
pub struct Rule {
    /// What becomes of a request.
    pub action: Action,
    /// How its path changes.
    pub rewrite: Option<Rewrite>,
    limits: Box<[Limit]>,
    request_body: Option<u64>,
    request_edits: Edits,
    response_edits: Edits,
}

impl Policy {
    /// Compiles what was written; None for the many services that wrote nothing.
    pub fn compile(
        config: &config::policy::Policy,
        pools: &BTreeMap<PoolName, Arc<Pool>>,
        pages: BTreeMap<u16, Bytes>,
    ) -> Option<Box<Self>> {
        // What endpoints are told of client certificates is no matter of a policy's.
        let others = config::policy::Policy { client_certificate_headers: false, ..config.clone() };
        if others.is_empty() {
            return None;
        }
        Some(Box::new(Self {
            access: Access::compile(&config.allow, &config.deny),
            connection_limits: limits(&config.rate_limits, Counted::Connections),
            request_limits: limits(&config.rate_limits, Counted::Requests),
            request_body: config.request_body,
            request_edits: Edits::compile(&config.request_headers),
            response_edits: Edits::compile(&config.response_headers),
            hsts: config.hsts.as_ref().map(hsts_value),
            cookies: config.cookies,
            rewrites_location: config.rewrite_location,
            matcher: Matcher::compile(config.rules.iter().map(|rule| &rule.matches)),
            rules: config.rules.iter().map(|rule| Rule::compile(rule, pools)).collect(),
            pages: Pages::new(pages),
        }))
    }

    /// Whether a connection may go on to its handshake. `behind_proxy`: its address is that of a
    /// proxy that others share, whose requests will tell who they come from.
    ///
    /// # Errors
    ///
    /// The address is denied, or there are too many connections.
    pub fn admits_connection(&self, peer: IpAddr, behind_proxy: bool) -> Result<(), Denial> {
        if !behind_proxy && !self.admits(peer) {
            return Err(Denial::Address);
        }
        if self.connection_limits.is_empty() {
            return Ok(());
        }
        let limits = self.connection_limits.iter();
        let counting = limits.filter(|limit| limit.is_shared() || !behind_proxy);
        take_all(counting, peer, Instant::now()).map_err(|_| Denial::ConnectionRate)
    }

    /// Whether requests of this client are served.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.access.as_ref().is_none_or(|access| access.admits(client))
    }

    /// Whether there are rules, which may answer requests where no pool does.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether the path of a request is compared with anything, and so has to be normal.
    pub fn looks_at_paths(&self) -> bool {
        self.matcher.has_paths()
    }

    /// The place of the rule that a request is for.
    pub fn matches(&self, head: &Head<'_>) -> Option<usize> {
        self.matcher.matches(head)
    }

    /// The rule at a place.
    pub fn rule(&self, place: Option<usize>) -> Option<&Rule> {
        self.rules.get(place?)
    }

    /// Counts a request against the limits of its rule and of the service.
    ///
    /// # Errors
    ///
    /// It is over one of them.
    pub fn count(&self, rule: Option<&Rule>, client: IpAddr, now: Instant) -> Result<(), Refusal> {
        let of_rule = rule.map_or(&[][..], |rule| &rule.limits);
        if of_rule.is_empty() && self.request_limits.is_empty() {
            return Ok(());
        }
        let limits = of_rule.iter().chain(&self.request_limits);
        take_all(limits, client, now).map_err(Refusal::RateLimited)
    }

    /// How many bytes the body of a request may have.
    pub fn request_body(&self, rule: Option<&Rule>) -> Option<u64> {
        rule.and_then(|rule| rule.request_body).or(self.request_body)
    }

    /// Edits the fields of a request for an endpoint.
    pub fn edit_request(&self, rule: Option<&Rule>, fields: &mut Fields) {
        self.request_edits.apply(fields);
        if let Some(rule) = rule {
            rule.request_edits.apply(fields);
        }
    }

    /// Puts an origin's response to a request for this host right.
    pub fn put_right(&self, asked: Option<&HeaderValue>, fields: &mut Fields) {
        if let (true, Some(asked)) = (self.rewrites_location, asked) {
            rewriting::secure_location(fields, asked);
        }
        if let Some(cookies) = self.cookies {
            rewriting::edit_cookies(fields, cookies);
        }
    }

    /// Edits the fields of a response, an origin's or our own.
    pub fn edit_response(&self, rule: Option<&Rule>, fields: &mut Fields) {
        self.response_edits.apply(fields);
        if let Some(rule) = rule {
            rule.response_edits.apply(fields);
        }
    }

    /// Says that this host is reached over TLS only (RFC 6797), in place of what an origin says.
    pub fn promise_tls(&self, fields: &mut Fields) {
        if let Some(hsts) = &self.hsts {
            fields.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

impl Rule {
    fn compile(config: &config::rule::Rule, pools: &BTreeMap<PoolName, Arc<Pool>>) -> Self {
        let path = config.matches.path.as_ref();
        Self {
            action: Action::compile(&config.action, pools),
            rewrite: config.rewrite.as_ref().map(|rewrite| Rewrite::compile(rewrite, path)),
            limits: limits(&config.rate_limits, Counted::Requests),
            request_body: config.request_body,
            request_edits: Edits::compile(&config.request_headers),
            response_edits: Edits::compile(&config.response_headers),
        }
    }
}

/// Those of each client before those that all share: whoever is refused by a limit of their own uses
/// up nothing of the others'.
fn take_all<'a>(
    limits: impl Iterator<Item = &'a Limit> + Clone,
    client: IpAddr,
    now: Instant,
) -> Result<(), rate::Over> {
    let own = limits.clone().filter(|limit| !limit.is_shared());
    let shared = limits.filter(|limit| limit.is_shared());
    own.chain(shared).try_for_each(|limit| limit.take(client, now))
}

fn limits(config: &[RateLimit], counted: Counted) -> Box<[Limit]> {
    config.iter().filter(|limit| limit.counts == counted).map(Limit::new).collect()
}

fn hsts_value(hsts: &Hsts) -> HeaderValue {
    let mut text = format!("max-age={}", hsts.max_age.as_secs());
    if hsts.include_subdomains {
        text.push_str("; includeSubDomains");
    }
    if hsts.preload {
        text.push_str("; preload");
    }
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .unwrap_or_else(|_| HeaderValue::from_static("max-age=31536000"))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
