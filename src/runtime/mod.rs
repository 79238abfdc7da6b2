//! When things happen: threads, sockets, signals, file watching, reload, drain.
//!
//! Must not know HTTP: a connection is handed to `http` when its handshake is done.

pub mod accept;
pub mod accounts;
pub mod commit;
pub mod connection;
pub mod control;
pub mod error_pages;
pub mod farewell;
pub mod fault;
pub mod handle;
pub mod handshake_failure;
pub mod hardening;
pub mod identity;
pub mod inherited;
pub mod notify;
pub mod panics;
pub mod plan;
pub mod prefixed;
pub mod prepare;
pub mod prepare_certificates;
pub mod proxy_header;
pub mod refresh;
pub mod reload;
pub mod report;
pub mod running;
pub mod socket;
pub mod sources;
pub mod start;
pub mod status;
pub mod turns;
pub mod turnstile;
pub mod watch;
pub mod watched;
pub mod worker;
