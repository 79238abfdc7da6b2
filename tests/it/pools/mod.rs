//! Pools of several endpoints through the real proxy: who gets a request, who waits, who is left out.

mod choice;
mod limits;
mod trouble;

use std::net::SocketAddr;

use hyper::Method;
use serde_json::Value;

use crate::kit::Http;
use crate::kit::Origin;
use crate::kit::Reply;
use crate::kit::TwoSites;
use crate::kit::http::empty;

/// A street whose `shop` has endpoints and keys of the test's choice.
struct Pool {
    street: TwoSites,
}

impl Pool {
    /// `endpoints` as in the configuration: `"127.0.0.1:1", { .. }`; `keys` are more lines of the pool.
    async fn with(endpoints: &str, keys: &str) -> Self {
        let pool = Self { street: TwoSites::start().await };
        pool.becomes(endpoints, keys).await;
        pool
    }

    /// A reload with other endpoints and keys.
    async fn becomes(&self, endpoints: &str, keys: &str) {
        let old = format!("endpoints = [\"{}\"]", self.street.shop.endpoint());
        let new = format!("endpoints = [{endpoints}]\n{keys}");
        self.street.site.configure(&self.street.toml("").replace(&old, &new));
        self.street.proxy.reload().await;
    }

    /// A connection of a client. Whatever the worker, a pool counts its turns from the reload.
    async fn client(&self) -> Http {
        self.street.client("shop.test").http1().await
    }

    /// Of the pool `shop`.
    async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = [("pool", "shop")].iter().chain(labels).copied().collect();
        self.street.proxy.metric(name, &labels).await
    }

    /// What `/status` says about an endpoint: state, weight, in flight.
    async fn status(&self, address: SocketAddr) -> (String, u64, u64) {
        let status: Value =
            serde_json::from_str(&self.street.proxy.ask("/status").await.text()).unwrap();
        let pools = status["pools"].as_array().unwrap();
        let shop = pools.iter().find(|pool| pool["name"] == "shop").unwrap();
        let endpoints = shop["endpoints"].as_array().unwrap();
        let found = endpoints.iter().find(|one| one["address"] == address.to_string()).unwrap();
        (
            found["state"].as_str().unwrap().to_owned(),
            found["weight"].as_u64().unwrap(),
            found["in_flight"].as_u64().unwrap(),
        )
    }
}

/// Origins that say `0`, `1`, ..
async fn origins<const N: usize>() -> [Origin; N] {
    let mut origins = Vec::new();
    for number in 0..N {
        origins.push(Origin::saying(&number.to_string()).await);
    }
    origins.try_into().unwrap_or_else(|_| unreachable!("as many as were made"))
}

/// For the configuration, with these weights.
fn weighted<const N: usize>(origins: &[Origin; N], weights: [u32; N]) -> String {
    let each = origins.iter().zip(weights).map(|(origin, weight)| {
        format!("{{ address = \"{}\", weight = {weight} }}", origin.endpoint())
    });
    each.collect::<Vec<_>>().join(", ")
}

/// For the configuration, all alike.
fn listed(origins: &[Origin]) -> String {
    let each = origins.iter().map(|origin| format!("\"{}\"", origin.endpoint()));
    each.collect::<Vec<_>>().join(", ")
}

fn counts<const N: usize>(origins: &[Origin; N]) -> [usize; N] {
    origins.each_ref().map(|origin| origin.seen().len())
}

/// GET with a field.
async fn get_with(http: &mut Http, name: &str, value: &str) -> Reply {
    let head = http.head(Method::GET, "/").header(name, value);
    http.send(head.body(empty()).unwrap()).await.unwrap()
}
