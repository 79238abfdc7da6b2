//! Loading certificates: what is accepted, and how what is not is named.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::certificate::OnDisk;
use crate::certificate::Validity;
use crate::certificate::testing::Files;
use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::certificate::Certificate as Config;
use crate::config::process::WorldReadableKeys;
use crate::hsm::Groups;
use crate::key::Algorithm;

fn load(chain: &str, key: &str) -> Result<Material, MaterialError> {
    Material::load(&Files::new(chain, key).config(), &Groups::new())
}

fn p256_key() -> String {
    testing().key(Kind::P256).serialize_pem()
}

#[test]
fn facts_are_those_of_the_leaf() {
    let material = Material::load(&testing().files(Kind::P256).config(), &Groups::new()).unwrap();
    let facts = &material.facts;
    assert_eq!(facts.algorithm, Algorithm::P256);
    assert_eq!(*facts.names, ["example.com".into(), "*.example.com".into()]);
    assert_eq!(facts.common_name.as_deref(), Some("example.com"));
    assert!(facts.issuer.contains("Test Intermediate"), "{}", facts.issuer);
    assert_eq!(facts.chain_len, 2);
    assert_eq!(facts.validity(facts.not_before), Validity::Good);
    assert_eq!(facts.validity(facts.not_before - 1), Validity::NotYetValid);
    assert_eq!(facts.validity(facts.not_after + 1), Validity::Expired);
    for (kind, algorithm) in [
        (Kind::P384, Algorithm::P384),
        (Kind::Rsa, Algorithm::Rsa { bits: 2048 }),
        (Kind::Ed25519, Algorithm::Ed25519),
    ] {
        let material = Material::load(&testing().files(kind).config(), &Groups::new()).unwrap();
        assert_eq!(material.facts.algorithm, algorithm);
    }
}

#[test]
fn hosts_are_covered_as_clients_see_it() {
    let material = Material::load(&testing().files(Kind::P256).config(), &Groups::new()).unwrap();
    for (host, covered) in [
        ("example.com", true),
        ("Example.COM.", true),
        ("a.example.com", true),
        ("a.b.example.com", false),
        (".example.com", false),
        ("example.org", false),
    ] {
        assert_eq!(material.facts.covers(host), covered, "{host}");
    }
}

#[test]
fn chain_and_key_may_share_a_file() {
    let testing = testing();
    let files = testing.files(Kind::P256);
    let both = p256_key() + &testing.leaf(Kind::P256, -1, 1) + &testing.intermediate.pem();
    std::fs::write(files.chain(), both).unwrap();
    let mut config = files.config();
    config.key = KeySource::File { path: files.chain(), passphrase: None };
    let open = Material::load(&config, &Groups::new()).unwrap_err();
    assert_eq!(open.reason(), "key_world_readable", "as any file with a key");
    std::fs::set_permissions(files.chain(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Material::load(&config, &Groups::new()).unwrap().facts.chain_len, 2);
}

/// CERT-3, as far as one file goes: in order, without the root.
#[test]
fn a_chain_in_any_order_is_sent_in_order_without_the_root() {
    let testing = testing();
    let leaf = testing.leaf(Kind::P256, -1, 1);
    let (intermediate, root) = (testing.intermediate.pem(), testing.root.pem());
    let in_order = load(&[&*leaf, &*intermediate].concat(), &p256_key()).unwrap();
    for (chain, reordered) in [
        ([&leaf, &intermediate, &root], false),
        ([&root, &intermediate, &leaf], true),
        ([&intermediate, &leaf, &root], true),
    ] {
        let material = load(&chain.map(String::as_str).concat(), &p256_key()).unwrap();
        assert_eq!(material.certified.cert, in_order.certified.cert);
        assert_eq!(material.warnings.contains(&MaterialWarning::Reordered), reordered);
    }
}

#[test]
fn a_certificate_that_does_not_belong_is_left_out_and_mentioned() {
    let testing = testing();
    let chain = testing.leaf(Kind::P256, -1, 1)
        + &testing.leaf(Kind::Rsa, -1, 1)
        + &testing.intermediate.pem();
    let material = load(&chain, &p256_key()).unwrap();
    assert_eq!(material.facts.chain_len, 2);
    assert!(material.warnings.contains(&MaterialWarning::Extra { count: 1 }));
}

/// CERT-2: both fingerprints are in the message.
#[test]
fn a_key_of_another_certificate_is_refused() {
    let testing = testing();
    let leaf = testing.leaf(Kind::P256, -1, 1);
    let error = load(&leaf, &testing.key(Kind::P384).serialize_pem()).unwrap_err();
    assert_eq!(error.reason(), "key_mismatch");
    let MaterialError::Mismatch { certificate, private, .. } = &error else { panic!("{error}") };
    let text = error.to_string();
    assert!(text.contains(&certificate.to_string()) && text.contains(&private.to_string()));
    assert_ne!(certificate, private);
}

#[test]
fn every_bad_file_has_its_own_reason_and_path() {
    let testing = testing();
    let leaf = testing.leaf(Kind::P256, -1, 1);
    let half = &leaf[..leaf.len() / 2];
    let garbage = "-----BEGIN CERTIFICATE-----\nMAAB\n-----END CERTIFICATE-----\n";
    for (chain, reason) in [
        ("", "file_empty"),
        ("garbage", "file_not_pem"),
        (half, "file_truncated"),
        (garbage, "certificate_bad"),
        (&p256_key(), "file_without_certificate"),
    ] {
        let files = Files::new(chain, &p256_key());
        let error = Material::load(&files.config(), &Groups::new()).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains("chain.pem"), "{error}");
    }
    for (key, reason) in
        [("", "file_empty"), (&*leaf, "file_without_key"), ("\0\u{1}", "file_not_pem")]
    {
        let error = load(&leaf, key).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.to_string().contains("key.pem"), "{error}");
    }
    let files = Files::new(&leaf, &p256_key());
    let mut config = files.config();
    config.chain = files.path().to_owned();
    assert_eq!(Material::load(&config, &Groups::new()).unwrap_err().reason(), "file_is_directory");
    std::fs::remove_file(files.key()).unwrap();
    assert_eq!(
        Material::load(&files.config(), &Groups::new()).unwrap_err().reason(),
        "file_missing"
    );
}

