//! Private keys: where they live, and how they become rustls signers.
//!
//! A key on file is read once, decrypted if it must be, checked, and then exists only inside the
//! crypto library; every buffer of ours that held it is wiped. Must not know who uses a key.

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
