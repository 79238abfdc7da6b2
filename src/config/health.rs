//! `health = { .. }` and `ejection = { .. }` of a pool: how it is noticed that an endpoint is down.

use std::time::Duration;

/// Active checks (SPEC PX-2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// From the end of one check to the beginning of the next. Default 5s.
    pub interval: Duration,
    /// By how much of itself the interval is made longer or shorter at random. Default 0.1.
    pub jitter_permille: u16,
    /// For one check. Default 2s.
    pub timeout: Duration,
    /// Good checks in a row after which a down endpoint is up. Default 2.
    pub rise: u32,
    /// Bad checks in a row after which an up endpoint is down. Default 3.
    pub fall: u32,
    /// Another port than that of the traffic.
    pub port: Option<u16>,
}

/// What a check does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// GET over the pool's own protocol and TLS.
    Http {
        /// Begins with a slash; may have a query.
        path: String,
        /// The Host to ask for; None: the pool's server name, or the endpoint's own host.
        host: Option<String>,
        /// First and last of each range of good statuses. Default 200 to 399.
        status: Vec<(u16, u16)>,
    },
    /// A TCP connection can be opened.
    Tcp,
    /// A TLS handshake succeeds, with the pool's own settings.
    Tls,
}

/// Passive: an endpoint whose answers fail is left out for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ejection {
    /// Failures in a row (connecting, no answer, or a broken one) after which it is left out; 0:
    /// never. Default 5.
    pub failures: u32,
    /// For how long. Default 10s.
    pub duration: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, duration: Duration::from_secs(10) }
    }
}
