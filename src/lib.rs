//! Portcullis: a TLS front door. One listener, many sites.

pub mod admin;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod http;
pub mod key;
pub mod live;
pub mod names;
pub mod per_worker;
pub mod runtime;
pub mod service;
pub mod telemetry;
pub mod tls;
pub mod upstream;
