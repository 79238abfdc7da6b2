//! HTTP/2 (RFC 9113) as bytes have it, without sockets and without a clock.
//!
//! [`hpack`] is the compression of fields. Nothing here knows services, configuration or TLS.

pub mod hpack;
