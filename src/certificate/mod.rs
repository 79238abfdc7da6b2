//! Certificates: a named slot, and the material (chain and key) that is in it now.
//!
//! Material is immutable and checked before it gets into a slot. Handshakes read the slot once; a renewal needs
//! no reload of the configuration, and what cannot be loaded leaves in place what was there.
//! Must not know who serves a certificate.

pub mod chain;
pub mod error;
pub mod facts;
pub mod material;
pub mod request;
pub mod stamp;
pub mod store;
pub mod subject;
#[cfg(test)]
pub mod testing;
pub mod token_leaf;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use crate::live::Live;
use crate::names::CertificateName;

pub use error::MaterialError;
pub use facts::Facts;
pub use facts::Validity;
pub use material::Material;
pub use material::MaterialWarning;

/// A named slot that virtual services and pools refer to.
#[derive(Debug)]
pub struct Certificate {
    name: CertificateName,
    /// `None` until something could be loaded.
    material: Live<Option<Arc<Material>>>,
    on_disk: AtomicU8,
    /// Why the files are of no use: rare, and large. Written by the control plane, read by status.
    problem: Mutex<Option<Box<MaterialError>>>,
}

/// How what is served compares with the files (SPEC RL-5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum OnDisk {
    /// The files hold what is served.
    Same = 0,
    /// The files hold something else that has not been taken up.
    Differs = 1,
    /// The files hold nothing that could be served.
    Broken = 2,
}

impl Certificate {
    /// A slot with the outcome of its first load.
    pub fn new(name: CertificateName, loaded: Result<Material, MaterialError>) -> Self {
        let (material, on_disk, problem) = match loaded {
            Ok(material) => (Some(Arc::new(material)), OnDisk::Same, None),
            Err(error) => (None, OnDisk::Broken, Some(Box::new(error))),
        };
        Self {
            name,
            material: Live::new(Arc::new(material)),
            on_disk: AtomicU8::new(on_disk as u8),
            problem: Mutex::new(problem),
        }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &CertificateName {
        &self.name
    }

    /// What is served now, to keep.
    pub fn material(&self) -> Option<Arc<Material>> {
        Option::clone(&self.material.current())
    }

    /// Why the files cannot be served; `None` while they can.
    pub fn problem(&self) -> Option<MaterialError> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    /// Serves something else from the next handshake on; chain and key change together.
    pub fn replace(&self, material: Material) {
        self.material.replace(Arc::new(Some(Arc::new(material))));
        self.mark(OnDisk::Same);
    }

    /// Keeps serving what there is, and says that the files are of no use (SPEC RL-3).
    pub fn mark_broken(&self, error: MaterialError) {
        self.mark(OnDisk::Broken);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(error));
    }

    /// Notes how the files compare with what is served.
    pub fn mark(&self, on_disk: OnDisk) {
        self.on_disk.store(on_disk as u8, Ordering::Relaxed);
        if on_disk == OnDisk::Same {
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// How the files compare with what is served.
    pub fn on_disk(&self) -> OnDisk {
        match self.on_disk.load(Ordering::Relaxed) {
            0 => OnDisk::Same,
            1 => OnDisk::Differs,
            _ => OnDisk::Broken,
        }
    }
}