#[test]
fn a_chain_cut_anywhere_is_never_half_a_certificate() {
    let testing = testing();
    let chain = testing.leaf(Kind::P256, -1, 1) + &testing.intermediate.pem();
    let whole = load(&chain, &p256_key()).unwrap();
    let files = Files::new(&chain, &p256_key());
    for end in (0..chain.trim_end().len()).step_by(7) {
        std::fs::write(files.chain(), &chain[..end]).unwrap();
        // Between two blocks, a cut cannot be told from a shorter chain.
        if let Ok(material) = Material::load(&files.config(), &Groups::new()) {
            assert_eq!(material.certified.cert[0], whole.certified.cert[0], "{end}");
            assert_eq!(material.facts.chain_len, 1, "{end}");
        }
    }
}

#[test]
fn a_key_is_not_in_the_debug_output_of_its_material() {
    let testing = testing();
    // Where in PKCS#8 something private is; the rest may be in the certificate, too.
    for (kind, private) in [(Kind::P256, 36), (Kind::Rsa, 1200), (Kind::Ed25519, 20)] {
        let shown =
            format!("{:?}", Material::load(&testing.files(kind).config(), &Groups::new()).unwrap());
        let key = testing.key(kind).serialize_der();
        let some = &key[private..private + 8];
        let numbers = some.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let hexadecimal: String = some.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&numbers) && !shown.contains(&hexadecimal), "{kind:?}");
    }
}

#[test]
fn an_open_key_file_is_refused_or_mentioned() {
    let files = testing().files(Kind::P256);
    for (mode, open) in [(0o644, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(files.key(), std::fs::Permissions::from_mode(mode)).unwrap();
        let allowed = Config { world_readable: WorldReadableKeys::Allow, ..files.config() };
        let material = Material::load(&allowed, &Groups::new()).unwrap();
        assert_eq!(material.warnings.contains(&MaterialWarning::KeyReadableByAll), open);
        let refused =
            Material::load(&files.config(), &Groups::new()).err().map(|error| error.reason());
        assert_eq!(refused, open.then_some("key_world_readable"), "{mode:o}");
    }
}

/// RL-3: what was there goes on being served, and is marked.
#[test]
fn a_broken_file_leaves_the_material_in_its_slot() {
    let testing = testing();
    let slot = testing.slot(Kind::P256, -1, 30);
    let before = slot.material().unwrap();
    let error = load("", "").unwrap_err();
    slot.mark_broken(error.clone());
    assert!(Arc::ptr_eq(&before, &slot.material().unwrap()));
    assert_eq!((slot.on_disk(), slot.problem()), (OnDisk::Broken, Some(error)));
    slot.replace(Material::load(&testing.files(Kind::P256).config(), &Groups::new()).unwrap());
    assert_eq!(slot.on_disk(), OnDisk::Same);
    assert_ne!(before.certified.cert, slot.material().unwrap().certified.cert);
}

#[test]
fn many_are_loaded_in_order_and_each_fails_for_itself() {
    use crate::certificate::store::load_all;
    let files = testing().files(Kind::P256);
    let configs: Vec<_> = (0..100)
        .map(|number| {
            let mut config = files.config();
            config.name = format!("c{number}").parse().unwrap();
            if number == 50 {
                config.chain = "/nowhere".into();
            }
            Arc::new(config)
        })
        .collect();
    let groups = Groups::new();
    let load = |config: &Config| (config.name.clone(), Material::load(config, &groups));
    let loaded = load_all(&configs, load);
    assert!(loaded.iter().zip(&configs).all(|((name, _), config)| *name == config.name));
    let failed: Vec<_> = loaded.iter().filter(|(_, loaded)| loaded.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0.as_str(), "c50");
}
