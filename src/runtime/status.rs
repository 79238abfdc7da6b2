//! What is served, and how well, as plain data: status and readiness.
//!
//! The admin address and the command line speak these as JSON.

use serde::Deserialize;
use serde::Serialize;

use crate::runtime::report::ReloadReport;

/// The process and what it serves: `GET /status`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// What it is doing.
    pub phase: Phase,
    /// Number of workers.
    pub workers: usize,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Number of the configuration in force, 1 at the start.
    pub generation: u64,
    /// The main configuration file.
    pub config_file: String,
    /// The latest reload, if there was one.
    pub last_reload: Option<ReloadReport>,
    /// Every socket that listens.
    pub listeners: Vec<ListenerStatus>,
    /// Every virtual service, by name.
    pub virtual_services: Vec<VirtualServiceStatus>,
    /// Every certificate, by name.
    pub certificates: Vec<CertificateStatus>,
    /// Every pool, by name.
    pub pools: Vec<PoolStatus>,
    /// Every group of tokens, by name.
    pub hsms: Vec<HsmStatus>,
}

/// A group of tokens.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct HsmStatus {
    /// Its name.
    pub name: String,
    /// Its members, in the order of the configuration.
    pub members: Vec<MemberStatus>,
}

/// A token of a group.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// `up` or `down`.
    pub state: String,
    /// For how long.
    pub seconds: u64,
    /// Why it is down.
    pub problem: Option<String>,
}

/// A socket.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListenerStatus {
    /// The parent that it belongs to.
    pub virtual_service: String,
    /// `tls` or `redirect`.
    pub kind: String,
    /// The address in the configuration; its port may be 0.
    pub configured: String,
    /// The address that it has.
    pub actual: String,
}

/// A virtual service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VirtualServiceStatus {
    /// Its name.
    pub name: String,
    /// Its parent's name, if it is a child.
    pub parent: Option<String>,
    /// `http`, `tcp` or `passthrough`.
    pub mode: String,
    /// The domains of a child.
    pub domains: Vec<String>,
    /// Names of its certificates.
    pub certificates: Vec<String>,
    /// Name of its TLS profile.
    pub tls_profile: String,
    /// Name of its pool, if it has one.
    pub pool: Option<String>,
    /// Connections that are open now.
    pub active_connections: u64,
}

/// A pool.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Requests and streams that wait until an endpoint has room.
    pub waiting: usize,
    /// Its endpoints, in the order of the configuration.
    pub endpoints: Vec<EndpointStatus>,
}

/// One address of a pool.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct EndpointStatus {
    /// The address, as in metrics and log lines.
    pub address: String,
    /// Its share.
    pub weight: u32,
    /// `up`, `slow_start`, `draining`, `ejected` or `down`.
    pub state: String,
    /// Requests and streams under way.
    pub in_flight: usize,
}

/// A certificate slot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateStatus {
    /// Its name.
    pub name: String,
    /// `good`, `not_yet_valid`, `expired` or `missing`.
    pub status: String,
    /// `ec`, `rsa` or `ed25519`; empty while nothing is loaded.
    pub key_type: String,
    /// Common name of the subject.
    pub common_name: String,
    /// Names that it is valid for.
    pub names: Vec<String>,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Start of validity, Unix time in seconds.
    pub not_before: i64,
    /// End of validity, Unix time in seconds.
    pub not_after: i64,
    /// Whether the files on disk are not what is served.
    pub served_differs: bool,
    /// Why it could not be loaded, or not be replaced.
    pub problem: Option<String>,
}

/// What the process is doing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not all sockets are open yet.
    #[default]
    Starting,
    /// Serving.
    Serving,
    /// Ending: no new connections, the old ones finish.
    Draining,
}

/// Whether a load balancer should send traffic here: `GET /readyz`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether it should.
    pub ready: bool,
    /// Why not, in sentences; empty if it should.
    pub reasons: Vec<String>,
}
