//! What a service with a policy does for each request before it is sent on.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;
use std::time::Instant;

use http::Method;
use portcullis::config;
use portcullis::config::rate_limit::Counted;
use portcullis::config::rate_limit::Per;
use portcullis::config::rate_limit::RateLimit;
use portcullis::config::rule::Action;
use portcullis::config::rule::HeaderEdits;
use portcullis::config::rule::Match;
use portcullis::config::rule::PathMatch;
use portcullis::config::rule::Rule;
use portcullis::message::Fields;
use portcullis::service::policy::Policy;
use portcullis::service::policy::path::normalise;
use portcullis::service::policy::rules::Head;

use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    bench.measure("policy: normalise a path", || {
        normalise(black_box("/catalogue/items")).map(|path| path.matched.len())
    });
    for count in [1, 10, 200] {
        let policy = with_rules(count);
        for (name, path) in
            [("last of", format!("/area{}/page", count - 1)), ("none of", "/other".to_owned())]
        {
            let (method, fields) = (Method::GET, Fields::new());
            bench.measure(&format!("policy: {name} {count} rules"), || {
                let head = Head {
                    path: black_box(path.as_bytes()),
                    method: &method,
                    fields: &fields,
                    client: CLIENT,
                };
                black_box(&policy).matches(&head)
            });
        }
    }
    for (name, per) in [("each client", Per::Client), ("the service", Per::Service)] {
        let policy = with_limit(per);
        bench.measure(&format!("policy: rate limit of {name}"), || {
            black_box(&policy).count(None, black_box(CLIENT), Instant::now()).is_ok()
        });
    }
}

fn with_rules(count: usize) -> Box<Policy> {
    let rule = |number| Rule {
        matches: Match {
            path: Some(PathMatch::Prefix(format!("/area{number}"))),
            ..Match::default()
        },
        action: Action::Continue,
        rewrite: None,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        rate_limits: Vec::new(),
        request_body: None,
    };
    compile(&config::policy::Policy {
        rules: (0..count).map(rule).collect(),
        ..config::policy::Policy::default()
    })
}

fn with_limit(per: Per) -> Box<Policy> {
    let limit = RateLimit {
        counts: Counted::Requests,
        per,
        amount: 1_000_000,
        period: Duration::from_secs(1),
        burst: 1_000_000,
    };
    compile(&config::policy::Policy {
        rate_limits: vec![limit],
        ..config::policy::Policy::default()
    })
}

fn compile(config: &config::policy::Policy) -> Box<Policy> {
    Policy::compile(config, &BTreeMap::new(), BTreeMap::new()).expect("something was written")
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
