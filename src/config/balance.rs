//! How an endpoint of a pool is chosen: `balance`, `hash` and `sticky`.

use std::time::Duration;

/// How an endpoint is chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Balance {
    /// Always the same one for the same key, as long as it is there; few keys move when the pool
    /// changes.
    ConsistentHash(HashKey),
    /// The one with the fewest requests in flight, for its weight.
    LeastRequests,
    /// One after the other, in proportion to their weights.
    RoundRobin,
    /// The less busy one of two that are drawn by weight.
    TwoChoices,
}

/// What a consistent hash is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HashKey {
    /// The client's address without the port. Stands in for a field or a cookie that is not there.
    ClientAddress,
    /// The value of a cookie.
    Cookie(String),
    /// The first value of a field of the request; the name in lower case.
    Header(String),
}

/// `sticky = { cookie = "route" }`: a client stays with the endpoint that answered it first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the client keeps it; None: until the browser is closed.
    pub max_age: Option<Duration>,
}
