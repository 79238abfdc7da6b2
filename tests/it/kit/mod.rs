//! The kit of the integration tests: a CA, a directory, origins, the proxy as a process, clients.
//!
//! A test reads: make a site, put certificates and origins in it, start the proxy with a
//! configuration, talk to it, say what must hold. Nothing here sleeps for a fixed time: whatever
//! is awaited has a deadline, whatever is polled is polled until it holds.

pub(crate) mod admin;
pub(crate) mod ca;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod dns;
pub(crate) mod far_end;
pub(crate) mod frames;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod nginx;
pub(crate) mod openssl;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod proxied;
pub(crate) mod proxy;
pub(crate) mod raw_origin;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod site;
pub(crate) mod tape;
pub(crate) mod tickets;
pub(crate) mod token;
pub(crate) mod two_sites;
pub(crate) mod volume;
pub(crate) mod websocket;

use std::time::Duration;

pub(crate) use self::ca::Ca;
pub(crate) use self::ca::Issued;
pub(crate) use self::ca::Leaf;
pub(crate) use self::client::Client;
pub(crate) use self::client::Refused;
pub(crate) use self::client::Visit;
pub(crate) use self::command::portcullis;
pub(crate) use self::dns::Dns;
pub(crate) use self::far_end::FarEnd;
pub(crate) use self::http::Http;
pub(crate) use self::http::Reply;
pub(crate) use self::origin::Origin;
pub(crate) use self::proxy::Proxy;
pub(crate) use self::raw_origin::RawOrigin;
pub(crate) use self::site::Site;
pub(crate) use self::tape::Tape;
pub(crate) use self::two_sites::TwoSites;

/// Awaits something, and fails the test where it takes longer than any healthy machine needs.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Asks again and again until there is an answer, or the deadline has passed.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(BETWEEN_PROBES).await;
        }
    };
    within(what, asking).await
}

/// Long enough for two busy cores, short enough to notice.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How often [`eventually`] asks.
const BETWEEN_PROBES: Duration = Duration::from_millis(15);
