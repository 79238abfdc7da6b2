//! Private keys that stay in tokens: PKCS#11 modules, groups of tokens, and handshakes that wait for them.
//!
//! ```text
//!   worker            lane (threads that may block)         sessions (one thread each)
//!     |  hello             |                                     |
//!     |------------------->| handshake .. sign()                 |
//!     |                    |---- Request ----> Dispatcher ------>| C_Sign
//!     |                    |<--------------- answer -------------|
//!     |<-------------------| established                         |
//! ```
//!
//! A *group* is a list of members that are believed to hold the same keys, and one [`board`] of jobs. Each
//! session is a thread that owns it ([`session`]) and pulls from the board: balance, failover and the way
//! back follow from that. A session is lost: its job goes to another member, or waits for the session to be
//! opened again. A member that is slow is suspect, one that hangs counts as down, and both only until they
//! have signed again. Every signature has a deadline, and is offered a second time at half of it.
//!
//! Nothing is believed of a token: a key is used after it has signed a challenge that verifies with the
//! certificate's public key ([`connection`]), in each session anew. A wrong PIN is tried once.
//!
//! Modules are state of the process ([`module`]): loaded once, initialised once, never finalised while
//! anybody is inside.
//!
//! An operator lists, makes, deletes and measures keys too: [`inventory`], [`making`], [`found_key`] and
//! [`probing`] do so with connections of their own, without a group. Must not know certificates, nor who shakes hands.

pub mod ask;
pub mod board;
pub mod connection;
pub mod dispatcher;
pub mod found_key;
pub mod group;
pub mod inventory;
pub mod key;
pub mod lane;
pub mod making;
pub mod module;
pub mod probing;
pub mod public_half;
pub mod request;
pub mod scheme;
pub mod session;
pub mod signing_key;
pub mod standing;
pub mod trouble;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::names::HsmName;

pub use group::Group;
pub use group::KeyError;
pub use group::PublicKey;
pub use request::SignError;
pub use signing_key::SigningKey;
pub use trouble::Trouble;

/// Ends groups: all at once, and waits for them. What hangs in its module is left behind; see [`leave`].
pub fn stop(groups: &[Arc<Group>]) {
    let deadline = Instant::now() + STOP_WITHIN;
    groups.iter().for_each(|group| group.close());
    for group in groups {
        if !group.wait_until_ended(deadline) {
            tracing::warn!(hsm = %group.name(), "a token hangs: its sessions are left as they are");
        }
    }
}

/// Ends the process without the destructors of modules if a thread is still inside one, which they do not
/// survive; else comes back.
pub fn leave(code: ExitCode) -> ExitCode {
    if !module::finalize_all() {
        let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
        signal_hook::low_level::exit(number.unwrap_or(1).into());
    }
    code
}

/// A signature that is being made has its own deadline, which is shorter in any sane configuration.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The groups that run, by their names in the configuration.
pub type Groups = BTreeMap<HsmName, Arc<Group>>;
