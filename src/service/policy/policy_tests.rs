//! The whole policy of a service, where its parts meet.

use std::time::Duration;

use super::*;
use crate::config::rate_limit::Per;
use crate::config::rule::HeaderEdits;

fn compiled(config: &config::policy::Policy) -> Box<Policy> {
    Policy::compile(config, &BTreeMap::new(), BTreeMap::new()).expect("not empty")
}

fn limit(counts: Counted, per: Per, amount: u32) -> RateLimit {
    RateLimit { counts, per, amount, period: Duration::from_secs(3600), burst: amount }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn what_says_nothing_is_no_policy() {
    let nothing = config::policy::Policy::default();
    assert!(Policy::compile(&nothing, &BTreeMap::new(), BTreeMap::new()).is_none());
}

#[test]
fn a_connection_is_admitted_by_its_address_unless_a_proxy_stands_for_its_clients() {
    let deny = vec!["192.0.2.0/24".parse().expect("a network")];
    let policy = compiled(&config::policy::Policy { deny, ..Default::default() });
    let denied = address("192.0.2.1");
    assert_eq!(policy.admits_connection(denied, false), Err(Denial::Address));
    assert_eq!(policy.admits_connection(denied, true), Ok(()));
    assert_eq!(policy.admits_connection(address("192.0.3.1"), false), Ok(()));
    assert!(!policy.admits(denied));
}

#[test]
fn a_proxy_counts_for_all_together_and_not_as_one_client() {
    let rate_limits = vec![
        limit(Counted::Connections, Per::Client, 1),
        limit(Counted::Connections, Per::Service, 3),
    ];
    let policy = compiled(&config::policy::Policy { rate_limits, ..Default::default() });
    let connect = |text, behind_proxy| policy.admits_connection(address(text), behind_proxy);
    assert_eq!(connect("192.0.2.1", false), Ok(()));
    assert_eq!(connect("192.0.2.1", false), Err(Denial::ConnectionRate));
    assert_eq!(connect("192.0.2.9", true), Ok(()));
    assert_eq!(connect("192.0.2.9", true), Ok(()));
    assert_eq!(connect("192.0.2.2", false), Err(Denial::ConnectionRate), "of all together");
}

/// Otherwise one client could use up what belongs to all, with requests that are refused anyway.
#[test]
fn who_is_over_a_limit_of_their_own_uses_nothing_of_the_others() {
    let rate_limits =
        vec![limit(Counted::Requests, Per::Service, 2), limit(Counted::Requests, Per::Client, 1)];
    let policy = compiled(&config::policy::Policy { rate_limits, ..Default::default() });
    let now = Instant::now();
    let count = |text| policy.count(None, address(text), now);
    assert_eq!(count("192.0.2.1"), Ok(()));
    for _ in 0..10 {
        assert!(matches!(count("192.0.2.1"), Err(Refusal::RateLimited(_))));
    }
    assert_eq!(count("192.0.2.2"), Ok(()));
    assert!(count("192.0.2.3").is_err());
}

#[test]
fn a_rule_edits_after_the_service_and_its_body_limit_goes_before() {
    let edits = |value: &str| HeaderEdits {
        set: vec![("x-who".into(), value.into())],
        ..HeaderEdits::default()
    };
    let rule = config::rule::Rule {
        matches: config::rule::Match::default(),
        action: config::rule::Action::Continue,
        rewrite: None,
        request_headers: edits("rule"),
        response_headers: HeaderEdits::default(),
        rate_limits: Vec::new(),
        request_body: Some(10),
    };
    let policy = compiled(&config::policy::Policy {
        request_headers: edits("service"),
        response_headers: edits("service"),
        request_body: Some(5),
        rules: vec![rule],
        ..Default::default()
    });
    let rule = policy.rule(Some(0));
    let (mut request, mut response) = (Fields::new(), Fields::new());
    policy.edit_request(rule, &mut request);
    policy.edit_response(rule, &mut response);
    assert_eq!(
        (request.get("x-who"), response.get("x-who")),
        (Some(&"rule".parse().unwrap()), Some(&"service".parse().unwrap()))
    );
    assert_eq!((policy.request_body(rule), policy.request_body(None)), (Some(10), Some(5)));
    assert!(policy.rule(None).is_none() && policy.rule(Some(1)).is_none());
}

#[test]
fn hsts_is_what_rfc_6797_says() {
    let day = Duration::from_secs(86_400);
    let hsts = Hsts { max_age: 365 * day, include_subdomains: true, preload: true };
    let policy = compiled(&config::policy::Policy { hsts: Some(hsts), ..Default::default() });
    let mut fields = Fields::new();
    fields.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=0"));
    policy.promise_tls(&mut fields);
    let said: Vec<_> = fields.get_all(header::STRICT_TRANSPORT_SECURITY).collect();
    assert_eq!(said, ["max-age=31536000; includeSubDomains; preload"]);
    assert_eq!(
        hsts_value(&Hsts { include_subdomains: false, preload: false, ..hsts }),
        "max-age=31536000"
    );
}
