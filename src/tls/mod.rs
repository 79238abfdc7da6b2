//! TLS on both sides: reading the ClientHello, choosing the certificate, the handshake, tickets, client certificates.
//!
//! The order of a handshake: `read_hello` reads and parses the ClientHello; `choose` decides, as a pure function
//! and before anything is sent, what will be spoken and with which certificate, or what is missing; `acceptor` lets
//! rustls do exactly that; `stream` is the connection after it, whose bytes pass through buffers of the worker. A
//! refusal is ours: it has a reason, a sentence and the alert that the standard asks for.
//! Must not know virtual services: who asks brings the profile, the certificates and the ticket keys.

pub mod acceptor;
pub mod alert;
pub mod choose;
pub mod client;
pub mod client_auth;
pub mod code_points;
pub mod describe;
pub mod explain;
pub mod facts;
pub mod failure;
pub mod hello;
pub mod profile;
pub mod read_hello;
pub mod reason;
pub mod refusal;
pub mod resolver;
mod session;
pub mod stream;
pub mod ticket_secret;
pub mod tickets;
pub mod transport;

#[cfg(test)]
mod client_auth_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod resumption_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod testing;
