//! Rules against a reading of them one by one.

use proptest::prelude::*;

use super::*;
use crate::message::testing;

fn exact(path: &str) -> Match {
    Match { path: Some(PathMatch::Exact(path.into())), ..Match::default() }
}

fn prefix(path: &str) -> Match {
    Match { path: Some(PathMatch::Prefix(path.into())), ..Match::default() }
}

/// What a request with this path, method and fields matches.
fn found(
    rules: &[Match],
    path: &str,
    method: &str,
    fields: &[(&'static str, &str)],
) -> Option<usize> {
    let matcher = Matcher::compile(rules.iter());
    let map = testing::fields(fields);
    let normal = normalise(path).expect("unambiguous");
    let head = Head {
        path: &normal.matched,
        method: &method.parse().expect("a method"),
        fields: &map,
        client: "192.0.2.7".parse().expect("an address"),
    };
    matcher.matches(&head)
}

fn by_path(rules: &[Match], path: &str) -> Option<usize> {
    found(rules, path, "GET", &[])
}

#[test]
fn a_prefix_is_whole_segments() {
    let rules = [prefix("/api")];
    for path in ["/api", "/api/", "/api/x", "//api/x", "/%61pi", "/x/../api"] {
        assert_eq!(by_path(&rules, path), Some(0), "{path}");
    }
    for path in ["/", "/ap", "/apiary", "/api.html", "/API", "/x/api", "/api/..", "*"] {
        assert_eq!(by_path(&rules, path), None, "{path}");
    }
    assert_eq!(by_path(&[prefix("/api/")], "/api"), None);
    assert_eq!(by_path(&[prefix("/api/")], "/api/x"), Some(0));
    assert_eq!(by_path(&[prefix("/")], "/anything"), Some(0));
}

#[test]
fn the_first_that_matches_applies_whatever_its_kind() {
    let any = Match::default();
    let rules = [exact("/a/b"), prefix("/a"), prefix("/a/b"), any.clone(), exact("/c")];
    for (path, number) in [("/a/b", 0), ("/a/b/c", 1), ("/a", 1), ("/x", 3), ("/c", 3)] {
        assert_eq!(by_path(&rules, path), Some(number), "{path}");
    }
    assert_eq!(by_path(&[prefix("/a/b"), prefix("/a")], "/a/b/c"), Some(0));
    assert_eq!(by_path(&[any, exact("/a")], "/a"), Some(0));
}

#[test]
fn all_that_is_named_must_hold() {
    let rule = Match {
        methods: vec!["GET".into(), "PURGE".into()],
        headers: vec![
            ("x-beta".into(), HeaderMatch::Value("1".into())),
            ("x-debug".into(), HeaderMatch::Present),
        ],
        ..prefix("/a")
    };
    let rules = [rule];
    let fields = [("x-beta", "0"), ("x-beta", "1"), ("x-debug", "")];
    assert_eq!(found(&rules, "/a", "GET", &fields), Some(0));
    assert_eq!(found(&rules, "/a", "PURGE", &fields), Some(0));
    assert_eq!(found(&rules, "/a", "HEAD", &fields), None, "HEAD is not GET");
    assert_eq!(found(&rules, "/b", "GET", &fields), None);
    assert_eq!(found(&rules, "/a", "GET", &fields[1..2]), None);
    assert_eq!(found(&rules, "/a", "GET", &fields[..1]), None);
    let network = |text: &str| vec![text.parse().expect("a network")];
    let of = |clients: &str| [Match { clients: network(clients), ..Match::default() }];
    assert_eq!(by_path(&of("192.0.2.0/24"), "/"), Some(0));
    assert_eq!(by_path(&of("10.0.0.0/8"), "/"), None);
}

/// As the documentation says it.
fn naive(rules: &[Match], path: &str, method: &str) -> Option<usize> {
    rules.iter().position(|rule| {
        let path_holds = match &rule.path {
            None => true,
            Some(PathMatch::Exact(exact)) => exact == path,
            Some(PathMatch::Prefix(prefix)) => path.strip_prefix(&**prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            }),
        };
        path_holds && (rule.methods.is_empty() || rule.methods.iter().any(|it| it == method))
    })
}

fn rule() -> impl Strategy<Value = Match> {
    let path = prop_oneof![
        1 => Just(None),
        3 => "(/[ab]{1,2}){1,3}/?".prop_map(|path| Some(PathMatch::Exact(path))),
        3 => "(/[ab]{1,2}){1,3}/?".prop_map(|path| Some(PathMatch::Prefix(path))),
    ];
    (path, prop::sample::subsequence(vec!["GET", "PUT"], 0..=2)).prop_map(|(path, methods)| Match {
        path,
        methods: methods.into_iter().map(str::to_owned).collect(),
        ..Match::default()
    })
}

proptest! {
    #[test]
    fn the_index_agrees_with_reading_one_by_one(
        rules in prop::collection::vec(rule(), 0..30),
        paths in prop::collection::vec("(/[ab]{1,2}){1,4}/?", 1..20),
        method in prop::sample::select(vec!["GET", "PUT", "HEAD"]),
    ) {
        for path in paths {
            prop_assert_eq!(found(&rules, &path, method, &[]), naive(&rules, &path, method), "{}", path);
        }
    }
}
