//! A hundred reloads under constant load: no request is lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::TwoSites;

/// RL-4
#[tokio::test]
async fn a_hundred_reloads_lose_no_request() {
    let street = TwoSites::start().await;
    let load = Load::default();
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        // The unchanged service over kept connections; the changing one over fresh ones, and over
        // kept ones that are made anew when an answer says so.
        clients.spawn(load.clone().keep_asking(street.client("shop.test"), false));
        clients.spawn(load.clone().keep_asking(street.client("shop.test"), true));
        clients.spawn(load.clone().keep_connecting(street.client("blog.test").tls13()));
        clients.spawn(load.clone().keep_returning(street.client("blog.test").tls13()));
    }
    for number in 0..100 {
        match number % 4 {
            0 => street.site.configure(&street.toml("host_check = \"off\"")),
            1 => street.site.configure(&street.toml("tls_profile = \"modern\"")),
            2 => street.site.configure(&street.toml("log = { sample = 0.5 }")),
            _ => street.site.renew("blog_ec", &Ca::shared().issue(&Leaf::p256("blog.test"))),
        }
        street.proxy.reload().await;
    }
    load.over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let answered = load.answered.load(Ordering::Relaxed);
    assert!(answered > 200, "there was load: {answered}");
}

/// What all clients of a load share.
#[derive(Clone, Default)]
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    /// One request after the other on one connection.
    async fn keep_asking(self, client: Client, http2: bool) {
        let mut http = if http2 { client.http2().await } else { client.http1().await };
        while !self.over.load(Ordering::Relaxed) {
            let reply = http.get("/").await;
            assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "hello from shop"));
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One request after the other on one connection, and the next where an answer said `close`.
    async fn keep_returning(self, client: Client) {
        let mut http = client.http1().await;
        while !self.over.load(Ordering::Relaxed) {
            let reply = http.get("/").await;
            assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "hello from blog"));
            self.answered.fetch_add(1, Ordering::Relaxed);
            if reply.header("connection") == "close" {
                http = client.http1().await;
            }
        }
    }

    /// A connection for each request.
    async fn keep_connecting(self, client: Client) {
        while !self.over.load(Ordering::Relaxed) {
            let visit = client.visit().await.expect("to be served");
            assert_eq!((visit.status, &*visit.body), (200, "hello from blog"));
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
