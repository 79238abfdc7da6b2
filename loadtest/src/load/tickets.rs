//! The session store of the generator: a stock of TLS 1.3 tickets, each shown once.
//!
//! Every connection, resumed or not, brings at least one new ticket if it is read to its end.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use rustls::NamedGroup;
use rustls::client::ClientSessionStore;
use rustls::client::Tls12ClientSessionValue;
use rustls::client::Tls13ClientSessionValue;
use rustls::pki_types::ServerName;

/// Tickets of one site, newest first.
#[derive(Debug, Default)]
pub struct Tickets {
    /// Until then, tickets are only collected and all handshakes are full.
    in_use: AtomicBool,
    // Only the thread of the generator asks for them.
    stock: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl Tickets {
    /// From now on, handshakes show tickets.
    pub fn use_them(&self) {
        self.in_use.store(true, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if stock.len() < MOST {
            stock.push(value);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if !self.in_use.load(Ordering::Relaxed) {
            return None;
        }
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Servers may give several with each connection.
const MOST: usize = 256;
