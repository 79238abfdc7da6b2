//! The product from outside: each module a behaviour, each test a fact, each doc comment the
//! number of the statement that it shows.

#![expect(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod bad_input;
mod certificate_choice;
mod client_identity;
mod edge;
mod endpoints;
mod faults;
mod hardening;
mod http;
mod http2;
mod kit;
mod observability;
mod operations;
mod policy;
mod pools;
mod reload;
mod streams;
mod tls_profiles;
mod tokens;
mod upstream_tls;
mod virtual_services;
