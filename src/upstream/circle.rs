//! What the endpoints of a pool need to know of each other: whether one is the last that is available,
//! and who waits for a place in flight.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::live::Live;
use crate::upstream::standing::Standing;

/// The endpoints of a pool among themselves. Belongs to the pool; each [`Standing`] refers to it.
#[derive(Debug)]
pub struct Circle {
    /// A `Live` besides the pool's members: an endpoint whose answer breaks off has no members at hand.
    standings: Live<Vec<Arc<Standing>>>,
    vacancy: Notify,
}

impl Circle {
    /// Of a pool without endpoints.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { standings: Live::new(Arc::default()), vacancy: Notify::new() })
    }

    /// The endpoints are others now, or have other limits: everybody who waits looks again.
    pub fn replace(&self, standings: Vec<Arc<Standing>>) {
        self.standings.replace(Arc::new(standings));
        self.opened();
    }

    /// Whether an endpoint other than this one is available.
    pub fn has_another(&self, standing: &Standing) -> bool {
        let is_other = |other: &&Arc<Standing>| !std::ptr::eq(Arc::as_ptr(other), standing);
        self.standings.current().iter().filter(is_other).any(|other| other.is_available())
    }

    /// A place in flight is free: who has waited longest looks again.
    pub fn vacated(&self) {
        self.vacancy.notify_one();
    }

    /// Several places may be free: everybody who waits looks again.
    pub fn opened(&self) {
        self.vacancy.notify_waiters();
    }

    /// Rings for who waits for a place.
    pub fn vacancy(&self) -> &Notify {
        &self.vacancy
    }
}
