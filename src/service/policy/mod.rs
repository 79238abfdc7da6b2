//! What a virtual service does with requests beside passing them on, compiled for the workers (SPEC
//! PX-4). Pure functions on the parts of a request; must not know hyper.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::config;
use crate::names::PoolName;
use crate::upstream::Pool;

/// The compiled policy of a service that has one.
#[derive(Debug)]
pub struct Policy {}

impl Policy {
    /// Compiles what was written; None for the many services that wrote nothing.
    pub fn compile(
        config: &config::policy::Policy,
        _pools: &BTreeMap<PoolName, Arc<Pool>>,
        _pages: BTreeMap<u16, Bytes>,
    ) -> Option<Box<Self>> {
        (!config.is_empty()).then(|| Box::new(Self {}))
    }
}
