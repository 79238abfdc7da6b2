//! Portcullis: a TLS front door. One listener, many sites.

pub mod certificate;
pub mod config;
pub mod key;
pub mod live;
pub mod names;
pub mod per_worker;
pub mod telemetry;
pub mod tls;
