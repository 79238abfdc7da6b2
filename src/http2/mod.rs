//! HTTP/2 with a client (RFC 9113): our own, because what floods a connection has to be counted where it is
//! read, and because a connection that waits is to hold nothing.
//!
//! In the order of a request: [`reader`] makes frames of bytes, [`receive`] and [`settings`] do what they
//! say, [`hpack`] decodes blocks of fields, of which [`request`] makes a head; what is known of a stream is
//! in [`stream`], and [`send`] writes what is sent on it. [`state`] is what they have in common, [`machine`]
//! all of it, and [`handle`] what a connection's loop and the tasks of its streams hold of it. [`glitches`]
//! counts what a decent client does not send. Must not know sockets, the clock or settings of services.

pub mod code;
pub mod fault;
pub mod frame;
pub mod glitches;
pub mod handle;
pub mod hpack;
#[cfg(test)]
mod kit;
pub mod machine;
#[cfg(test)]
mod machine_tests;
pub mod outbox;
#[cfg(test)]
mod properties;
pub mod reader;
mod receive;
pub mod request;
mod send;
#[cfg(test)]
mod send_tests;
mod settings;
pub mod state;
pub mod stream;
mod streams;

pub use crate::http2::code::Code;
pub use crate::http2::code::StreamError;
pub use crate::http2::fault::Fault;
pub use crate::http2::handle::Connection;
pub use crate::http2::handle::Receiving;
pub use crate::http2::handle::Sending;
pub use crate::http2::machine::Machine;
pub use crate::http2::state::Accepted;
pub use crate::http2::state::Bounds;
