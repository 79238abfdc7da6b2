//! Keys and chains from files: blocks lie in the text one after the other, and neither a key nor a
//! chain comes from a text without its blocks.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use portcullis::certificate::Material;
use portcullis::certificate::chain;
use portcullis::config::certificate::Certificate;
use portcullis::config::certificate::KeySource;
use portcullis::config::process::WorldReadableKeys;
use portcullis::hsm::Groups;
use portcullis::key::file::signing_key;
use portcullis::key::pem;
use rustls_pki_types::CertificateDer;

pub(crate) fn check(bytes: &[u8]) {
    let key = signing_key(Path::new("fuzz.pem"), bytes, None, WorldReadableKeys::Allow);
    let Ok(blocks) = pem::blocks(bytes) else {
        assert!(key.is_err(), "a key out of nothing");
        return;
    };
    assert!(!blocks.is_empty());
    let decoded: usize = blocks.iter().map(|block| block.der.len()).sum();
    assert!(decoded <= bytes.len(), "more than was written");
    let keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")).count();
    assert!(key.is_err() || keys == 1, "one of {keys} keys");
    let certificates: Vec<_> = blocks
        .iter()
        .filter(|block| block.label.ends_with("CERTIFICATE"))
        .map(|block| CertificateDer::from(block.der.to_vec()))
        .collect();
    if !certificates.is_empty() {
        check_order(&certificates);
        if key.is_ok() {
            check_bundle(bytes, certificates.len());
        }
    }
}

fn check_order(certificates: &[CertificateDer<'_>]) {
    let Ok(order) = chain::order(certificates, 0) else { return };
    assert_eq!(order[0], 0, "the leaf comes first");
    let mut places = order.clone();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), order.len(), "none is sent twice");
    assert!(places.iter().all(|place| *place < certificates.len()));
}

/// The reader of bundles reads files; hardly anything that is made up gets this far.
fn check_bundle(bytes: &[u8], certificates: usize) {
    let path = bundle();
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(bytes)).expect("a temporary file");
    let config = Certificate {
        name: "fuzz".parse().expect("a name"),
        chain: path.clone(),
        key: KeySource::File { path, passphrase: None },
        world_readable: WorldReadableKeys::Refuse,
    };
    if let Ok(material) = Material::load(&config, &Groups::new()) {
        let sent = material.certified.cert.len();
        assert!((1..=certificates).contains(&sent), "{sent} of {certificates}");
    }
}

fn bundle() -> PathBuf {
    std::env::temp_dir().join(format!("portcullis-fuzz-{}.pem", std::process::id()))
}
