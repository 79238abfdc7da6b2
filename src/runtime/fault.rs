//! What keeps a configuration that reads well from being put in force.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::certificate::MaterialError;
use crate::key::KeyType;
use crate::names::CertificateName;
use crate::names::HsmName;
use crate::names::PoolName;
use crate::names::TlsProfileName;
use crate::names::VirtualServiceName;
use crate::runtime::error_pages::PageError;
use crate::runtime::socket::BindError;
use crate::telemetry::app_log::AppLogError;
use crate::tls::acceptor::AcceptorError;
use crate::tls::client::ClientError;
use crate::tls::profile::ProfileError;

/// One thing that could not be prepared: what, where and what to do, in a sentence.
#[derive(Debug, Error)]
pub enum Fault {
    /// Certificates that do not go together.
    #[error("virtual service `{0}`: {1}")]
    Acceptor(VirtualServiceName, AcceptorError),
    /// An address that cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file of `error_pages` that cannot be used.
    #[error(
        "virtual service `{virtual_service}`: the page for status {status}, {}: {error}",
        path.display()
    )]
    ErrorPage {
        /// Whose it is.
        virtual_service: VirtualServiceName,
        /// What it would be served for.
        status: u16,
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be used.
        error: PageError,
    },
    /// Files of a certificate that cannot be used.
    #[error("certificate `{0}`: {1}")]
    Certificate(CertificateName, MaterialError),
    /// A group of tokens without threads.
    #[error("group of tokens `{0}`: its threads cannot be started: {1}")]
    Hsm(HsmName, io::Error),
    /// An application log that cannot be written.
    #[error("virtual service `{0}`: {1}")]
    Log(VirtualServiceName, AppLogError),
    /// A panic while files were read.
    #[error(
        "a bug of portcullis ended the reload; its messages say where, and what was in force goes on"
    )]
    Panic,
    /// Files of a pool's TLS settings that cannot be used.
    #[error("pool `{0}`: {1}")]
    Pool(PoolName, ClientError),
    /// SPEC DUAL: at most one certificate of each key type.
    #[error(
        "virtual service `{virtual_service}`: `{}` and `{}` are both {key_type} certificates; \
         a virtual service has at most one of each key type",
        certificates[0],
        certificates[1]
    )]
    SameKeyType {
        /// The service that names both.
        virtual_service: VirtualServiceName,
        /// What both are.
        key_type: KeyType,
        /// The first and the second.
        certificates: [CertificateName; 2],
    },
    /// Files of a TLS profile that cannot be used.
    #[error("TLS profile `{0}`: {1}")]
    TlsProfile(TlsProfileName, ProfileError),
}

impl Fault {
    /// Whether an edit mends it. An address that another process has may be free a moment later, so
    /// a service manager should try that again.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Bind(_) | Self::Hsm(..))
    }
}
