//! HTTP/1.1 with an endpoint: a connection is a value, read and written by the task of the request that
//! has it. No task of its own, no channel: a request is one write and one read.
//!
//! In the order of a request: [`encode`] writes its head and [`upload`] its body into the [`outbox`],
//! [`head`] reads that of the response, the [`decoder`] its body, and [`connection`] is what they work on.
//! [`apart`] is for a response that comes before all of its request has left, [`idle`] for the time
//! between two requests. [`mod@line`], [`decoder`] and [`outbox`] serve the clients' side too.

pub mod apart;
pub mod connection;
pub mod decoder;
pub mod encode;
pub mod head;
pub mod idle;
pub mod line;
pub mod outbox;
pub mod upload;

pub use crate::upstream::http1::connection::Connection;
