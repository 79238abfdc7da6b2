//! How long and how much: the bounds of a listener's connections.

use crate::config::limits::Limits;
use crate::config::timeouts::Timeouts;

/// The same for all connections of a configuration; a connection keeps what it began with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// How much it may send.
    pub limits: Limits,
}
