//! Balance, weights and sticky cookies.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Pool;
use super::counts;
use super::get_with;
use super::listed;
use super::origins;
use super::weighted;
use crate::kit::portcullis;

/// SPEC PX-2.
#[tokio::test]
async fn round_robin_gives_each_exactly_its_weight() {
    let three = origins::<3>().await;
    let pool = Pool::with(&weighted(&three, [5, 2, 1]), "").await;
    let mut http = pool.client().await;
    for _ in 0..40 {
        http.get("/").await;
    }
    assert_eq!(counts(&three), [25, 10, 5]);
}

/// SPEC PX-2.
#[tokio::test]
async fn every_balance_serves_and_a_drained_endpoint_gets_nothing() {
    let three = origins::<3>().await;
    let pool = Pool::with(&weighted(&three, [1, 0, 1]), "").await;
    for balance in ["round_robin", "least_requests", "two_choices", "consistent_hash"] {
        let keys = match balance {
            "consistent_hash" => "balance = \"consistent_hash\"\nhash = { header = \"x-user\" }",
            _ => &format!("balance = \"{balance}\""),
        };
        pool.becomes(&weighted(&three, [1, 0, 1]), keys).await;
        let before = counts(&three);
        let mut http = pool.client().await;
        for number in 0..100 {
            get_with(&mut http, "x-user", &format!("user {number}")).await;
        }
        let after = counts(&three);
        let got = [0, 1, 2].map(|place| after[place] - before[place]);
        assert_eq!(got[1], 0, "{balance}");
        assert!(got[0] > 10 && got[2] > 10, "{balance}: {got:?}");
    }
    assert_eq!(pool.status(three[1].address).await, ("draining".to_owned(), 0, 0));
}

/// SPEC PX-2: a key stays with its endpoint, on every connection, and few move when one goes.
#[tokio::test]
async fn a_hash_of_a_field_keeps_its_endpoint() {
    let four = origins::<4>().await;
    let keys = "balance = \"consistent_hash\"\nhash = { header = \"x-user\" }";
    let pool = Pool::with(&listed(&four), keys).await;
    let mut before = BTreeMap::new();
    for _ in 0..2 {
        let mut http = pool.client().await;
        for number in 0..60 {
            let user = format!("user {number}");
            let answer = get_with(&mut http, "x-user", &user).await.text();
            let first = before.entry(user).or_insert_with(|| answer.clone());
            assert_eq!(*first, answer);
        }
    }
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 4, "all have keys");
    pool.becomes(&listed(&four[..3]), keys).await;
    let mut http = pool.client().await;
    for (user, endpoint) in &before {
        let answer = get_with(&mut http, "x-user", user).await.text();
        assert_ne!(answer, "3");
        assert!(answer == *endpoint || endpoint == "3", "{user} went from {endpoint} to {answer}");
    }
}

/// SPEC PX-2: without the field, a client's address decides.
#[tokio::test]
async fn a_hash_of_the_address_keeps_a_client_together() {
    let three = origins::<3>().await;
    let pool = Pool::with(&listed(&three), "balance = \"consistent_hash\"").await;
    for _ in 0..10 {
        pool.client().await.get("/").await;
    }
    let mut seen = counts(&three);
    seen.sort_unstable();
    assert_eq!(seen, [0, 0, 10]);
}

/// SPEC PX-2.
#[tokio::test]
async fn a_sticky_client_stays_even_while_its_endpoint_is_drained() {
    let three = origins::<3>().await;
    let keys = "sticky = { cookie = \"route\", max_age = \"1h\" }";
    let pool = Pool::with(&listed(&three), keys).await;
    let mut http = pool.client().await;
    let first = http.get("/").await;
    let set = first.header("set-cookie").to_owned();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600");
    assert_eq!(pair.len(), "route=".len() + 16);
    assert!(!set.contains("127.0.0.1"));
    let mine = first.text().parse::<usize>().unwrap();
    let cookie = format!("theme=dark; {pair}");
    for _ in 0..2 {
        for _ in 0..6 {
            let reply = get_with(&mut http, "cookie", &cookie).await;
            assert_eq!((reply.text(), reply.header("set-cookie")), (mine.to_string(), ""));
        }
        // As HAProxy does by default: the origin sees the cookie.
        assert_eq!(three[mine].last().header("cookie"), cookie);
        let mut weights = [1; 3];
        weights[mine] = 0;
        pool.becomes(&weighted(&three, weights), keys).await;
        http = pool.client().await;
    }
    let stranger = http.get("/").await;
    assert_ne!(stranger.text(), mine.to_string());
    // Gone: another one answers, and says so.
    let others: Vec<_> = (0..3).filter(|other| *other != mine).collect();
    let left = others.iter().map(|other| format!("\"{}\"", three[*other].endpoint()));
    pool.becomes(&left.collect::<Vec<_>>().join(", "), keys).await;
    let reply = get_with(&mut pool.client().await, "cookie", &cookie).await;
    assert!(reply.header("set-cookie").starts_with("route="));
}

/// SPEC PX-2: what a reload leaves alone keeps its connections; weight 0 ends nothing under way.
#[tokio::test]
async fn a_reload_changes_weights_and_keeps_connections() {
    let two = origins::<2>().await;
    let pool = Pool::with(&listed(&two), "").await;
    let mut http = pool.client().await;
    for _ in 0..4 {
        http.get("/").await;
    }
    let held = http.head(hyper::Method::GET, "/held").body(crate::kit::http::empty()).unwrap();
    let held = tokio::spawn(http.begin(held));
    let label = [("pool", "shop")];
    pool.street.proxy.metric_becomes("portcullis_endpoint_requests_active", &label, 1.0).await;
    pool.becomes(&weighted(&two, [0, 0]), "").await;
    let draining = [two[0].address, two[1].address];
    for address in draining {
        assert_eq!(pool.status(address).await.0, "draining");
    }
    let mut other = pool.client().await;
    let refused = other.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    two.iter().for_each(|origin| origin.release());
    assert_eq!(crate::kit::within("a held answer", held).await.unwrap().unwrap().status(), 200);
    pool.becomes(&weighted(&two, [3, 1]), "").await;
    let before = counts(&two);
    let mut http = pool.client().await;
    for _ in 0..8 {
        http.get("/").await;
    }
    let after = counts(&two);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [6, 2]);
    let connections = two.each_ref().map(|origin| origin.connections());
    assert!(connections.iter().all(|count| *count <= 3), "{connections:?}: one for each worker");
}

/// SPEC PX-2.
#[tokio::test]
async fn the_status_command_shows_the_endpoints() {
    let two = origins::<2>().await;
    let pool = Pool::with(&weighted(&two, [7, 0]), "").await;
    let admin = pool.street.proxy.admin().to_string();
    let shown = portcullis(&pool.street.site, &["status", "--admin", &admin]).await;
    let row = |address: String| {
        let line = shown.stdout.lines().find(|line| line.contains(&address)).unwrap().to_owned();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row(two[0].endpoint())[2..], ["7", "up", "0", "0"]);
    assert_eq!(row(two[1].endpoint())[2..], ["0", "draining", "0", "0"]);
}
