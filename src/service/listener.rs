//! A listener: the sockets' side of a parent, with the table that maps server names to children.

use std::fmt;
use std::sync::Arc;

use crate::live::Live;
use crate::names::VirtualServiceName;
use crate::service::location::Location;
use crate::service::table::Table;
use crate::telemetry::listener_metrics::ListenerMetrics;

/// All listening addresses of a parent: they share one table.
pub struct Listener {
    /// The parent.
    pub parent: VirtualServiceName,
    /// What a reload replaces.
    pub table: Live<Table>,
    /// Where plain listeners send clients unless a service wants it otherwise: the port of TLS may
    /// change with a reload.
    pub same_host: Live<Location>,
    /// Counts accepted sockets, and what fails before a service is selected, on the parent.
    pub metrics: Arc<ListenerMetrics>,
}

impl Listener {
    /// The listener of a parent.
    pub fn new(
        parent: VirtualServiceName,
        table: Arc<Table>,
        metrics: Arc<ListenerMetrics>,
    ) -> Self {
        let same_host = Live::new(Arc::new(Location::same_host(HTTPS_PORT)));
        Self { parent, table: Live::new(table), same_host, metrics }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("parent", &self.parent).finish_non_exhaustive()
    }
}

/// Until the sockets are known.
const HTTPS_PORT: u16 = 443;
