//! Gives rustls the certificate that has been chosen already: whatever is in the slot now.

use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;

/// A slot as both kinds of resolver.
pub struct Slot(pub Arc<Certificate>);

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.material().map(|material| Arc::clone(&material.certified))
    }
}

impl ResolvesClientCert for Slot {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.material().map(|material| Arc::clone(&material.certified))
    }

    fn has_certs(&self) -> bool {
        self.0.material().is_some()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(self.0.name()).finish()
    }
}

/// Stands in a profile's base configuration until a slot takes its place.
#[derive(Debug)]
pub struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
