//! `hsm generate` and `hsm delete`.

use super::Desk;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::openssl::s_client;

/// HSM-5, CERT-5: a key is made and signs a certificate for itself, which serves; it has never been outside.
#[tokio::test]
async fn keys_that_are_made_serve_with_what_they_signed() {
    let Some(desk) = Desk::new().await else { return };
    let kinds = [("one", "ec-p256"), ("two", "ec-p384"), ("three", "rsa-2048")];
    let names = kinds.map(|(name, _)| name);
    desk.configure(&desk.softhsm.module.path, &names);
    for (name, kind) in kinds {
        let made = desk.generate(name, kind).await;
        let line = format!("key = {{ hsm = \"prod\", label = \"{name}\" }}");
        assert!(made.stdout.contains(&line), "{}", made.text());
        assert!(made.stdout.starts_with("pkcs11:token=a;id=%"), "{}", made.text());
        assert!(made.stderr.contains("b does not have it"), "{}", made.text());
        let (host, file) = (format!("{name}.test"), format!("certs/{name}.pem"));
        let key = ["self-sign", "--hsm", "prod", "--label", name];
        let what = ["--common-name", &host, "--out", &file];
        desk.done(&[&key[..], &what].concat()).await;
    }
    let shown = desk.softhsm.module.tool("a", &["--list-objects", "--type", "privkey"]).await;
    let never = shown.stdout.matches("sensitive, always sensitive, never extractable, local");
    assert_eq!(never.count(), kinds.len(), "{}", shown.text());

    let proxy = Proxy::run(&desk.site).await;
    for name in names {
        let file = desk.site.path(format!("certs/{name}.pem"));
        let trusted = ["-CAfile", file.to_str().unwrap(), "-verify_return_error"];
        let outcome = s_client(proxy.address("edge"), &format!("{name}.test"), &trusted).await;
        assert_eq!(outcome.verified, "0 (ok)", "{name}: {}", outcome.text);
    }
}

/// HSM-5: one name means one key in the whole group.
#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let Some(desk) = Desk::new().await else { return };
    let generate = ["generate", "--hsm", "prod"];
    desk.done(&[&generate[..], &["--label", "shop", "--id", "a0ff"]].concat()).await;
    for (label, id, flag) in [("shop", "01", "--label"), ("blog", "A0FF", "--id")] {
        for member in ["a", "b"] {
            let more = ["--label", label, "--id", id, "--member", member];
            let told = ["a has a key", "`shop`", "a0ff", flag];
            desk.refused(&[&generate[..], &more].concat(), &told).await;
        }
    }
    assert_eq!(desk.a.keys().await, ["shop"]);
    assert!(desk.b.keys().await.is_empty());
}

/// HSM-5: a member that is named makes the key, and none when it is not there.
#[tokio::test]
async fn the_member_that_is_named_makes_the_key() {
    let Some(desk) = Desk::new().await else { return };
    let generate = ["generate", "--hsm", "prod", "--member", "b", "--label"];
    desk.done(&[&generate[..], &["shop"]].concat()).await;
    assert!(desk.a.keys().await.is_empty());
    assert_eq!(desk.b.keys().await, ["shop"]);
    desk.b.hide();
    desk.refused(&[&generate[..], &["blog"]].concat(), &["b: the token is not there"]).await;
    desk.b.show();
    assert_eq!(desk.b.keys().await, ["shop"]);
}

/// HSM-5: what serves cannot be deleted, and nothing can without a word.
#[tokio::test]
async fn a_key_that_is_used_is_not_deleted() {
    let Some(desk) = Desk::new().await else { return };
    desk.configure(&desk.softhsm.module.path, &["shop"]);
    desk.generate("shop", "ec-p256").await;
    desk.generate("blog", "ec-p256").await;
    let shop = ["delete", "--hsm", "prod", "--label", "shop", "--yes"];
    desk.refused(&shop, &["[certificate.shop]", "portcullis.toml"]).await;
    let blog = ["delete", "--hsm", "prod", "--label", "blog"];
    desk.refused(&blog, &["P-256 key", "object=blog", "--yes"]).await;
    assert_eq!(desk.a.keys().await, ["blog", "shop"]);
    let none = ["delete", "--hsm", "prod", "--label", "none", "--yes"];
    desk.refused(&none, &["a: it has no such private key", "b: it has no such"]).await;
}

/// HSM-5: both halves are deleted, wherever they are, and nothing beside them.
#[tokio::test]
async fn both_halves_of_a_key_are_deleted() {
    let Some(desk) = Desk::new().await else { return };
    for member in ["a", "b"] {
        let keep = ["generate", "--hsm", "prod", "--member", member, "--label", member];
        desk.done(&keep).await;
    }
    let issued = Ca::shared().issue(&Leaf::p256("shop.test"));
    for token in [&desk.a, &desk.b] {
        token.import("shop", "10", &issued).await;
    }
    let by_id = ["delete", "--hsm", "prod", "--id", "10", "--yes"];
    let one = desk.hsm(&[&by_id[..], &["--member", "b"]].concat()).await;
    assert_eq!(one.stdout, "b: both halves are deleted\n", "{}", one.text());
    assert_eq!(desk.a.keys().await, ["a", "shop"]);
    let rest = desk.done(&by_id).await;
    assert_eq!(rest.stdout, "a: both halves are deleted\n", "{}", rest.text());
    for token in ["a", "b"] {
        let left = desk.softhsm.module.tool(token, &["--list-objects"]).await;
        let labels = left.stdout.matches(&format!("label:      {token}\n")).count();
        assert_eq!(labels, 2, "both halves of the other key: {}", left.text());
        assert!(!left.stdout.contains("shop"), "{}", left.text());
    }
}
