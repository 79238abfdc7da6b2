//! Private keys on file, the secrets beside them, and how keys become rustls signers.
//!
//! A key on file is read once, decrypted if it must be, checked, and then exists only inside the
//! crypto library; every buffer of ours that held it is wiped. Keys that stay in tokens are not
//! here but in `hsm`; their PINs are secrets like others. Must not know who uses a key.

pub mod algorithm;
pub mod der;
pub mod file;
pub mod pbes2;
pub mod pem;
pub mod problem;
pub mod read;
pub mod secret;

pub use algorithm::Algorithm;
pub use algorithm::KeyType;
pub use problem::FileError;
pub use problem::Problem;
