//! What a virtual service does with requests beside passing them on (SPEC PX-4).
//!
//! All of it is written for `blog.test`: its table is the last one of the street's configuration.

mod access;
mod body;
mod fields;
mod pages;
mod rate;
mod rules;
mod spelling;

use crate::kit::RawOrigin;
use crate::kit::TwoSites;

/// The two sites with another endpoint behind `blog.test`, and these keys for it.
async fn blog_at(endpoint: &str, keys: &str) -> TwoSites {
    let street = TwoSites::start().await;
    reconfigure(&street, endpoint, keys).await;
    street
}

/// The two sites with this very response of the origin of `blog.test`, and these keys for it.
async fn blog_answered_with(response: &str, keys: &str) -> (TwoSites, RawOrigin) {
    let origin = RawOrigin::answering(response.as_bytes()).await;
    let street = blog_at(&origin.endpoint(), keys).await;
    (street, origin)
}

async fn reconfigure(street: &TwoSites, endpoint: &str, keys: &str) {
    street.site.configure(&street.toml(keys).replace(&street.blog.endpoint(), endpoint));
    street.proxy.reload().await;
}
