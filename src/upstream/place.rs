//! Where an endpoint is, and which name led there.

use std::fmt;

use crate::names::EndpointAddr;

/// An endpoint's address. Two are the same endpoint when all of it is the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// What is connected to. A name here is resolved by the system at each connect.
    pub address: EndpointAddr,
    /// The configured name that this address was the answer for.
    pub name: Option<Box<str>>,
}

impl Place {
    /// What TLS sends and verifies, and what a check asks for, unless told otherwise: the name as it
    /// is configured, whatever it resolves to.
    pub fn host(&self) -> String {
        self.name.as_deref().map_or_else(|| self.address.host(), str::to_owned)
    }
}

impl From<EndpointAddr> for Place {
    fn from(address: EndpointAddr) -> Self {
        Self { address, name: None }
    }
}

/// As metrics and log lines write it: the address alone.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
