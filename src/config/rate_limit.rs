//! `rate_limits = [{ .. }]` of a virtual service or of a rule.

use std::time::Duration;

/// So many in a period, with a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// What is counted.
    pub counts: Counted,
    /// Who shares a count.
    pub per: Per,
    /// At least 1.
    pub amount: u32,
    /// `"100/s"`, `"100/m"`, `"100/h"`
    pub period: Duration,
    /// How many may come at once after a pause. Default: `amount`.
    pub burst: u32,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// `connections = "20/s"`: connections, before their handshake costs anything.
    Connections,
    /// `requests = "100/s"`: requests; more are answered with 429.
    Requests,
}

/// Who shares a count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Per {
    /// `per = "client"`, the default: each client address (an IPv6 client: its /64).
    Client,
    /// `per = "service"`: all clients together.
    Service,
}
